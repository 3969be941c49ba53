"""The search for the frontier, on invented cards of any behaviour and on the phantom."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.config import CONTEXT_STEP, RunConfig
from oomph.measure.bench import open_bench
from oomph.measure.frontier import Frontier, FrontierSearch, measured_slack
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.schema import Environment, MemorySeries, ModelIdentity, Outcome, Record
from oomph.records.store import Store
from oomph.units import MIB

USABLE = 10_000 * MIB


class FakeRunner:
    """Stands in for Runner: a context takes `fixed + slope * n_ctx` bytes and `pool * n_ctx` more
    once it is full."""

    def __init__(self, *, fixed: int, slope: int, pool: int = 0) -> None:
        self.fixed, self.slope, self.pool = fixed, slope, pool
        self.tried: list[int] = []

    def run(self, sweep: Sweep) -> Iterator[Record]:
        (point,) = sweep.points()
        n_ctx = point.config.n_ctx
        self.tried.append(n_ctx)
        loaded, full = (
            self.fixed + self.slope * n_ctx,
            self.fixed + (self.slope + self.pool) * n_ctx,
        )
        conditions: dict[str, Any] = {"cards": {"CUDA0": {"idle_bytes": 0}}}
        if loaded > USABLE:
            yield record_of(
                point.config,
                Outcome(label="oom_kv", short_mib=(loaded - USABLE) / MIB),
                conditions,
                0,
            )
        elif full > USABLE:
            n_filled = (USABLE - loaded) // self.pool
            yield record_of(
                point.config,
                Outcome(label="oom_runtime"),
                conditions | {"n_filled": n_filled},
                USABLE,
            )
        else:
            yield record_of(point.config, Outcome(label="ok"), conditions, full)

    @property
    def truth(self) -> int:
        """The last multiple of CONTEXT_STEP that runs full."""
        return (USABLE - self.fixed) // (self.slope + self.pool) // CONTEXT_STEP * CONTEXT_STEP


def record_of(
    config: RunConfig, outcome: Outcome, conditions: dict[str, Any], peak_bytes: int
) -> Record:
    environment = Environment(
        machine="m",
        os="o",
        python="3",
        cpu="c",
        cpu_count=1,
        memory_bytes=1,
        backend="phantom",
        gpus=[{"usable_bytes": USABLE}],
    )
    return Record(
        record_id="r",
        point_id="p",
        sweep="s",
        label="l",
        started_at="",
        wall_ns=1,
        config=config.to_dict(),
        model=ModelIdentity(name="m", path="m", arch="a", file_bytes=1, header_sha256="0"),
        outcome=outcome,
        environment=environment,
        conditions=conditions,
        memory=[MemorySeries(probe="nvml", quantity="vram", device="CUDA0", peak_bytes=peak_bytes)],
    )


def search(runner: FakeRunner, *, limit: int = 131_072) -> FrontierSearch:
    return FrontierSearch(runner, model="m", limit=limit)  # type: ignore[arg-type]


def find(runner: FakeRunner, *, error: int = 0, factor: float = 1.0) -> Frontier:
    """The search with a prediction that is off by `error` bytes and by a factor on what grows."""

    def slack(config: RunConfig) -> float:
        return USABLE - runner.fixed - error - factor * (runner.slope + runner.pool) * config.n_ctx

    return search(runner).find(RunConfig(), slack=slack)


@given(
    fixed=st.integers(0, 9_900),
    slope=st.integers(20, 400),
    pool=st.integers(0, 100),
    off=st.integers(-300, 300),
)
def test_the_frontier_is_found_whatever_the_prediction(
    fixed: int, slope: int, pool: int, off: int
) -> None:
    runner = FakeRunner(fixed=fixed * MIB, slope=slope * 1024, pool=pool * 1024)
    found = find(runner, error=off * MIB)
    assert (found.n_ctx or 0) == min(runner.truth, 131_072)
    assert found.n_probes == len(runner.tried) == len(set(runner.tried))
    assert all(n_ctx % CONTEXT_STEP == 0 for n_ctx in runner.tried)


@pytest.mark.parametrize("off", [-400, -60, -10, 0, 10, 60, 400])
def test_a_prediction_that_is_some_mib_off_costs_few_probes(off: int) -> None:
    runner = FakeRunner(fixed=5000 * MIB, slope=96 * 1024)
    assert find(runner, error=off * MIB).n_probes <= (2 if off == 0 else 5)


def test_load_and_run_are_told_apart() -> None:
    runner = FakeRunner(fixed=5000 * MIB, slope=96 * 1024, pool=32 * 1024)
    found = find(runner)
    assert found.loads_and_aborts
    assert found.failed_n_ctx == runner.truth + CONTEXT_STEP
    assert found.n_filled is not None
    assert 0 < found.n_filled < runner.truth + CONTEXT_STEP


def test_without_a_prediction_it_is_bisection() -> None:
    runner = FakeRunner(fixed=5000 * MIB, slope=96 * 1024)
    found = search(runner).find(RunConfig())
    assert (found.n_ctx, found.predicted_n_ctx) == (runner.truth, None)
    assert found.n_probes <= 10


def test_the_limit_is_where_it_stops() -> None:
    runner = FakeRunner(fixed=0, slope=1024)
    found = search(runner, limit=8192).find(RunConfig(), slack=lambda config: 1.0)
    assert (found.n_ctx, found.reached_limit, found.failed, found.n_probes) == (8192, True, None, 1)


def test_what_is_no_memory_failure_ends_the_search() -> None:
    class Refuses(FakeRunner):
        def run(self, sweep: Sweep) -> Iterator[Record]:
            (point,) = sweep.points()
            yield record_of(
                point.config, Outcome(label="bad_config", message="needs flash attention"), {}, 0
            )

    found = search(Refuses(fixed=0, slope=1)).find(RunConfig())
    assert (found.n_ctx, found.failed, found.reason, found.n_probes) == (
        None,
        "bad_config",
        "needs flash attention",
        1,
    )


def test_the_slack_is_that_of_the_tightest_card() -> None:
    record = record_of(
        RunConfig(), Outcome(label="ok"), {"cards": {"CUDA0": {"idle_bytes": 5 * MIB}}}, 9000 * MIB
    )
    assert measured_slack(record) == 995 * MIB


@pytest.mark.phantom
@pytest.mark.usefixtures("cuda_backend")
def test_a_search_goes_on_from_its_records(qwen3_30b: Path, tmp_path: Path) -> None:
    config = RunConfig(n_expert_used=10, flash_attn="on")
    with open_bench("RTX 4090") as bench:
        store = Store(tmp_path)
        runner = Runner(store, bench.executor, model=qwen3_30b, environment=bench.environment)
        frontier = FrontierSearch(runner, model=str(qwen3_30b), limit=2048).find(config)
        n_records = len(list(store.records()))
        again = FrontierSearch(runner, model=str(qwen3_30b), limit=2048).find(config)
        assert (frontier.n_ctx, frontier.reached_limit) == (2048, True)
        assert again == frontier
        assert len(list(store.records())) == n_records
