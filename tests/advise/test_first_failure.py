"""What runs out first, and when: held against what llama.cpp did on phantom cards."""

from pathlib import Path

import pytest

from oomph.advise.first_failure import first_failure, margin_bytes
from oomph.architectures.source import read_model
from oomph.calibrate.comparison import record_config
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import NVIDIA_MEMORY, POOL_PIECE
from oomph.gpus import gpu
from oomph.records.schema import Record
from oomph.records.store import Store

STAGES = {"oom_kv": "kv_cache", "oom_compute": "compute", "oom_runtime": "run"}


def failures(repository: Path) -> list[Record]:
    folders = [
        *(repository / "results/phantom/frontier-qwen3-30b-a3b").iterdir(),
        repository / "results/phantom/claims-qwen3-30b-a3b",
    ]
    return [r for folder in folders for r in Store(folder).records() if r.outcome.label in STAGES]


def without_context(record: Record, *, spare_bytes: int = 0) -> Estimator:
    """The phantom of the record's card: no CUDA context, and so many bytes less than it had."""
    values = default_coefficients()
    bare = values.with_values(values={**values.values, **dict.fromkeys(NVIDIA_MEMORY, 0.0)})
    card = record.environment.gpus[0]
    return Estimator(
        read_model(record.model.path),
        gpu(card["name"]),
        coefficients=bare,
        gpu_memory_bytes=card["usable_bytes"] - spare_bytes,
    )


def test_stage_and_fill_are_those_that_were_seen(repository: Path) -> None:
    """The abort is met within two micro-batches, on a card that is two pieces of the pool (4 MiB)
    smaller."""
    seen = failures(repository)
    assert {record.outcome.label for record in seen} == {"oom_compute", "oom_runtime"}
    for record in seen:
        config, estimator = (
            record_config(record),
            without_context(record, spare_bytes=2 * POOL_PIECE),
        )
        found = first_failure(estimator, config, estimator.predict(config).memory)
        assert found is not None, record.record_id
        assert found.stage == STAGES[record.outcome.label], record.record_id
        if found.stage == "run":
            assert found.n_filled == pytest.approx(
                record.conditions.n_filled or 0, abs=2 * config.n_ubatch
            )


@pytest.mark.parametrize(
    ("model", "card", "knobs", "stage"),
    [
        ("llama-3.3-70b:Q4_K_M", "RTX 4090", {}, "weights"),
        ("qwen3-30b-a3b:Q4_K_M", "RTX 4090", {"n_ctx": 90_000}, "kv_cache"),
        ("qwen3-30b-a3b:Q4_K_M", "RTX 4090", {"n_ctx": 61_440, "n_ubatch": 2048}, "compute"),
        ("qwen3-30b-a3b:Q4_K_M", "RTX 4090", {"n_ctx": 32_768, "flash_attn": "off"}, "run"),
    ],
)
def test_allocations_fail_in_the_order_in_which_llama_cpp_makes_them(
    model: str, card: str, knobs: dict[str, int | str], stage: str
) -> None:
    estimator, config = Estimator(read_model(model), gpu(card)), RunConfig.from_mapping(knobs)
    memory = estimator.predict(config).memory
    found = first_failure(estimator, config, memory)
    assert found is not None
    assert (found.stage, found.n_filled is None) == (stage, stage != "run")
    assert found.short_bytes == -margin_bytes(memory, {"CUDA0": gpu(card).memory_bytes})
    if stage == "run":
        assert 0 < (found.n_filled or 0) < config.n_ctx


def test_what_fits_is_short_of_nothing() -> None:
    estimator, config = Estimator(read_model("llama-3.1-8b:Q4_K_M"), gpu("RTX 4090")), RunConfig()
    memory = estimator.predict(config).memory
    assert first_failure(estimator, config, memory) is None
    assert margin_bytes(memory, {"CUDA0": gpu("RTX 4090").memory_bytes}) > 0
    assert first_failure(Estimator(estimator.model), config, memory) is None
