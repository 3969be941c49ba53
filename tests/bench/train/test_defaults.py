"""What rows of memory teach of CUDA contexts, as far as their noise lets them."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.train.context_rows import SeenContext, contexts_by_card, least_in_use, readings
from bench.train.defaults import (
    MEASURED,
    context_errors,
    context_values,
    own_contexts,
    speed_tables,
)
from bench.train.public_rows import spec_bytes

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.errors import FitError
from oomph.estimate.build import build_of
from oomph.estimate.coefficients import default_coefficients, definitions
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import (
    RUN_BYTES_PER_THREAD,
    context_bytes,
    pool_bytes,
    resident_threads,
)
from oomph.gpus import GpuSpec, gpu
from oomph.units import MIB

MODEL = catalogue_model("qwen3-8b", "Q4_K_M")
ROW: dict[str, Any] = {
    "backend": "CUDA",
    "engine": "llama.cpp",
    "gpu": "RTX 3090",
    "gpu_count": 1,
    "model": "Qwen3-8B",
    "catalogue_model": "qwen3-8b",
    "quant": "Q4_K_M",
    "size_gib": spec_bytes(MODEL) / 2**30,
    "n_ctx": 8192,
    "tool": "llama-bench",
    "flash_attn": "on",
    "build_est": 10392,
    "vram_quality": "clean",
}


def reading_with(context_mib: float, **changes: Any) -> dict[str, Any]:
    config = RunConfig(n_ctx=8192, flash_attn="on", swa_full=False)
    buffers = MemoryModel(MODEL, build_of(10392)).estimate(config).devices["CUDA0"].total_bytes
    taken = buffers + pool_bytes(MODEL, config, gpu("RTX 3090"))
    return ROW | {"peak_vram_mib": taken / MIB + context_mib} | changes


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "vram-2026.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_remains_of_a_reading_is_the_context(tmp_path: Path) -> None:
    (reading,) = readings(written(tmp_path, reading_with(300)))
    assert reading.context_bytes / MIB == pytest.approx(300, abs=1)


def test_a_prediction_head_that_nobody_loads_is_not_on_the_card(tmp_path: Path) -> None:
    """The file is larger by its share of the parameters; the card is not."""
    own = sum(tensor.n_elements for tensor in MODEL.tensors.values())
    with_head = {"params_b": own * 1.05 / 1e9, "size_gib": ROW["size_gib"] * 1.05}
    (reading,) = readings(written(tmp_path, reading_with(300, **with_head)))
    assert reading.context_bytes / MIB == pytest.approx(300, abs=5)


@pytest.mark.parametrize(
    "change",
    [
        {"spec_type": "draft-mtp"},
        {"vram_quality": "noisy"},
        {"gpu_count": 2},
        {"size_gib": None},
        {"n_cpu_moe": 4},
        {"backend": "ROCm"},
        {"gpu": "a card of nobody"},
    ],
)
def test_readings_that_hold_other_things_are_left_out(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    assert not list(readings(written(tmp_path, reading_with(300, **change))))


def test_a_desktop_only_adds() -> None:
    rows = [
        {
            "gpu": ["RTX 3090"],
            "gpu_total_mib": {"CUDA0": 24000},
            "gpu_free_at_load_mib": {"CUDA0": free},
        }
        for free in (23000, 23700, 23400)
    ]
    assert least_in_use(rows) == {gpu("RTX 3090"): 300 * MIB}


def planted(
    noise: float, base: float, per_thread: float, *names: str
) -> dict[GpuSpec, SeenContext]:
    """Contexts that follow the law exactly."""
    return {
        gpu(name): SeenContext(n_bytes=base + per_thread * resident_threads(gpu(name)), noise=noise)
        for name in names
    }


CARDS = ("Tesla T4", "RTX 3060", "RTX 4060", "RTX 5090", "H200", "RTX PRO 6000 Blackwell")


def test_contexts_that_are_planted_come_back() -> None:
    values = context_values(planted(0.01, 40 * MIB, 2000.0, *CARDS))
    assert values["memory.context_base_bytes"] == pytest.approx(40 * MIB, rel=0.2)
    assert values["memory.context_bytes_per_thread"] == pytest.approx(2000, rel=0.06)
    assert context_errors(planted(0.01, 40 * MIB, 2000.0, *CARDS)) == pytest.approx(
        [0] * len(CARDS), abs=0.06
    )


def test_without_any_context_the_prior_holds() -> None:
    prior = definitions()["memory.context_bytes_per_thread"].prior
    assert context_values({})["memory.context_bytes_per_thread"] == pytest.approx(prior)


def test_a_noisy_card_moves_less_than_a_well_known_one() -> None:
    def moved(noise: float) -> tuple[float, float]:
        prior = context_values({})["memory.context_bytes_per_thread"]
        seen = planted(noise, 26e6, 1.5 * prior, "RTX 4090")
        values = context_values(seen)
        own = own_contexts(seen, values)["NVIDIA GeForce RTX 4090"]["memory.own_context_factor"]
        return values["memory.context_bytes_per_thread"] / prior, own

    sure, doubtful = moved(0.01), moved(0.8)
    assert 1 < doubtful[0] < sure[0] < 1.5
    assert 1 < doubtful[1] < sure[1]
    assert sure[0] * sure[1] == pytest.approx(1.5, rel=0.1)


def test_a_cards_own_context_goes_before_what_its_threads_make_expect() -> None:
    shipped = default_coefficients()
    own = shipped.cards["NVIDIA H200"]["memory.own_context_factor"]
    bare = context_bytes(gpu("H200"), shipped.with_values(cards={}))
    assert context_bytes(gpu("H200"), shipped) == pytest.approx(own * bare, rel=1e-6)
    assert own != 1


def test_our_own_tables_are_read_beside_a_folders(tmp_path: Path) -> None:
    (tmp_path / "speed.jsonl").write_text("")
    assert speed_tables(tmp_path) == [tmp_path / "speed.jsonl", MEASURED / "speed-h200.jsonl"]
    (tmp_path / "memory.jsonl").write_text("")
    seen = contexts_by_card(tmp_path)[gpu("H200")]
    grown = RUN_BYTES_PER_THREAD * resident_threads(gpu("H200"))
    assert (seen.n_bytes - grown) / MIB == pytest.approx(526.8), "by NVML, of an idle context"


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"holds no speed\.jsonl"):
        speed_tables(tmp_path)
