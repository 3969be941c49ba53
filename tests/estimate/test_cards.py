"""Unequal cards: the split by free memory, and every buffer of llama-server on phantom cards."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oomph.advise.memory_map import without_context
from oomph.architectures.catalogue import catalogue_model
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.cuda.backend import CudaBackend
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.graph.placement import Placement
from oomph.estimate.prediction import DeviceMemory, is_card
from oomph.measure.server_run import ServerRun, phantom_arguments, run_server
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import phantom_cards
from oomph.programs.said import Said
from oomph.units import MIB

NO_CONTEXT = without_context(default_coefficients())
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("qwen3-8b:Q4_K_M", "5090,3080", "", {}),
    ("qwen3-8b:Q4_K_M", "3080,5090", "-ctk q8_0 -ctv q8_0", {"type_k": "q8_0", "type_v": "q8_0"}),
    ("qwen3-8b:Q4_K_M", "5090,3080", "-ts 26,6", {"tensor_split": (26, 6)}),
    ("qwen3-8b:Q4_K_M", "5090,3080,4060 ti 16gb", "-ts 3,0,1", {"tensor_split": (3, 0, 1)}),
    ("qwen3-0.6b:Q4_K_M", "5090,3080", "-ngl 20", {"n_gpu_layers": 20}),
    ("qwen3-8b:Q4_K_M", "5090,3080", "-sm none -mg 1", {"split_mode": "none", "main_gpu": 1}),
    ("qwen3.5-4b:Q8_0", "5090,3080", "-ts 26,6", {"tensor_split": (26, 6)}),
    ("gemma-3-12b:Q4_K_M", "3090,3090,3090", "", {}),
    ("gemma-3-12b:Q4_K_M", "4060 ti 16gb,2070,3060:11000", "", {}),
    ("olmoe-1b-7b:Q4_K_M", "3090,rtx pro 6000", "-ncmoe 4", {"n_cpu_moe": 4}),
    ("olmoe-1b-7b:Q4_K_M", "5090,3080", "-ncmoe 8 -ts 12,5",
     {"n_cpu_moe": 8, "tensor_split": (12, 5)}),
    ("qwen3-30b-a3b:Q4_K_M", "4090,rtx pro 6000,4090,5090", "-ub 2048", {"n_ubatch": 2048}),
    ("gpt-oss-20b:MXFP4", "4060 ti 16gb,3080", "", {}),
]  # fmt: skip


QWEN = catalogue_model("qwen3-8b", "Q4_K_M")


def test_free_memory_divides_the_layers_as_float32_does() -> None:
    """Three equal cards: a third of 36 layers is on the edge, where float32 decides."""
    for n_bytes in (24 << 30, 25_292_963_840, 12_345_678_901, 8_000_000_001):
        cards = [Card(memory_bytes=n_bytes, device=f"CUDA{i}") for i in range(3)]
        place = Placement(RunConfig(n_devices=3), 35, cards)
        shares = np.cumsum(np.full(3, n_bytes, np.float32), dtype=np.float32)
        shares /= shares[-1]
        wanted = [
            f"CUDA{np.searchsorted(shares, np.float32(il) / np.float32(36), side='right')}"
            for il in range(36)
        ]
        assert [place.layer(il) for il in range(36)] == wanted


def test_the_context_is_not_free() -> None:
    (card,) = Estimator(QWEN, "3090").cards
    assert card.free_bytes is not None
    assert card.memory_bytes - 300 * MIB < card.free_bytes < card.memory_bytes - 100 * MIB
    (bare,) = Estimator(QWEN, "3090", coefficients=NO_CONTEXT).cards
    assert bare.free_bytes == bare.memory_bytes


def test_each_card_has_its_own_memory_and_the_fullest_decides() -> None:
    both = Estimator(QWEN, "5090,3080:4000")
    config = RunConfig(n_devices=2, n_ctx=32_768, tensor_split=(1, 1))
    prediction = both.predict(config, longest=False)
    wide, narrow = prediction.cards
    assert wide.margin_bytes > 0 > narrow.margin_bytes
    assert (prediction.fits, wide.fit_probability) == (False, 1.0)
    assert prediction.fit_probability == narrow.fit_probability
    assert both.max_context(n_devices=2, tensor_split=(1, 1)) < 32_768
    assert both.fits(config.with_(tensor_split=(9, 1)))


def test_speed_is_the_sum_of_the_stages() -> None:
    """Half of the layers on each: between the two cards alone, and the same in either order but for
    the output."""
    config = RunConfig(n_devices=2, n_ctx=4096, tensor_split=(1, 1))
    rates = {
        cards: Estimator(QWEN, cards).speed(config).decode_tokens_per_s  # type: ignore[union-attr]
        for cards in ("5090,5090", "3060,3060", "5090,3060", "3060,5090")
    }
    mean = 2 / (1 / rates["5090,5090"] + 1 / rates["3060,3060"])
    for mixed in ("5090,3060", "3060,5090"):
        assert rates["3060,3060"] < rates[mixed] < rates["5090,5090"]
        assert rates[mixed] == pytest.approx(mean, rel=0.12)
    assert rates["3060,5090"] > rates["5090,3060"], "the output is read on the faster card"


def test_a_card_that_no_layer_goes_to_changes_no_speed() -> None:
    config = RunConfig(n_ctx=4096)
    alone = Estimator(QWEN, "5090").speed(config)
    split = config.with_(n_devices=2, tensor_split=(1, 0))
    both = Estimator(QWEN, "5090,3060").speed(split)
    assert alone is not None
    assert both is not None
    assert both.decode_tokens_per_s == pytest.approx(alone.decode_tokens_per_s, rel=1e-9)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The sparse file of a model, one for all cards."""

    @cache
    def path(name: str) -> Path:
        model = catalogue_model(*name.split(":"))
        return write_synthetic(model, tmp_path_factory.mktemp("sparse") / "model.gguf")

    return path


@pytest.mark.phantom
@pytest.mark.llama
@pytest.mark.parametrize(
    ("name", "cards", "flags", "knobs"), CASES, ids=[" ".join(case[:3]) for case in CASES]
)
def test_every_buffer_of_unequal_cards_is_the_servers(
    name: str,
    cards: str,
    flags: str,
    knobs: dict[str, Any],
    llama_server: Path,
    cuda_backend: CudaBackend,
    written: Callable[[str], Path],
) -> None:
    """llama.cpp divides by the phantoms' free memory, or as it is told; MiB with two decimals."""
    model = catalogue_model(*name.split(":"))
    with phantom_cards(cards, llama_cpp=llama_server.parent) as phantom:
        run = served(written(name), f"-c 16384 -np 1 --fit off {flags}", llama_server, phantom)
    estimator = Estimator(model, cards, coefficients=NO_CONTEXT)
    asked = {"n_ctx": 16_384, "n_seq_max": 1, "n_devices": len(estimator.cards), **knobs}
    memory = estimator.memory(Said(knobs=asked).config(model))
    found = {device: printed(run, device) for device in memory.devices if is_card(device)}
    assert found == {device: promised(memory.devices[device]) for device in found}


def served(path: Path, flags: str, llama_server: Path, phantom: Any) -> ServerRun:
    script = path.parent / "llama-server.sh"
    script.write_text(f'#!/bin/sh\nexec "$LLAMA_SERVER" -m {path} {flags} "$@"\n')
    script.chmod(0o755)
    environment = phantom.program_environment() | {"LLAMA_SERVER": str(llama_server)}
    arguments = phantom_arguments(len(phantom.cards))
    return run_server(script, arguments=arguments, environment=environment)


def printed(run: ServerRun, device: str) -> dict[str, float]:
    """llama.cpp's own lines, in MiB."""
    buffers = run.buffers
    return {
        "weights": round(sum(buffers.model_mib.get(device, [0])), 2),
        "cache": round(sum(buffers.kv_cache_mib.get(device, [0])), 2),
        "state": round(sum(buffers.recurrent_mib.get(device, [0])), 2),
        "compute": buffers.compute_mib.get(device, [0])[-1],
    }


def promised(memory: DeviceMemory) -> dict[str, float]:
    parts = {
        "weights": memory.weights_bytes,
        "cache": memory.kv_cache_bytes,
        "state": memory.recurrent_bytes,
        "compute": memory.compute_bytes,
    }
    return {name: pytest.approx(n_bytes / MIB, abs=0.011) for name, n_bytes in parts.items()}
