"""How a run ended: one label from an exit code and a log, and the next step to take.

llama.cpp has no error codes for "out of memory": it returns NULL, aborts or is killed, and only the
log tells the four shapes apart. `classify` reads what any build of it prints; the phrases are in
`oomph.measure.logs.failures`. The first line that names a cause counts, because what follows it is
its consequence; lines that only sound alarming do not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from oomph.measure.logs.advice import ILLEGAL_INSTRUCTION, Refusal, advise, find_refusal
from oomph.measure.logs.failures import Phase, Sign, phase_of, sign_of

LABELS: Final = (
    "ok",
    "oom_weights",
    "oom_kv",
    "oom_compute",
    "oom_runtime",
    "host_oom",
    "device_lost",
    "driver_missing",
    "bad_model",
    "bad_config",
    "timeout",
    "killed",
    "crash",
    "not_an_error",
)
RAN_OUT: Final = frozenset({"oom_weights", "oom_kv", "oom_compute", "oom_runtime", "host_oom"})
"""How a point ends that did not get the memory it asked for."""

SIGKILL_CODES: Final = frozenset({-9, 137})
SIGILL_CODES: Final = frozenset({-4, 132})
OUTSIDE_CODES: Final = SIGKILL_CODES | {-1, -2, -15, 129, 130, 143}
"""SIGKILL, SIGHUP, SIGINT and SIGTERM: nothing that a program does to itself."""
TIMEOUT_CODE: Final = 124  # what coreutils' timeout returns
_MAX_EVIDENCE: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """How a run ended. `outcome` is one of `LABELS`; `evidence` are lines of the log, as printed.

    `stage` is what was being allocated or done (weights, kv_cache, compute, run), None where the
    log does not say. `refusal` is the allocation that failed, where the log gives its size.
    """

    outcome: str
    stage: str | None
    evidence: tuple[str, ...]
    advice: str
    refusal: Refusal | None = None

    @property
    def failed(self) -> bool:
        """Whether the run did not do what it was asked."""
        return self.outcome not in ("ok", "not_an_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    line: str
    sign: Sign
    phase: Phase | None


_HARD: Final[dict[Sign, str]] = {
    Sign.DEVICE_LOST: "device_lost",
    Sign.DRIVER_MISSING: "driver_missing",
    Sign.BAD_CONFIG: "bad_config",
    Sign.HOST_OOM: "host_oom",
    Sign.BAD_MODEL: "bad_model",
}
_REFUSALS: Final = frozenset(
    {
        Sign.KV_ALLOCATION,
        Sign.COMPUTE_ALLOCATION,
        Sign.WEIGHTS_ALLOCATION,
        Sign.HOST_ALLOCATION,
        Sign.DEVICE_ALLOCATION,
    }
)
_ABORTS: Final = frozenset({Sign.POOL_ABORT, Sign.DEVICE_ABORT})
_SOFT: Final[tuple[tuple[Sign, str], ...]] = (
    (Sign.NO_CARD, "driver_missing"),
    (Sign.TIMEOUT, "timeout"),
    (Sign.LOAD_FAILED, "bad_model"),
    (Sign.CONTEXT_FAILED, "crash"),
    (Sign.TOO_LONG, "bad_config"),
    (Sign.DECODE_FAILED, "crash"),
    (Sign.CRASH, "crash"),
)
_STAGES: Final[dict[str, Phase]] = {
    "oom_weights": Phase.WEIGHTS,
    "oom_kv": Phase.KV_CACHE,
    "oom_compute": Phase.COMPUTE,
    "oom_runtime": Phase.RUN,
}
_LABEL_OF_SIGN: Final[dict[Sign, str]] = {
    Sign.WEIGHTS_ALLOCATION: "oom_weights",
    Sign.KV_ALLOCATION: "oom_kv",
    Sign.COMPUTE_ALLOCATION: "oom_compute",
}
_LABEL_OF_PHASE: Final = {phase: label for label, phase in _STAGES.items()}
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def classify(
    exit_code: int | None, log: Sequence[str], *, timed_out: bool = False, oom_killed: bool = False
) -> Classification:
    """The outcome of a run that ended with `exit_code` (None if unknown, negative or 128 + n for a
    signal).

    `log` is what it printed, stdout and stderr together, line by line; `timed_out` says that
    whoever started it ended it for taking too long, `oom_killed` that the kernel counted a kill for
    memory meanwhile: without it SIGKILL says only that somebody ended it. Never raises: a log that
    says nothing gives `ok` or, by its exit code, `crash` or `killed`.
    """
    lines = [_ANSI.sub("", line).rstrip() for line in log]
    events = _events(lines)
    if exit_code in (0, None) and _ran_on(events, lines):
        events = [replace(event, sign=Sign.HARMLESS) for event in events]
    label, event = _decide(events, exit_code, timed_out, oom_killed)
    refusal = find_refusal(lines) if label in RAN_OUT else None
    return Classification(
        outcome=label,
        stage=_stage(label, event),
        evidence=_evidence(events, event, label),
        advice=ILLEGAL_INSTRUCTION
        if label == "crash" and exit_code in SIGILL_CODES
        else advise(label, event.line if event else "", refusal),
        refusal=refusal,
    )


def _events(lines: Sequence[str]) -> list[_Event]:
    """The lines that say something, in order, each with the phase it falls in; what a retry undid
    is left out."""
    events: list[_Event] = []
    n_undone = 0
    phase: Phase | None = None
    for before, line in pairwise(["", *lines]):
        phase = phase_of(line) or phase
        sign = sign_of(line)
        if sign is Sign.RETRY:
            events[n_undone:] = [
                replace(event, sign=Sign.HARMLESS) if event.sign in _REFUSALS else event
                for event in events[n_undone:]
            ]
            n_undone, sign = len(events), Sign.HARMLESS
        if (
            sign in _REFUSALS and "llocate pinned memory" in before
        ):  # Vulkan says why in a line of its own
            sign = Sign.HARMLESS
        if sign is not None:
            events.append(_Event(line=line, sign=sign, phase=phase))
    return events


def _ran_on(events: Sequence[_Event], lines: Sequence[str]) -> bool:
    """Whether allocations were refused but nothing gave up: no failed load or context, no abort,
    work afterwards."""
    gave_up = {
        Sign.LOAD_FAILED,
        Sign.CONTEXT_FAILED,
        Sign.DECODE_FAILED,
        Sign.CRASH,
        *_ABORTS,
        *_HARD,
    }
    refused = [event.line for event in events if event.sign in _REFUSALS]
    if not refused or any(event.sign in gave_up for event in events):
        return False
    after = lines[len(lines) - 1 - list(reversed(lines)).index(refused[-1]) :]
    return any(phase_of(line) is Phase.RUN for line in after)


def _decide(
    events: Sequence[_Event], exit_code: int | None, timed_out: bool, oom_killed: bool
) -> tuple[str, _Event | None]:
    """The label and the event that decided it, None where the exit code did."""
    causes = [
        event
        for event in events
        if event.sign in _HARD or event.sign in _REFUSALS or event.sign in _ABORTS
    ]
    if causes:
        first = causes[0]
        return _HARD.get(first.sign) or _out_of_memory(first, events), first
    if timed_out:
        return "timeout", None
    if exit_code in SIGKILL_CODES and oom_killed:
        return "host_oom", None
    if exit_code in OUTSIDE_CODES:
        return "killed", None
    for sign, label in _SOFT:
        for event in events:
            if event.sign is sign:
                return label, event
    if exit_code not in (0, None):
        return ("timeout" if exit_code == TIMEOUT_CODE else "crash"), None
    return ("not_an_error" if events else "ok"), None


def _out_of_memory(first: _Event, events: Sequence[_Event]) -> str:
    """Which of the four stages, or the host, an out-of-memory that begins with `first` belongs
    to."""
    rest = events[events.index(first) :]
    signs = [event.sign for event in rest]
    if first.sign in _ABORTS:
        return "oom_runtime" if Sign.POOL_ABORT in signs else _abort_by_phase(first)
    named = next((_LABEL_OF_SIGN[sign] for sign in signs if sign in _LABEL_OF_SIGN), None)
    if first.sign is Sign.HOST_ALLOCATION:
        return "oom_kv" if named == "oom_kv" else "host_oom"
    if named == "oom_compute" and first.phase is Phase.RUN and Sign.CONTEXT_FAILED not in signs:
        return "oom_runtime"
    if named is not None:
        return named
    if Sign.LOAD_FAILED in signs and first.phase in (None, Phase.WEIGHTS):
        return "oom_weights"
    if Sign.CONTEXT_FAILED in signs and first.phase not in (Phase.COMPUTE, Phase.KV_CACHE):
        return "oom_kv"
    return _LABEL_OF_PHASE[first.phase or Phase.WEIGHTS]


def _abort_by_phase(event: _Event) -> str:
    """The stage of a CUDA abort that names no function: before 2024 every allocation ended in
    one."""
    if event.phase is Phase.COMPUTE and re.search(r"error 2 at", event.line) is None:
        return "oom_runtime"  # later builds return NULL for a compute buffer; only the pool aborts
    return _LABEL_OF_PHASE[event.phase or Phase.RUN]


def _stage(label: str, event: _Event | None) -> str | None:
    phase = _STAGES.get(label) or (event.phase if event else None)
    return phase.value if phase and label != "ok" else None


def _evidence(events: Sequence[_Event], event: _Event | None, label: str) -> tuple[str, ...]:
    """The deciding line and its consequences, or, where nothing failed, what sounded alarming."""
    if event is not None:
        tail = list(events)[list(events).index(event) :]
        chosen = [each.line for each in tail if each.sign is not Sign.HARMLESS]
    else:
        chosen = [each.line for each in events] if label != "ok" else []
    return tuple(dict.fromkeys(line.strip() for line in chosen))[:_MAX_EVIDENCE]
