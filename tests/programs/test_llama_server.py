"""llama-server started with nothing said, on the phantom card, against what is predicted of it."""

from pathlib import Path

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.cuda.backend import CudaBackend
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.measure.server_run import phantom_arguments, run_server
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import phantom_cards
from oomph.programs.said import Said
from oomph.units import MIB

CARD = "RTX PRO 6000 Blackwell"


@pytest.mark.phantom
@pytest.mark.llama
@pytest.mark.parametrize("flags", [{}, {"n_seq_max": 2}], ids=["nothing", "-np 2"])
@pytest.mark.parametrize("name", ["gemma-3-12b", "qwen3.6-35b-a3b"])
def test_defaults_are_those_of_the_real_server(
    name: str,
    flags: dict[str, int],
    llama_server: Path,
    cuda_backend: CudaBackend,
    tmp_path: Path,
) -> None:
    """Sliding windows and recurrent states, which hang on slots and their cache; --fit left on."""
    path, script = tmp_path / "model.gguf", tmp_path / "llama-server.sh"
    model = catalogue_model(name, "Q4_K_M")
    write_synthetic(model, path)
    said = [f"-np {flags['n_seq_max']}"] if flags else []
    script.write_text(f'#!/bin/sh\nexec "$LLAMA_SERVER" -m {path} -c 32768 {" ".join(said)} "$@"\n')
    script.chmod(0o755)
    with phantom_cards(CARD, llama_cpp=llama_server.parent) as phantom:
        environment = phantom.program_environment() | {"LLAMA_SERVER": str(llama_server)}
        found = run_server(script, arguments=phantom_arguments(1), environment=environment)
    estimator = Estimator(model, gpu(CARD))
    asked = Said(knobs={"n_ctx": 32_768} | flags)
    memory = estimator.memory(asked.config(model)).devices["CUDA0"]
    reported = found.buffers
    assert sum(reported.kv_cache_mib["CUDA0"]) == pytest.approx(
        memory.kv_cache_bytes / MIB, abs=0.011
    )
    assert sum(reported.compute_mib["CUDA0"]) == pytest.approx(
        memory.compute_bytes / MIB, abs=0.011
    )
    assert sum(reported.recurrent_mib.get("CUDA0", [0])) == pytest.approx(
        memory.recurrent_bytes / MIB, abs=0.011
    )
