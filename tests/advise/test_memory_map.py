"""Predictions around measurements: the measured contexts and round ones, and where the card is
full."""

from pathlib import Path

import pytest

from oomph.advise.memory_map import as_measured, memory_grids
from oomph.calibrate.comparison import record_config
from oomph.estimate.estimator import Estimator
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.records.summary import summaries_of

FRONTIER = "results/phantom/frontier-qwen3-30b-a3b/rtx-5090"


@pytest.fixture(scope="module")
def records(repository: Path) -> list[Record]:
    """Real ones: Qwen3-30B-A3B on a phantom RTX 5090."""
    return list(Store(repository / FRONTIER).records())


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    from oomph.architectures.source import read_model
    from oomph.gpus import gpu

    return Estimator(read_model("qwen3-30b-a3b:Q4_K_M"), gpu("RTX 5090"))


def test_on_a_phantom_no_cuda_context_is_expected(
    records: list[Record], estimator: Estimator
) -> None:
    ran = next(record for record in records if record.outcome.label == "ok")
    config = record_config(ran)
    peak = next(series.peak_bytes for series in ran.memory if series.quantity == "vram")
    own = as_measured(estimator, ran)
    assert own.predict(config).memory.total_vram_bytes == pytest.approx(peak, rel=0.001)
    assert estimator.predict(config).memory.total_vram_bytes > 1.01 * peak
    assert own.gpu_memory_bytes == ran.environment.gpus[0]["usable_bytes"]


def test_each_card_has_the_memory_that_was_measured(records: list[Record]) -> None:
    names = ("NVIDIA GeForce RTX 5090", "NVIDIA GeForce RTX 3080")
    sizes = zip(names, (31, 9), strict=True)
    gpus = [{"name": name, "usable_bytes": size << 30} for name, size in sizes]
    environment = records[0].environment.model_copy(update={"gpus": gpus})
    record = records[0].model_copy(update={"environment": environment})
    own = as_measured(Estimator("qwen3-8b:Q4_K_M", "5090,3080"), record)
    assert [(c.spec and c.spec.name, c.memory_bytes) for c in own.cards] == [
        (names[0], 31 << 30),
        (names[1], 9 << 30),
    ]


def test_the_frontier_is_predicted_within_two_steps_of_where_it_was_found(
    records: list[Record], estimator: Estimator
) -> None:
    plain = [r for r in records if r.config["flash_attn"] == "off" and r.config["type_k"] == "f16"]
    (grid,) = memory_grids(as_measured(estimator, records[0]), summaries_of(plain), most=4)
    assert grid.record_ids == {record.record_id for record in plain}
    assert set(grid.frontier) == {8, 9, 10, 16}
    for experts, predicted in grid.frontier.items():
        ran = max(
            r.config["n_ctx"]
            for r in plain
            if r.reported.n_expert_used == experts and r.outcome.label == "ok"
        )
        assert abs(predicted - ran) <= 2 * 256
    assert {8192, 65536, 76288} <= {n_ctx for n_ctx, _ in grid.n_bytes}


def test_refused_settings_are_left_out_and_the_most_measured_come_first(
    records: list[Record], estimator: Estimator
) -> None:
    found = memory_grids(as_measured(estimator, records[0]), summaries_of(records), most=2)
    assert [len(grid.record_ids) for grid in found] == [8, 4]
    refused = [record for record in records if record.outcome.label == "bad_config"]
    assert memory_grids(estimator, summaries_of(refused), most=2) == []
