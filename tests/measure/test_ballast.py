"""The ballast: it holds what it is told, ends with whoever started it, and marks what ran beside
it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oomph.config import RunConfig
from oomph.errors import ToolchainError
from oomph.gpus import gpu
from oomph.measure.ballast import BallastedExecutor, Door, Holder, ballasted, door_to, holding
from oomph.measure.bench import Bench, open_bench
from oomph.measure.frontier import filled_sweep, measured_slack
from oomph.measure.runner import Runner
from oomph.phantom.cards import Phantom, PhantomCard, phantom_cards
from oomph.records.store import Store
from oomph.units import GIB, MIB

pytestmark = [pytest.mark.phantom, pytest.mark.usefixtures("cuda_backend")]
CARD = "RTX PRO 6000 Blackwell"

PARENT = """
import os, sys, time
from oomph.measure.ballast import Door, Holder
holder = Holder(Door(library=sys.argv[1], environment={}), leave_bytes=2 << 30)
print(holder.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    with open_bench(CARD) as opened:
        yield opened


def phantom_of(bench: Bench) -> Phantom:
    assert bench.phantom is not None
    return bench.phantom


def test_it_leaves_what_was_asked_and_gives_the_rest_back(bench: Bench) -> None:
    total = phantom_of(bench).counters().total_bytes
    with holding(door_to(bench, bench.cards[0]), leave_bytes=24 * GIB) as ballast:
        left = total - phantom_of(bench).counters().used_bytes
        assert left == ballast.said["free_bytes"]
        assert 0 <= left - 24 * GIB < 2 * MIB
        assert ballast.said["held_bytes"] == total - left
    assert phantom_of(bench).counters().used_bytes == 0


def test_without_memory_to_leave_it_is_a_context_and_nothing_else() -> None:
    card = PhantomCard(spec=gpu(CARD), context_bytes=555 * MIB)
    with phantom_cards([card]) as phantom:
        door = Door(library=str(phantom.cuda_path), environment=phantom.environment())
        with holding(door) as context:
            assert (
                context.said["total_with_context_bytes"] - context.said["free_with_context_bytes"]
                == 555 * MIB
            )
            assert (context.said["compute_capability"], context.said["cuda_version"]) == (
                "12.0",
                "13.0",
            )
            assert context.said["name"] == gpu(CARD).name
        assert phantom.counters().used_bytes == 0


def test_what_the_card_does_not_have_is_one_sentence(bench: Bench) -> None:
    door = door_to(bench, bench.cards[0])
    with pytest.raises(
        ToolchainError, match=r"only 97,247 MiB are free, less than the 204,800 MiB to leave"
    ):
        Holder(door, leave_bytes=200 * GIB)


def test_without_a_driver_it_is_one_sentence() -> None:
    with pytest.raises(
        ToolchainError, match=r"the CUDA driver refuses: libnothing\.so cannot be loaded"
    ):
        Holder(Door(library="libnothing.so", environment={}))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_however_that_ends(bench: Bench, how: signal.Signals) -> None:
    phantom = phantom_of(bench)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(phantom.cuda_path)],
        env=os.environ | phantom.environment(),
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert phantom.counters().used_bytes > 80 * GIB
    parent.send_signal(how)
    parent.wait()
    while (
        Path(f"/proc/{pid}").exists()
        and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    ):
        time.sleep(0.02)  # the test's own time limit ends this
    assert phantom.counters().used_bytes == 0
    parent.stdout.close()


def test_a_killed_ballast_ends_the_step_and_keeps_no_point(
    bench: Bench, qwen3_30b: Path, tmp_path: Path
) -> None:
    with holding(door_to(bench, bench.cards[0]), leave_bytes=24 * GIB) as ballast:
        runner = Runner(
            Store(tmp_path),
            BallastedExecutor(bench.executor, ballast),
            model=qwen3_30b,
            environment=ballasted(bench.environment, ballast, 24 * GIB),
        )
        sweep = filled_sweep(RunConfig(n_ctx=512), str(qwen3_30b))
        (record,) = runner.run(sweep)
        os.kill(ballast.pid, signal.SIGKILL)
        with pytest.raises(ToolchainError, match=r"has ended \(signal 9\).*what is on disk stays"):
            list(runner.run(filled_sweep(RunConfig(n_ctx=1024), str(qwen3_30b))))
    assert [each.record_id for each in Store(tmp_path).records()] == [record.record_id]


def test_what_runs_beside_it_is_of_a_smaller_card(
    bench: Bench, qwen3_30b: Path, tmp_path: Path
) -> None:
    sweep = filled_sweep(RunConfig(n_ctx=512, flash_attn="on"), str(qwen3_30b))
    with holding(door_to(bench, bench.cards[0]), leave_bytes=24 * GIB) as ballast:
        smaller = ballasted(bench.environment, ballast, 24 * GIB)
        executor = BallastedExecutor(bench.executor, ballast)
        (record,) = Runner(Store(tmp_path), executor, model=qwen3_30b, environment=smaller).run(
            sweep
        )
        left = ballast.said["free_bytes"]
    assert record.conditions.other_processes == []
    assert record.conditions.cards["CUDA0"].other_processes == []
    (series,) = [series for series in record.memory if series.quantity == "vram"]
    assert measured_slack(record) == left - series.peak_bytes
    whole = Runner(Store(tmp_path), bench.executor, model=qwen3_30b, environment=bench.environment)
    assert len(whole.pending(sweep)) == 1
