"""Children that abort, hang, flood, lie and leave grandchildren: each ends as an outcome, and
nobody survives."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oomph.measure.executors import WORKER, Completed, Job, LocalExecutor
from oomph.measure.sweep import Sweep

MARK = "oomph_test_grandchild"


@pytest.fixture
def run(
    speaker: Callable[[str], Path], make_sweep: Callable[[str], Sweep]
) -> Callable[..., list[Completed]]:
    def run(body: str, *, limits: str = "") -> list[Completed]:
        points = make_sweep(f"axes.n_ctx = [256, 512]\n[limits]\n{limits}").points(n_devices=0)
        job = Job(model_path=Path("model.gguf"), arch="llama", points=points, n_threads=1)
        return list(LocalExecutor(worker=[str(speaker(body))], interval_s=0.01).run(job))

    return run


WELL = "load()\nfor point in points(): measured(point)\n"


def test_a_child_that_answers_is_taken_through_every_point(
    run: Callable[..., list[Completed]],
) -> None:
    first, second = run(WELL)
    assert [first.exit_code, second.exit_code] == [None, None]
    assert first.reply["timings"][0]["samples_ns"] == [256]
    assert second.reply["timings"][0]["samples_ns"] == [512]
    assert any("n_expert_used" in line for line in second.log), (
        "the log of the load belongs to every point"
    )
    assert not any("n_ctx                 = 256" in line for line in second.log), (
        "that of another point does not"
    )
    rss = next(series for series in first.memory if series.quantity == "rss")
    assert rss.peak_bytes >= max(rss.values_bytes) > 1024**2
    assert rss.baseline_bytes is not None


@pytest.mark.parametrize(
    ("body", "exit_code"),
    [
        ("load()\nos.abort()", -signal.SIGABRT),
        ("load()\nos.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("load()\nsys.exit(0)", 0),
        ("sys.exit(0)", 0),
        ("load()\nreplies.write('no JSON\\n'); replies.flush(); time.sleep(60)", -signal.SIGKILL),
        ("load()\nos.close(replies.fileno()); time.sleep(60)", -signal.SIGKILL),
        (
            "load()\nsay('failed', stage='decode', message='llama_decode returned 1')\nsys.exit(1)",
            1,
        ),
    ],
)
def test_a_child_that_ends_or_talks_nonsense_ends_the_job_with_its_exit_code(
    run: Callable[..., list[Completed]], body: str, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oomph.measure.child.GRACE_S", 0.2)
    (point,) = run(body)
    assert point.exit_code == exit_code
    assert not point.timed_out
    assert "timings" not in point.reply


@pytest.mark.parametrize("hang", ["time.sleep(60)", "load()\ntime.sleep(60)"])
def test_a_child_that_hangs_is_ended_at_its_limit(
    run: Callable[..., list[Completed]], hang: str
) -> None:
    (point,) = run(hang, limits="load_timeout_s = 1.0\npoint_timeout_s = 1.0")
    assert point.timed_out
    assert point.exit_code == -signal.SIGKILL
    assert point.loaded == hang.startswith("load")


def test_a_flood_on_stderr_neither_blocks_nor_is_read_whole(
    run: Callable[..., list[Completed]],
) -> None:
    flood = "log(('y' * 100 + '\\n') * 100_000 + 'last')"
    body = f"load()\nfor point in points():\n    {flood}\n    measured(point)\n"
    first, second = run(body)
    assert first.exit_code is None
    assert second.exit_code is None
    assert len(first.log) < 50_000
    assert "last" in first.log


def test_a_grandchild_dies_with_the_worker(run: Callable[..., list[Completed]]) -> None:
    """It holds the reply pipe open, too: the wait must not be for the end of that."""
    body = (
        f"subprocess.Popen(['sleep', '300'], close_fds=False, env={{'{MARK}': "
        f"'1'}})\nload()\nos._exit(3)"
    )
    (point,) = run(body)
    assert point.exit_code == 3
    time.sleep(0.1)
    assert not [process for process in psutil.process_iter() if _is_marked(process)]


def _is_marked(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and MARK in process.environ()
    except psutil.Error:
        return False


def test_closing_the_iterator_ends_the_worker_at_once(
    speaker: Callable[[str], Path], make_sweep: Callable[[str], Sweep]
) -> None:
    points = make_sweep("axes.n_ctx = [256, 512]").points(n_devices=0)
    job = Job(model_path=Path("model.gguf"), arch="llama", points=points, n_threads=1)
    before = {child.pid for child in psutil.Process().children()}
    completed = LocalExecutor(worker=[str(speaker(WELL + "time.sleep(60)"))]).run(job)
    next(completed)
    started, processes = (
        time.monotonic(),
        {child.pid for child in psutil.Process().children()} - before,
    )
    assert len(processes) == 2, "the worker and its watch"
    completed.close()  # type: ignore[attr-defined]
    assert not any(map(psutil.pid_exists, processes))
    assert time.monotonic() - started < 5


PARENT = """
import os, subprocess, sys, time
replies, theirs = os.pipe()
child = subprocess.Popen(
    [sys.executable, *sys.argv[2:], str(theirs)],
    stdin=subprocess.PIPE, pass_fds=[theirs], start_new_session=True,
)
child.stdin.write(sys.argv[1].replace("PARENT", str(os.getpid())).encode() + b"\\n")
child.stdin.flush()
os.read(replies, 1)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.llama
def test_the_parents_death_ends_the_real_worker(tiny_moe: Path) -> None:
    job = (
        '{"parent_pid": PARENT, "memory_bytes": null, "backend_path": null, "n_gpu_layers": 0, '
        '"main_gpu": 0, '
        '"split_mode": "layer", "load_mode": "mmap", "tensor_split": null, "n_expert_used": null, '
        '"arch": "llama", '
        f'"override_tensor": null, "n_cpu_moe": 0, "cpus": [], "model_path": "{tiny_moe}"}}'
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, job, *WORKER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    gone, _ = psutil.wait_procs([worker], timeout=10)
    assert gone == [worker]
