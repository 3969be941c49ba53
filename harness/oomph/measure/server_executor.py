"""The executor of points that run through llama-server, which alone drafts.

A server is started for each point, watched by the same probes as a worker, asked over HTTP and
timed by its own clock, which leaves the network out. A prompt of a text that people write, not of
random tokens: how much of a draft is accepted hangs on it.
"""

import contextlib
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import HTTPError

from oomph.errors import OomphError
from oomph.foreign import parse_json
from oomph.foreign_text import visible
from oomph.measure.executors import HOST_INTERVAL_S, Completed, Executor, Job
from oomph.measure.logs.contexts import RIDING, buffers_by_context
from oomph.measure.logs.reported import build_commit
from oomph.measure.oom_kills import OomKills
from oomph.measure.point import Point
from oomph.measure.probes import HostProbe, Probe, Sampler
from oomph.measure.server_run import NO_REPLY, Server, find_server
from oomph.measure.texts import pydoc_text
from oomph.measure.worker.ladder import depths_within, wants_more
from oomph.measure.worker.protocol import Reply, Timing
from oomph.measure.workload import SERVER, Workload
from oomph.programs.spelling import Flags, flags_of, refuse_unspelled, spelled_knobs
from oomph.records.schema import Environment

_ALWAYS: Final = ("n_ctx", "n_seq_max", "n_batch", "n_ubatch", "flash_attn", "type_k", "type_v")
_OWN_WAY: Final = ("n_devices", "n_expert_used", "n_outputs_max", "load_mode")
"""Knobs that are said in a way of their own, or follow from others."""
_REASON_BYTES: Final = 1 << 16
_ASK_S: Final = 0.2
"""How often a wait looks whether it has been called off."""


def server_command(program: Path, job: Job, point: Point) -> list[str]:
    """What starts llama-server for a point; `--fit off`, as it would change what was asked.

    Raises NoSpellingError for a knob that it has no flag for.
    """
    config = point.config
    refuse_unspelled(config, SERVER, _OWN_WAY)
    knobs = spelled_knobs(config, SERVER, (*_ALWAYS, "n_gpu_layers"))
    flags: Flags = {"model": str(job.model_path), **flags_of(knobs, SERVER)}
    flags |= {"fit": "off", "load-mode": point.load_mode}
    flags["threads"] = str(config.n_threads or job.n_threads)
    if config.n_devices == 0:
        flags["device"] = "none"
    if config.n_expert_used is not None:
        flags["override-kv"] = f"{job.arch}.expert_used_count=int:{config.n_expert_used}"
    if job.draft_path:
        flags["spec-draft-model"] = str(job.draft_path)
    said = ([f"--{name}", value] for name, value in flags.items())
    return [str(program), *(word for pair in said for word in pair if word is not None)]


class ServerExecutor:
    """Runs each point of a job in a llama-server of its own.

    `machine` is what the records say of where it runs, but for the build, which is the server's.
    `probes` makes the probes of one point, `variables` are what the program's environment needs
    besides, `arguments` are appended, `server` finds the program.
    """

    def __init__(
        self,
        machine: Environment,
        *,
        probes: Callable[[], Sequence[Probe]] = lambda: (HostProbe(),),
        interval_s: float = HOST_INTERVAL_S,
        variables: Callable[[Path], Mapping[str, str]] = lambda _: {},
        arguments: Sequence[str] = (),
        server: Callable[[], Path] = find_server,
    ) -> None:
        self._machine, self._probes, self._interval_s = machine, probes, interval_s
        self._variables, self._arguments, self._server = variables, tuple(arguments), server

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn, ending after one that failed; see `Executor`."""
        stop, program = stop or threading.Event(), self._server()
        for point in job.points:
            completed = self._point(program, job, point, stop)
            if stop.is_set():
                return
            yield completed
            if completed.exit_code is not None:
                return

    def _point(self, program: Path, job: Job, point: Point, stop: threading.Event) -> Completed:
        started_at, started = datetime.now(UTC), time.monotonic()
        probes = self._probes()
        with contextlib.ExitStack() as opened:
            for probe in probes:
                probe.open()
                opened.callback(probe.close)
            sampler = opened.enter_context(Sampler(probes, interval_s=self._interval_s))
            log = opened.enter_context(
                tempfile.NamedTemporaryFile(prefix="oomph-server-", suffix=".log")
            )
            visit = _Visit(
                [*server_command(program, job, point), *self._arguments],
                self._variables(program),
                log,
                stop,
            )
            try:
                for probe in probes:
                    probe.attach(visit.server.pid)
                sampler.start_window()
                visit.measure(point)
                memory, seen = sampler.end_window(), sampler.conditions()
            finally:
                exit_code = visit.end()
            lines = visit.server.log()
            return Completed(
                point=point,
                started_at=started_at,
                wall_ns=round((time.monotonic() - started) * 1e9),
                exit_code=None if visit.went_well else exit_code,
                reply=visit.reply,
                failure=visit.failure,
                timed_out=visit.timed_out,
                log=lines,
                memory=memory,
                conditions=seen
                | {
                    "context_index": 0,
                    "n_threads": point.config.n_threads or job.n_threads,
                    "beside": buffers_by_context(lines, RIDING)[1],
                },
                environment=self._machine.model_copy(
                    update={"llama_cpp_commit": build_commit(lines)}
                ),
                oom_kills=visit.oom_kills,
                oom_kills_by=visit.oom_kills_by,
                was_ended=visit.was_ended,
            )


class ByProgram:
    """The executor of a machine where points run through the library or through llama-server."""

    def __init__(self, *, library: Executor, server: Executor) -> None:
        self._library, self._server = library, server

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn, ending after one that failed; see `Executor`."""
        served = job.points[0].workload.through == SERVER
        return (self._server if served else self._library).run(job, stop)


class _Visit:
    """One server, from its start to its end, and what it answered."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: IO[bytes],
        stop: threading.Event,
    ) -> None:
        self._stop, self._started = stop, time.monotonic()
        self.server = Server(command, environment=environment, log=log)
        self._kills = OomKills(self.server.pid)
        self.reply: Reply = {}
        self.failure: tuple[str, str] | None = None
        self.went_well = self.timed_out = self.was_ended = False
        self.oom_kills: int | None = None
        self.oom_kills_by = str(self._kills.source or "")

    def measure(self, point: Point) -> None:
        """Load and measure; what goes wrong is kept, never raised."""
        if (seconds := self._healthy(point.timeouts.load.seconds)) is None:
            return
        self.reply["load_ns"] = round(seconds * 1e9)
        with self._killed_if_called_off():
            self._talk(point)

    def _talk(self, point: Point) -> None:
        try:
            until = time.monotonic() + point.timeouts.point.seconds
            talk = _Talk(self.server, point.workload, until, self._stop)
            timings = talk.timings() if point.workload.timing else talk.fill()
            self.reply |= {"timings": timings, "n_filled": talk.deepest}
            self.went_well = True
        except _TooLateError:
            self.timed_out = not self._stop.is_set()
        except NO_REPLY as error:
            if not self.server.has_ended(1.0):
                self.failure = ("run", f"llama-server refused a request: {_reason(error)}")

    def _healthy(self, timeout_s: float) -> float | None:
        """Seconds until the server answered; None where it ended before, or did not in time."""
        while not self._stop.is_set() and not self.server.has_ended():
            waited = time.monotonic() - self._started
            if waited >= timeout_s:
                self.timed_out = True
                return None
            if (health_s := self.server.await_health(waited + _ASK_S)) is not None:
                return health_s
        return None

    @contextlib.contextmanager
    def _killed_if_called_off(self) -> Iterator[None]:
        """A request waits for its answer: called off in the middle of one, the server is killed."""
        is_over = threading.Event()

        def watch() -> None:
            while not is_over.wait(_ASK_S):
                if self._stop.is_set():
                    self.server.kill()
                    return

        watcher = threading.Thread(target=watch, name="oomph-server-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            is_over.set()
            watcher.join()

    def end(self) -> int:
        """End the server, and all that it has started; its exit code."""
        self.oom_kills = self._kills.since()
        had_ended = self.server.has_ended()
        code = self.server.stop(0.0 if self.timed_out or self._stop.is_set() else 10.0)
        self.was_ended = not had_ended
        return code if code is not None else -9


def _reason(error: Exception) -> str:
    """What a refusal says of itself, in one line."""
    if isinstance(error, HTTPError):
        with contextlib.suppress(*NO_REPLY):
            said = parse_json(error.read(_REASON_BYTES))["error"]["message"]
            return visible(str(said))
    return visible(str(error))


class _TooLateError(OomphError):
    """The point's time is up, or it has been called off."""


class _Talk:
    """Requests for one point: prompts that continue what the first slot holds, and what they
    took."""

    def __init__(
        self, server: Server, workload: Workload, until: float, stop: threading.Event
    ) -> None:
        self._server, self._workload, self._until, self._stop = server, workload, until, stop
        slot = server.get("/props")["default_generation_settings"]["n_ctx"]
        # a prompt must be shorter than the slot, and a decode begins with a token of its own
        longest = {"n_prompt": workload.n_prompt + 1, "n_gen": workload.n_gen + 1}
        self._stops = depths_within(int(slot), workload.depths, **longest)
        self.deepest = 0
        self._tokens = self._read_text((self._stops or [0])[-1] + 2 * workload.n_prompt + 64)

    def timings(self) -> list[Timing]:
        """Prefill and decode at each depth, the shallowest first."""
        return [timing for depth in self._stops for timing in self._at(depth)]

    def fill(self) -> list[Timing]:
        """Fill to the deepest stop with nothing clocked: what a card that only counts can do."""
        for depth in self._stops[-1:]:
            self._complete(self._tokens[: max(depth + self._workload.n_prompt, 1)], 1)
        return []

    def _at(self, depth: int) -> Iterator[Timing]:
        if depth:
            self._complete(self._tokens[:depth], 0)
        n_prompt, n_gen = self._workload.n_prompt, self._workload.n_gen
        if n_prompt:
            yield from self._timed("pp", n_prompt, depth)
        if n_gen:
            yield from self._timed("tg", n_gen, depth)

    def _timed(self, kind: str, n_tokens: int, depth: int) -> Iterator[Timing]:
        """Samples of one test by the rule; none where the server had to read more than was asked,
        as one that keeps a state may."""
        timing: Timing = {
            "test": f"{kind}{n_tokens}",
            "n_tokens": n_tokens,
            "n_depth": depth,
            "samples_ns": [],
            "ended_ns": [],
        }
        rule = self._workload.repetitions.model_dump()
        for attempt in itertools.count():
            said = self._sample(kind, n_tokens, depth, attempt)
            if said is not None:
                timing["samples_ns"].append(said["ns"])
                timing["ended_ns"].append(time.monotonic_ns())
                if "drafted" in said:
                    timing.setdefault("drafted", []).append(said["drafted"])
                    timing.setdefault("accepted", []).append(said["accepted"])
            enough = not wants_more(timing["samples_ns"], rule)  # type: ignore[arg-type]
            if enough or attempt + 1 >= 2 * rule["most"]:
                break
        if timing["samples_ns"]:
            yield timing

    def _sample(self, kind: str, n_tokens: int, depth: int, attempt: int) -> dict[str, int] | None:
        """Nanoseconds of one sample, and what was drafted in it; None where it is none."""
        if kind == "pp":
            # another piece of the text each time: of the same the slot would hold the beginning
            first = depth + attempt % n_tokens
            said = self._complete(
                [*self._tokens[:depth], *self._tokens[first : first + n_tokens]], 0
            )
            counted = said["prompt_n"] == n_tokens
            return {"ns": round(said["prompt_ms"] * 1e6)} if counted else None
        said = self._complete(self._tokens[: max(depth, 1)], n_tokens + 1)
        if said["predicted_n"] != n_tokens + 1:  # the first comes of the prompt
            return None
        drafts = {"drafted": said["draft_n"], "accepted": said["draft_n_accepted"]}
        sample = {"ns": round(said["predicted_ms"] * 1e6)}
        return sample | ({key: int(n) for key, n in drafts.items()} if said["draft_n"] else {})

    def _complete(self, tokens: Sequence[int], n_predict: int) -> dict[str, Any]:
        """What the server says of its time for these tokens and so many more."""
        left = self._until - time.monotonic()
        if left <= 0 or self._stop.is_set():
            raise _TooLateError
        asked = {
            "prompt": list(tokens),
            "n_predict": n_predict,
            "id_slot": 0,
            "cache_prompt": True,
            "ignore_eos": True,
            "temperature": 0.0,
            "seed": self._workload.seed,
        }
        try:
            reply = self._server.post("/completion", asked, timeout_s=left)
        except TimeoutError:
            raise _TooLateError from None
        self.deepest = max(self.deepest, len(tokens) + n_predict)
        return {"draft_n": 0, "draft_n_accepted": 0, **reply["timings"]}

    def _read_text(self, n_tokens: int) -> list[int]:
        """So many tokens of a text, again from its beginning where it ends."""
        text = pydoc_text()[: 8 * n_tokens]
        said = self._server.post("/tokenize", {"content": text})["tokens"]
        tokens = [int(token) for token in said]
        if not tokens:
            raise ValueError("the text has no tokens")
        return list(itertools.islice(itertools.cycle(tokens), n_tokens))
