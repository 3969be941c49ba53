"""What a sweep costs beside its measurements: an executor that answers at once, over 1,000, 10,000
and 100,000 points.

A row is processor time in milliseconds a point: to be ready, and to take a point from the queue to
the disk and go on. `shared` measures the points of a load in one process, `fresh` each in one of
its own, and of `half` every longer context runs out of memory, so that half of the points are
skipped. Constant per point is what should be there.

    python bench/sweep_queue.py                 # all three, up to 100,000 points
    python bench/sweep_queue.py fresh 1000
"""

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.large_folders import write_sweep

from oomph.measure.executors import Completed, Job
from oomph.measure.point import Point
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.store import Store

KINDS: Final = ("shared", "fresh", "half")
COUNTS: Final = (1_000, 10_000, 100_000)
REFUSED: Final = (
    "alloc_tensor_range: failed to allocate CPU buffer of size 9",
    "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv "
    "cache",
)


class AtOnce:
    """Runs nothing: a point is completed as it is asked for, or, past `longest` tokens, refused."""

    def __init__(self, longest: int | None = None) -> None:
        self._longest = longest

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job, ending after one that was refused."""
        for point in job.points:
            refused = self._longest is not None and point.config.n_ctx > self._longest
            yield _completed(point, refused=refused)
            if refused:
                return


def _completed(point: Point, *, refused: bool) -> Completed:
    return Completed(
        point=point,
        started_at=datetime.now(UTC),
        wall_ns=1,
        exit_code=1 if refused else None,
        failure=("context", "llama_init_from_model returned NULL") if refused else None,
        timed_out=False,
        reply={"load_ns": 1, "timings": []},
        log=REFUSED if refused else (f"llama_context: n_ctx = {point.config.n_ctx}",),
    )


def measure(kinds: list[str], counts: list[int]) -> None:
    """Print the table."""
    print("| kind | points | ready, ms a point | measured, ms a point |")
    print("| --- | ---: | ---: | ---: |")
    for kind in kinds:
        for n in counts:
            with tempfile.TemporaryDirectory() as name:
                path = write_sweep(Path(name), n)
                if kind == "fresh":
                    text = path.read_text(encoding="utf-8")
                    path.write_text(f"fresh_process = true\n{text}", encoding="utf-8")
                began = time.process_time()
                sweep = Sweep.load(path)
                longest = max(point.config.n_ctx for point in sweep.settings("n_ctx"))
                executor = AtOnce(longest // 2 if kind == "half" else None)
                runner = Runner(Store(Path(name) / "out"), executor)
                runner.n_pending(sweep)
                ready = time.process_time()
                n_records = sum(1 for _ in runner.run(sweep))
                done = time.process_time()
            ms = [1000 * seconds / n_records for seconds in (ready - began, done - ready)]
            print(f"| {kind} | {n_records:,} | {ms[0]:.3f} | {ms[1]:.3f} |", flush=True)


if __name__ == "__main__":
    measure(
        [sys.argv[1]] if len(sys.argv) > 1 else list(KINDS),
        [int(n) for n in sys.argv[2].split(",")] if len(sys.argv) > 2 else list(COUNTS),
    )
