"""Jobs side by side, each in a thread of its own; what they complete comes one by one.

Apart from the runner because it is about threads only. A worker that has completed a point waits
until the next one is asked for, so that no worker goes on before the last record is on the disk.
"""

import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

from oomph.measure.executors import Completed, Executor, Job

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Worker(Generic[T]):
    task: T
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class WorkerPool(Generic[T]):
    """Up to `at_once` jobs, each known by the task that it is started for; leaving the block ends
    them all.

    The threads live as long as the block: a worker is told to die with the thread that started it.
    """

    def __init__(self, at_once: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="oomph-worker")
        self._running: set[_Worker[T]] = set()
        self._said: queue.SimpleQueue[tuple[_Worker[T], Completed | Future[None]]] = (
            queue.SimpleQueue()
        )
        self._held: _Worker[T] | None = None
        self._stop, self._enough = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self.let_end()
        for worker in self._running:
            worker.go.release()
        self._pool.shutdown(cancel_futures=True)

    @property
    def tasks(self) -> list[T]:
        """Those that are being run."""
        return [worker.task for worker in self._running]

    def start(self, task: T, executor: Executor, job: Job) -> None:
        """Run `job` in a worker of its own."""
        worker = _Worker(task)
        self._running.add(worker)
        future = self._pool.submit(self._drive, worker, executor, job)
        future.add_done_callback(lambda ended: self._said.put((worker, ended)))

    def take(self) -> tuple[T, Completed | None]:
        """Wait for the next completed point of any task, or None for a task whose job has ended.

        The worker that the last point came from goes on. What a job raised is raised here.
        """
        if self._held:
            self._held.go.release()
            self._held = None
        worker, said = self._said.get()
        if isinstance(said, Future):
            self._running.remove(worker)
            said.result()
            return worker.task, None
        self._held = worker
        return worker.task, said

    def let_end(self) -> None:
        """Let every job end after the point that it is at."""
        self._enough.set()

    def _drive(self, worker: _Worker[T], executor: Executor, job: Job) -> None:
        for completed in executor.run(job, self._stop):
            self._said.put((worker, completed))
            worker.go.acquire()
            if self._enough.is_set():
                return  # which drops the iterator, and that ends the worker
