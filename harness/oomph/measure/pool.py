"""Jobs side by side, each in a thread of its own; what they complete comes one by one.

Apart from the runner because it is about threads only. A worker that has completed a point waits
until the next one is asked for, so that no worker goes on before the last record is on the disk.
"""

import contextlib
import queue
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

from oomph.measure.child import GLANCE_S
from oomph.measure.executors import Completed, Executor, Job

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Worker(Generic[T]):
    task: T
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class WorkerPool(Generic[T]):
    """Jobs, each known by the task that it is started for; leaving the block ends them all.

    A thread lives until its job has ended, as a worker is told to die with the thread that started
    it. No thread keeps the program from ending: an exception that holds a block which nobody left
    would, at the end of Python, wait for a worker that nobody ends.
    """

    def __init__(self) -> None:
        self._running: dict[_Worker[T], threading.Thread] = {}
        self._said: queue.SimpleQueue[tuple[_Worker[T], Completed | BaseException | None]] = (
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
        for thread in self._running.values():
            if thread.is_alive():  # not where starting it was interrupted
                thread.join()

    @property
    def tasks(self) -> list[T]:
        """Those that are being run."""
        return [worker.task for worker in self._running]

    def start(self, task: T, executor: Executor, job: Job) -> None:
        """Run `job` in a worker of its own."""
        worker = _Worker(task)
        thread = threading.Thread(
            target=self._drive,
            args=(worker, executor, job),
            name="oomph-worker",
            daemon=True,
        )
        self._running[worker] = thread
        thread.start()

    def take(self) -> tuple[T, Completed | None]:
        """Wait for the next completed point of any task, or None for a task whose job has ended.

        The worker that the last point came from goes on. What a job raised is raised here.
        """
        if self._held:
            self._held.go.release()
            self._held = None
        worker, said = self._next()
        if isinstance(said, Completed):
            self._held = worker
            return worker.task, said
        self._running.pop(worker).join()
        if said:
            raise said
        return worker.task, None

    def _next(self) -> tuple[_Worker[T], Completed | BaseException | None]:
        """What is said next. A wait without an end is deaf to a signal that comes just before
        it."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self._said.get(timeout=GLANCE_S)

    def let_end(self) -> None:
        """Let every job end after the point that it is at."""
        self._enough.set()

    def _drive(self, worker: _Worker[T], executor: Executor, job: Job) -> None:
        error: BaseException | None = None
        try:
            self._go_through(worker, executor, job)
        except BaseException as raised:
            error = raised
        self._said.put((worker, error))

    def _go_through(self, worker: _Worker[T], executor: Executor, job: Job) -> None:
        for completed in executor.run(job, self._stop):
            self._said.put((worker, completed))
            worker.go.acquire()
            if self._enough.is_set():
                return  # which drops the iterator, and that ends the worker
