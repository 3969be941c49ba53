"""Jobs in threads: what they raise is raised, and no thread keeps a program from ending."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from oomph.measure.executors import Completed, Job
from oomph.measure.pool import WorkerPool

JOB = Job(model_path=__file__, arch="llama", points=(), n_threads=1)  # type: ignore[arg-type]

DROPPED = """
import threading
from oomph.measure.executors import Job
from oomph.measure.pool import WorkerPool

class Endless:
    def run(self, job, stop):
        threading.Event().wait()
        yield

def measure():
    with WorkerPool() as pool:
        pool.start("endless", Endless(), Job(model_path=None, arch="", points=(), n_threads=1))
        while True:
            yield "a record"

records = measure()
next(records)
print("the program has nothing left to do")
kept = []
try:
    raise KeyboardInterrupt
except KeyboardInterrupt as error:
    kept.append((error, records))
"""


def test_a_block_that_nobody_leaves_keeps_no_program_from_ending() -> None:
    """As where an interrupt comes while a line is printed: its traceback holds the generator, which
    holds the block."""
    ended = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


class Raising:
    """A job that raises at once."""

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        raise OSError("no room")
        yield


class Waiting:
    """A job that ends where it is told to stop."""

    ended = False

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        assert stop is not None
        stop.wait()
        self.ended = True
        yield from ()


def test_what_a_job_raises_is_raised_where_it_is_asked_for() -> None:
    with WorkerPool[str]() as pool:
        pool.start("first", Raising(), JOB)
        with pytest.raises(OSError, match="no room"):
            pool.take()
        assert pool.tasks == []


class Interrupting:
    """A job that interrupts the program through its own thread: no wait is woken by it."""

    told_to_stop = False

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        assert stop is not None
        time.sleep(0.5)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        self.told_to_stop = stop.wait(60)
        yield from ()


def test_a_wait_hears_an_interrupt_that_did_not_wake_it() -> None:
    """As one that comes just before the wait begins."""
    job = Interrupting()
    with WorkerPool[str]() as pool:
        pool.start("only", job, JOB)
        with pytest.raises(KeyboardInterrupt):
            pool.take()
    assert job.told_to_stop


def test_leaving_the_block_ends_every_job_and_waits_for_it() -> None:
    jobs = [Waiting(), Waiting()]
    with WorkerPool[int]() as pool:
        for number, job in enumerate(jobs):
            pool.start(number, job, JOB)
        assert pool.tasks == [0, 1]
    assert all(job.ended for job in jobs)
