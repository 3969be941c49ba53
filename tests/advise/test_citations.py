"""Citing a measured card: only for the same model, settings and card, and never more than was
measured."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oomph.advise.citations import Citation, cited, keep_measured
from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.records.schema import Conditions, Record
from oomph.records.store import Store
from oomph.units import MIB

MODEL, CARD = "qwen3-30b-a3b:Q4_K_M", "NVIDIA H100 80GB HBM3"


@pytest.fixture
def record(repository: Path) -> Record:
    """A run of a phantom, as if a real card had done it, with speeds at two depths."""
    folder = repository / "results/phantom/frontier-qwen3-30b-a3b/rtx-4090"
    seen = next(
        r
        for r in Store(folder).records()
        if r.outcome.label == "ok" and r.config["n_expert_used"] == 10
    )
    timings = [
        {"test": "pp512", "n_tokens": 512, "n_depth": 0, "samples_ns": [10**8]},
        {"test": "tg64", "n_tokens": 64, "n_depth": 0, "samples_ns": [5 * 10**8]},
        {"test": "tg64", "n_tokens": 64, "n_depth": 32768, "samples_ns": [8 * 10**8]},
        {"test": "cold_pp512", "n_tokens": 512, "n_depth": 0, "samples_ns": [1]},
    ]
    environment = seen.environment.model_dump() | {
        "backend": "cuda",
        "gpus": [{"name": CARD, "usable_bytes": 1}],
    }
    return Record.model_validate(
        seen.model_dump() | {"environment": environment, "timings": timings, "conditions": {}}
    )


def asked(folder: Path, *, model: str = MODEL, card: str = CARD, **knobs: Any) -> list[Citation]:
    config = RunConfig(**({"n_expert_used": 10, "flash_attn": "on"} | knobs))
    return cited(Estimator(read_model(model), gpu(card)), config, folders=[folder])


def test_the_same_run_is_cited_whole(record: Record, tmp_path: Path) -> None:
    keep_measured([record], tmp_path)
    n_ctx = int(record.config["n_ctx"])
    (found,) = asked(tmp_path, n_ctx=n_ctx)
    (series,) = [series for series in record.memory if series.quantity == "vram"]
    assert (found.card, found.day, found.vram_bytes) == (
        CARD,
        record.started_at[:10],
        series.peak_bytes,
    )
    assert found.vram_bytes > 20_000 * MIB
    assert found.prefill == (0, pytest.approx(5120))
    assert found.decode == (0, pytest.approx(128))


def test_at_another_context_only_the_speed_is_cited_at_the_nearest_depth(
    record: Record, tmp_path: Path
) -> None:
    keep_measured([record], tmp_path)
    (found,) = asked(tmp_path, n_ctx=90_000, n_depth=60_000)
    assert found.vram_bytes is None
    assert found.decode == (32768, pytest.approx(80))


@pytest.mark.parametrize(
    "other",
    [
        {"n_expert_used": 8},
        {"flash_attn": "off"},
        {"type_k": "q8_0"},
        {"n_ubatch": 1024},
        {"n_gpu_layers": 10},
        {"card": "RTX 4090"},
        {"model": "qwen3-30b-a3b:Q8_0"},
        {"model": "qwen3-8b:Q4_K_M", "n_expert_used": None},
        {"n_devices": 2},
    ],
)
def test_nothing_else_is_cited(record: Record, tmp_path: Path, other: dict[str, Any]) -> None:
    keep_measured([record], tmp_path)
    assert asked(tmp_path, n_ctx=int(record.config["n_ctx"]), **other) == []


def test_a_phantom_and_a_failure_are_never_kept(record: Record, tmp_path: Path) -> None:
    phantom = record.environment.model_copy(update={"backend": "phantom"})
    failed = record.outcome.model_copy(update={"label": "oom_kv"})
    changed = [
        record.model_copy(update={"environment": phantom}),
        record.model_copy(update={"outcome": failed}),
    ]
    assert keep_measured(changed, tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_context_that_was_never_used_says_nothing_of_memory(
    record: Record, tmp_path: Path
) -> None:
    idle = record.model_copy(update={"workload": {"n_prompt": 0, "n_gen": 0}})
    keep_measured([idle], tmp_path)
    (found,) = asked(tmp_path, n_ctx=int(record.config["n_ctx"]))
    assert found.vram_bytes is None


def test_a_disturbed_rate_is_not_cited(record: Record, tmp_path: Path) -> None:
    crowded = record.model_copy(update={"conditions": Conditions(other_cpus=1.5)})
    keep_measured([crowded], tmp_path)
    (found,) = asked(tmp_path, n_ctx=int(record.config["n_ctx"]))
    assert found.vram_bytes is not None
    assert (found.prefill, found.decode) == (None, None)


def test_a_torn_file_is_passed_over(record: Record, tmp_path: Path) -> None:
    (path,) = keep_measured([record], tmp_path)
    path.write_text(path.read_text() + '{"card": "NVIDIA H')
    assert len(asked(tmp_path, n_ctx=int(record.config["n_ctx"]))) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.mkdir(),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.write_text("[" * 100_000),
    ],
    ids=["folder", "fifo", "endless", "loop", "noise", "deep"],
)
@pytest.mark.timeout(20)
def test_a_file_that_is_none_is_passed_over(
    record: Record, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    (path,) = keep_measured([record], tmp_path)
    spoil(path.with_name(path.name.replace("--", "--0")))
    assert len(asked(tmp_path, n_ctx=int(record.config["n_ctx"]))) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model": 3},
        {"model": {}},
        {"model": {"arch": "qwen3moe"}},
        {"config": None},
        {"config": {"n_ctx": "many"}},
        {"config": {"n_ctx": -1}},
        {"vram_bytes": "much"},
        {"vram_bytes": float("nan")},
        {"vram_bytes": -5},
        {"day": None},
        {"pp": 3},
        {"pp": [3]},
        {"pp": [["x", "y"]]},
        {"tg": [[0, float("inf")]]},
        {"tg": [[0, 0]]},
    ],
    ids=str,
)
def test_a_row_of_another_form_is_passed_over(
    record: Record, tmp_path: Path, change: dict[str, Any]
) -> None:
    (path,) = keep_measured([record], tmp_path)
    row = json.loads(path.read_text())
    path.write_text(json.dumps(row | change) + "\n" + json.dumps(row) + "\n")
    assert len(asked(tmp_path, n_ctx=int(record.config["n_ctx"]))) == 1
