"""How a sweep is spread over cards, and one worker a card, on phantom cards with the real CUDA
backend."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate.expected_memory import expected_to_fit
from oomph.errors import ConfigError
from oomph.measure.bench import Bench, open_bench
from oomph.measure.cards_executor import CardsExecutor, Company
from oomph.measure.nvml import Nvml
from oomph.measure.plan import open_subject
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.measure.targets import spread, uses_host
from oomph.phantom.cards import Sensor
from oomph.records.schema import Record
from oomph.records.store import Store

pytestmark = [pytest.mark.phantom, pytest.mark.usefixtures("cuda_backend")]

QWEN3 = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
SMALL, LARGE = "small:16384:8.9:80", "large:32768:8.9:80"


@pytest.fixture
def sweep(qwen3_30b: Path) -> Callable[[str], Sweep]:
    def make(text: str = "") -> Sweep:
        return Sweep.parse(
            f'name = "cards"\nmodel = "{qwen3_30b}"\nmeasure = {{n_prompt = 64, n_gen = 1}}\n{text}'
        )

    return make


def records_of(
    sweep: Sweep, bench: Bench, folder: Path, *, workers: int | None = None
) -> list[Record]:
    subject = open_subject(sweep)
    found = spread(
        sweep, subject.spec, bench, workers=workers, fits=expected_to_fit(subject.spec, bench)
    )
    return list(Runner(Store(folder), found.places, at_once=found.at_once).run(sweep))


def indices(record: Record) -> tuple[int, ...]:
    return tuple(card["index"] for card in record.environment.gpus)


def overlaps(records: list[Record]) -> bool:
    spans = sorted((float(r.started_at[17:23]), r.wall_ns / 1e9) for r in records)
    return any(start + length > after for (start, length), (after, _) in pairwise(spans))


LOADS = "axes = {n_expert_used = [4, 6, 8, 10], n_ctx = [512, 1024]}"


def test_cards_of_one_kind_share_the_loads_and_each_record_names_its_card(
    sweep: Callable[[str], Sweep], tmp_path: Path
) -> None:
    with open_bench(f"{LARGE},{LARGE},{LARGE}") as bench:
        records = records_of(sweep(LOADS), bench, tmp_path)
        assert records_of(sweep(LOADS), bench, tmp_path) == [], (
            "started again, it finds everything measured"
        )
        assert bench.phantom is not None
        assert bench.phantom.counters(1).n_allocations > 0
    assert [record.outcome.label for record in records] == ["ok"] * 8
    assert {indices(record) for record in records} == {(0,), (1,), (2,)}
    assert all(record.config["n_devices"] == 1 for record in records)
    assert all(
        [s.device for s in record.memory if s.quantity == "vram"] == ["CUDA0"] for record in records
    )
    assert max(record.conditions.n_workers_beside for record in records) == 2
    for n_expert_used in (4, 6, 8, 10):
        load = [
            indices(record) for record in records if record.config["n_expert_used"] == n_expert_used
        ]
        assert len(load) == 2
        assert len(set(load)) == 1, "a load's points stay together"


def test_every_kind_of_card_measures_every_point(
    sweep: Callable[[str], Sweep], tmp_path: Path
) -> None:
    with open_bench(f"{SMALL},{LARGE}") as bench:
        records = records_of(sweep("axes.n_ctx = [512, 1024]"), bench, tmp_path)
    ended = {
        (record.environment.gpus[0]["name"], record.label): record.outcome.label
        for record in records
    }
    assert ended == {
        ("small", "n_ctx=512"): "oom_weights",
        ("small", "n_ctx=1024"): "skipped",
        ("large", "n_ctx=512"): "ok",
        ("large", "n_ctx=1024"): "ok",
    }, "what one kind cannot hold says nothing of the other"


def test_a_model_that_fits_no_card_is_spread_over_all_of_them(
    sweep: Callable[[str], Sweep], tmp_path: Path
) -> None:
    with open_bench(f"{SMALL},{SMALL}") as bench:
        (record,) = records_of(sweep("axes.n_ctx = 512"), bench, tmp_path)
    assert (record.outcome.label, record.config["n_devices"], indices(record)) == ("ok", 2, (0, 1))


def test_points_take_as_many_cards_as_they_name(
    sweep: Callable[[str], Sweep], tmp_path: Path
) -> None:
    with open_bench(",".join([LARGE] * 4)) as bench:
        records = records_of(
            sweep("axes = {n_devices = [1, 2], n_expert_used = [6, 8]}"), bench, tmp_path
        )
        with pytest.raises(ConfigError, match=r"n_devices is 5 and this machine shows 4 cards"):
            records_of(sweep("config.n_devices = 5"), bench, tmp_path)
    assert {record.label: len(indices(record)) for record in records} == {
        "n_devices=1 n_expert_used=6": 1,
        "n_devices=1 n_expert_used=8": 1,
        "n_devices=2 n_expert_used=6": 2,
        "n_devices=2 n_expert_used=8": 2,
    }
    first, second = (r for r in records if r.config["n_devices"] == 2)
    assert not set(indices(first)) & set(indices(second)) or not overlaps([first, second]), (
        "no card has two workers"
    )


def test_one_worker_at_a_time_where_that_is_asked_for(
    sweep: Callable[[str], Sweep], tmp_path: Path
) -> None:
    with open_bench(f"{LARGE},{LARGE}") as bench:
        records = records_of(sweep("axes.n_expert_used = [4, 6, 8]"), bench, tmp_path, workers=1)
    assert [record.conditions.n_workers_beside for record in records] == [0, 0, 0]
    assert not overlaps(records)


def test_on_a_cpu_there_is_one_worker(sweep: Callable[[str], Sweep]) -> None:
    with open_bench() as bench:
        assert bench.environment.backend == "cpu"
        assert spread(sweep(), QWEN3, bench).at_once == 1
        with pytest.raises(ConfigError, match="workers on one CPU disturb each other"):
            spread(sweep(), QWEN3, bench, workers=2)


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        ({}, False),
        ({"n_gpu_layers": 49}, False),
        ({"n_gpu_layers": 48}, True),
        ({"n_cpu_moe": 1}, True),
        ({"override_tensor": "exps=CPU"}, True),
        ({"offload_kqv": False}, True),
    ],
)
def test_what_lies_in_the_hosts_memory_is_timed_alone(
    sweep: Callable[[str], Sweep], knobs: dict[str, object], expected: bool
) -> None:
    (point,) = sweep().points()
    assert QWEN3.n_layer == 48
    assert uses_host(point.config.with_(**knobs), QWEN3) is expected


def test_a_worker_is_kept_to_the_cpus_of_its_card(
    sweep: Callable[[str], Sweep], tmp_path: Path
) -> None:
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2 or max(mine) > 63:
        pytest.skip("needs two of the first 64 CPUs to choose from")
    with open_bench(LARGE) as bench:
        assert bench.phantom is not None
        bench.phantom.set(Sensor.CPUS, 1 << mine[0])
        with Nvml(bench.phantom.nvml_path) as nvml:
            (card,) = nvml.cards()
            assert card.cpus == (mine[0],)
            bench.phantom.set(Sensor.CPUS, sum(1 << cpu for cpu in mine))
            assert nvml.cards()[0].cpus == (), "all that there are is no choice"
        executor = CardsExecutor(
            [card], lambda taken: bench.share(taken, True), at_once=1, company=Company()
        )
        records = Runner(Store(tmp_path), executor, environment=bench.environment).run(
            sweep("axes.n_ctx = [512, 1024]")
        )
        with closing(records):
            record = next(records)
            children = [
                each
                for each in psutil.Process().children()
                if each.status() != psutil.STATUS_ZOMBIE
            ]
            (worker,) = (each for each in children if "oomph.measure.worker" in each.cmdline())
            assert worker.cpu_affinity() == [mine[0]]
        assert not worker.is_running()
    assert record.outcome.label == "ok"
    assert record.conditions.cpus == [mine[0]]
    assert record.conditions.n_threads == 1


@pytest.mark.parametrize(
    ("how", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_the_end_of_the_sweep_is_the_end_of_the_workers_on_all_cards(
    qwen3_30b: Path, tmp_path: Path, how: signal.Signals, exit_code: int
) -> None:
    """Contexts so deep that filling them takes minutes."""
    spec = tmp_path / "long.toml"
    spec.write_text(
        f'name = "long"\nmodel = "{qwen3_30b}"\nmeasure = {{depths = ["full"], n_prompt = 8}}\n'
        "axes = {n_expert_used = [4, 8], n_ctx = 65536}"
    )
    sweep = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from oomph.cli import main; main()",
            "sweep",
            str(spec),
            "--out",
            str(tmp_path / "out"),
            "--phantom",
            f"{LARGE},{LARGE}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while (
            len(workers := psutil.Process(sweep.pid).children()) < 4 and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        sweep.send_signal(how)
        _, said = sweep.communicate(timeout=30)
    finally:
        sweep.kill()
    assert sweep.returncode == exit_code
    assert ("The same command goes on from there." in said) == (how == signal.SIGINT)
    assert len(workers) == 4, "two workers, each with its watch"
    _gone, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
