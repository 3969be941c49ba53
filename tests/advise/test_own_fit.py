"""A real llama-server left to fit itself, on phantom cards with a CUDA context, as foretold."""

from pathlib import Path

import pytest

from oomph.advise.own_fit import own_fit
from oomph.architectures.catalogue import catalogue_model
from oomph.config import padded_context
from oomph.cuda.backend import CudaBackend
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import loaded_context_bytes
from oomph.gpus import gpu
from oomph.measure.server_run import phantom_arguments, run_server
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import PhantomCard, phantom_cards
from oomph.programs.fit_flags import FitFlags
from oomph.programs.said import Said
from oomph.units import MIB

CARD = gpu("RTX 3060")


@pytest.mark.phantom
@pytest.mark.llama
@pytest.mark.parametrize(
    ("name", "quantization", "n_cards"),
    [("llama-3.1-8b", "Q4_K_M", 1), ("granite-4.0-h-tiny", "BF16", 2)],
)
def test_a_real_server_fits_itself_as_foretold(
    name: str,
    quantization: str,
    n_cards: int,
    llama_server: Path,
    cuda_backend: CudaBackend,
    tmp_path: Path,
) -> None:
    path, script = tmp_path / "model.gguf", tmp_path / "llama-server.sh"
    model = catalogue_model(name, quantization)
    write_synthetic(model, path)
    script.write_text(f'#!/bin/sh\nexec "$LLAMA_SERVER" -m {path} "$@"\n')
    script.chmod(0o755)
    held = loaded_context_bytes(CARD, default_coefficients())
    cards = [PhantomCard(spec=CARD, context_bytes=held)] * n_cards
    with phantom_cards(cards, llama_cpp=llama_server.parent) as phantom:
        environment = phantom.program_environment() | {"LLAMA_SERVER": str(llama_server)}
        found = run_server(script, arguments=phantom_arguments(n_cards), environment=environment)
    estimator = Estimator(model, CARD)
    said = Said(knobs={"n_devices": n_cards}, fit=FitFlags())
    fit = own_fit(estimator, said, said.config(model))
    assert fit is not None
    assert found.slot_n_ctx == padded_context(fit.config.n_ctx)
    memory, reported = estimator.memory(fit.config).devices, found.buffers
    for index in range(n_cards):
        card = f"CUDA{index}"
        assert sum(reported.model_mib[card]) == pytest.approx(
            memory[card].weights_bytes / MIB, abs=0.011
        )
        assert sum(reported.compute_mib[card]) == pytest.approx(
            memory[card].compute_bytes / MIB, abs=0.011
        )
