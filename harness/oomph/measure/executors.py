"""Where a job runs: the seam `Executor`, and the executor of this machine.

A job is a load and the points that share it. An executor runs it and yields each point as it ends;
after one that failed the process is gone, so the iterator ends and the caller hands in what is left
as a new job. Whatever happens to the child is an outcome of the point, never an exception here.
Jobs and what they complete are plain data: they travel to other machines and back.
"""

import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Protocol

from oomph.config import MAX_LAYERS
from oomph.frozen import frozen
from oomph.measure.child import Child
from oomph.measure.oom_kills import OomKills
from oomph.measure.point import Point
from oomph.measure.probes import HostProbe, Probe, Sampler
from oomph.measure.texts import Texts, questions
from oomph.measure.worker import protocol
from oomph.measure.worker.protocol import Reply
from oomph.records.schema import Environment, MemorySeries

WORKER: Final = ("-P", "-m", "oomph.measure.worker")
"""What Python is told to run; -P keeps modules of the current folder out of it."""
QUIET: Final = {"GGML_NO_BACKTRACE": "1"}
"""An abort calls gdb where there is one, which prints a backtrace and keeps the card's memory
meanwhile."""
HOST_INTERVAL_S: Final = 0.1
"""Peaks of host memory are exact whatever the interval; twenty samples a second cost 1.2 % of a
core, ten half."""
MAX_LOG_BYTES: Final = 4 * 1024**2
"""Of a longer log the beginning and the end are read."""


@frozen
class Job:
    """One load of a model and the points to measure in it, which share a load key.

    `texts` holds, by the name that a point's workload gives, the texts to score. `n_threads` is for
    points that name none. `header_sha256` is what a machine that has a file of its own holds it
    against, `draft_path` the model that drafts beside it.
    """

    model_path: Path
    arch: str
    points: tuple[Point, ...]
    n_threads: int
    texts: Texts = field(default_factory=dict)
    references: Path | None = None
    header_sha256: str = ""
    draft_path: Path | None = None


@frozen
class Completed:
    """How a point went, before anything is concluded from it.

    `exit_code` is None where the worker lives on, `reply` merges what it said, `failure` is (stage,
    message) where it reported an error itself. `log` is llama.cpp's, of the load and of this point.
    `environment` is where it ran, if that is not where it was asked for; `lost` says what became of
    that machine, if it did not come back. `oom_kills` is how many processes the kernel killed for
    memory while the worker lived, by `oom_kills_by`, None where it does not tell; `was_ended` says
    that the worker was killed by its parent.
    """

    point: Point
    started_at: datetime
    wall_ns: int
    exit_code: int | None
    reply: Reply
    failure: tuple[str, str] | None
    timed_out: bool
    log: tuple[str, ...]
    memory: tuple[MemorySeries, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    environment: Environment | None = None
    lost: str = ""
    oom_kills: int | None = None
    oom_kills_by: str = ""
    was_ended: bool = False

    @property
    def loaded(self) -> bool:
        """Whether the weights were in place when it ended."""
        return "load_ns" in self.reply


class Executor(Protocol):
    """Runs jobs somewhere."""

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn, ending after one that failed.

        Closing the iterator ends the worker; so does `stop`, from another thread, in the middle of
        a point, which is then not yielded. Jobs may be run from several threads at once, as far as
        the executor has room for them.
        """


class LocalExecutor:
    """Runs a job in a child process of its own group, with probes beside it.

    `backend_path` is a ggml backend to load as a plug-in, `environment` what to add to the child's,
    `cpus` those that it is kept to (none: all); `probes` makes the probes of one job, `worker` is
    what Python is told to run.
    """

    def __init__(
        self,
        *,
        probes: Callable[[], Sequence[Probe]] = lambda: (HostProbe(),),
        interval_s: float = HOST_INTERVAL_S,
        backend_path: Path | None = None,
        environment: Mapping[str, str] | None = None,
        cpus: Sequence[int] = (),
        worker: Sequence[str] = WORKER,
    ) -> None:
        self._probes, self._interval_s, self._worker = probes, interval_s, tuple(worker)
        self._backend_path, self._environment, self._cpus = (
            backend_path,
            dict(environment or {}),
            tuple(cpus),
        )

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn, ending after one that failed; see `Executor`."""
        probes = self._probes()
        with contextlib.ExitStack() as opened:
            for probe in probes:
                probe.open()
                opened.callback(probe.close)
            # ends before a probe closes
            sampler = opened.enter_context(Sampler(probes, interval_s=self._interval_s))
            log = opened.enter_context(tempfile.TemporaryFile())
            child = Child(self._worker, environment=QUIET | self._environment, log=log, stop=stop)
            try:
                for probe in probes:
                    probe.attach(child.pid)
                child.send(self._opening(job))
                yield from _Session(job, child, sampler, log, stop or threading.Event()).points()
            except BaseException:  # an interrupt, or the caller has closed the iterator
                child.end(at_once=True)
                raise
            finally:
                child.end()

    def _opening(self, job: Job) -> protocol.Job:
        first = job.points[0]
        return {
            "params": first.config.llama_params("model"),
            "tensor_split": first.config.tensor_split,
            "override_tensor": first.config.tensor_overrides,
            "n_cpu_moe": min(first.config.n_cpu_moe, MAX_LAYERS),
            "n_expert_used": first.config.n_expert_used,
            "model_path": str(job.model_path),
            "arch": job.arch,
            "load_mode": first.load_mode,
            "memory_bytes": first.limits.memory_bytes,
            "memory_kind": first.limits.memory_kind,
            "backend_path": str(self._backend_path) if self._backend_path else None,
            "parent_pid": os.getpid(),
            "cpus": list(self._cpus),
        }


class _Session:
    """One child and the points it is taken through."""

    def __init__(
        self, job: Job, child: Child, sampler: Sampler, log: IO[bytes], stop: threading.Event
    ) -> None:
        self._job, self._child, self._sampler, self._log, self._stop = (
            job,
            child,
            sampler,
            log,
            stop,
        )
        self._reply: Reply = {}
        self._failure: tuple[str, str] | None = None
        self._watched: tuple[tuple[MemorySeries, ...], dict[str, Any]] | None = None
        self._kills = OomKills(child.pid)

    def points(self) -> Iterator[Completed]:
        """Load, then measure; ends after a point that failed. The first point's time and peaks
        include the load."""
        started_at, started = self._begin()
        well = self._until(protocol.LOADED, started + self._job.points[0].timeouts.load.seconds)
        load_reply, load_log_end = self._reply, self._log_size()
        for index, point in enumerate(self._job.points):
            if index:
                started_at, started = self._begin()
                self._reply = load_reply
            log_from = self._log_size()
            well = well and self._measure(point)
            if not well and self._stop.is_set():
                self._child.end(at_once=True)
                return
            memory, conditions = self._watched or self._stop_watching()
            exit_code = None if well else self._child.end()
            yield Completed(
                point=point,
                started_at=started_at,
                wall_ns=round((time.monotonic() - started) * 1e9),
                exit_code=exit_code,
                reply=self._reply,
                failure=self._failure,
                timed_out=self._child.timed_out,
                log=(*self._lines(0, load_log_end), *self._lines(log_from, self._log_size())),
                memory=memory,
                conditions=conditions | {"context_index": index, "n_threads": self._threads(point)},
                oom_kills=self._kills.since(),
                oom_kills_by=str(self._kills.source or ""),
                was_ended=self._child.was_ended,
            )
            if not well:
                return

    def _begin(self) -> tuple[datetime, float]:
        self._watched = None
        self._sampler.start_window()
        return datetime.now(UTC), time.monotonic()

    def _stop_watching(self) -> tuple[tuple[MemorySeries, ...], dict[str, Any]]:
        return self._sampler.end_window(), self._sampler.conditions()

    def _threads(self, point: Point) -> int:
        return point.config.n_threads or self._job.n_threads

    def _measure(self, point: Point) -> bool:
        """Take the child through one point; the probes are read before the text is scored, which
        takes memory too."""
        deadline = time.monotonic() + point.timeouts.point.seconds
        config = point.config.with_(n_threads=self._threads(point))
        asked: protocol.Point = {
            "config": config.to_dict(),
            "params": config.llama_params("context"),
            "workload": point.workload.model_dump(mode="json"),  # type: ignore[typeddict-item]
        }
        self._child.send(asked)
        if not self._until(protocol.MEASURED, deadline):
            return False
        self._watched = self._stop_watching()
        left_s = deadline - time.monotonic()
        self._child.send(questions(point, self._job.texts, self._job.references, seconds=left_s))
        return self._until(protocol.DONE, deadline)

    def _until(self, wanted: str, deadline: float) -> bool:
        """Collect what the child says up to the event `wanted`; False when it fails, ends or is too
        late."""
        while (said := self._child.event(deadline)) is not None:
            event = said.pop("event")
            if event == protocol.READY:
                self._sampler.note_baseline()
            if event == protocol.FAILED:
                self._failure = (str(said.get("stage")), str(said.get("message")))
                return False
            if event == protocol.ANSWERED:
                items = [*self._reply.get("task_items", ()), said.pop("task_item")]
                said["task_items"] = items
            self._reply = {**self._reply, **said}  # type: ignore[typeddict-item]
            if event == wanted:
                return True
        return False

    def _log_size(self) -> int:
        return os.fstat(self._log.fileno()).st_size

    def _lines(self, first: int, end: int) -> list[str]:
        """Lines of the log between two offsets, of a flood the beginning and the end."""
        size, half = end - first, MAX_LOG_BYTES // 2
        pieces = [(first, size)] if size <= 2 * half else [(first, half), (end - half, half)]
        read = b"\n".join(os.pread(self._log.fileno(), n_bytes, at) for at, n_bytes in pieces)
        return read.decode(errors="replace").splitlines()
