"""How a run ended: one label from an exit code and a log, and the next step to take.

llama.cpp has no error codes for "out of memory": it returns NULL, aborts or is killed, and only the
log tells the four shapes apart. `classify` reads what any build of it prints; the phrases are in
`oomph.measure.logs.failures`. The first line that names a cause counts, because what follows it is
its consequence; lines that only sound alarming do not. `ok` needs a line that shows work, or an
exit code of 0: silence proves nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

from oomph.frozen import frozen
from oomph.measure.logs.advice import Clues, Refusal, advise, find_refusal
from oomph.measure.logs.devices import read_devices
from oomph.measure.logs.events import (
    ABORTS,
    GAVE_UP,
    HARD,
    NEAR,
    NEEDED_LATER,
    REFUSALS,
    Event,
    ran_on,
    read_events,
    without_outlived,
)
from oomph.measure.logs.exit_codes import ending_of, is_no_memory
from oomph.measure.logs.failures import Sign, is_word_of_signal, looks_like_error, sign_of
from oomph.measure.logs.lines import as_lines
from oomph.measure.logs.prefixes import Line
from oomph.measure.logs.progress import Context, Phase, context_of, is_familiar, shows_work

RAN_OUT: Final = frozenset({"oom_weights", "oom_kv", "oom_compute", "oom_runtime", "host_oom"})
"""How a point ends that did not get the memory it asked for."""

SIGKILL_CODES: Final = frozenset({-9, 137})
TIMEOUT_CODE: Final = 124  # what coreutils' timeout returns
_MAX_EVIDENCE: Final = 6

When = Literal["load", "first_prompt", "image", "later"]


@frozen
class Classification:
    """How a run ended. `outcome` is one of the records' LABELS; `evidence` are lines of the log,
    without what stood before them.

    `stage` is what was being allocated or done (weights, kv_cache, compute, run), `context` which
    of the program's contexts it was for, `when` how far the program was; each None where the log
    does not say. `refusal` is the allocation that failed, where the log gives its size. `waits`
    says that the program ran on, and meets the failure again with the next request that needs it.
    """

    outcome: str
    stage: str | None
    evidence: tuple[str, ...]
    advice: str
    context: str | None = None
    when: When | None = None
    refusal: Refusal | None = None
    waits: bool = False

    @property
    def failed(self) -> bool:
        """Whether the run did not do what it was asked, or nothing shows that it did."""
        return self.outcome not in ("ok", "not_an_error")


@frozen
class _Run:
    """What is known of a run: its lines, what they say of failure, and how its process ended."""

    lines: Sequence[Line]
    events: Sequence[Event]
    exit_code: int | None
    timed_out: bool
    oom_killed: bool
    has_cards: bool


_SOFT: Final[tuple[tuple[Sign, str], ...]] = (
    (Sign.NO_CARD, "driver_missing"),
    (Sign.TIMEOUT, "timeout"),
    (Sign.LOAD_FAILED, "bad_model"),
    (Sign.CONTEXT_FAILED, "crash"),
    (Sign.BAD_REQUEST, "bad_config"),
    (Sign.DECODE_FAILED, "crash"),
    (Sign.CRASH, "crash"),
    (Sign.ENDED, "killed"),
    (Sign.EXITED, "crash"),
    (Sign.REQUEST_FAILED, "unknown"),
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
_MOST_REFUSED: Final = Phase.WEIGHTS
"""What is named where a log shows a refused allocation alone: of those that people paste, most were
weights. The stage is then not told."""


def classify(
    exit_code: int | None,
    log: Sequence[str],
    *,
    timed_out: bool = False,
    oom_killed: bool | None = None,
) -> Classification:
    """The outcome of one run that ended with `exit_code` (None if unknown, negative or 128 + n for
    a signal, or a status of Windows).

    `log` is what it printed, stdout and stderr together, line by line; `timed_out` says that
    whoever started it ended it for taking too long, `oom_killed` that the kernel counted a kill for
    memory meanwhile: without it SIGKILL says only that somebody ended it, and where the kernel
    counted none (False, not None), so does a shell's `Killed`. Never raises: a log that says
    nothing gives `unknown` or, by its exit code, `ok`, `crash` or `killed`.
    """
    lines = as_lines(log)
    events, waits = read_events(lines), False
    if oom_killed is False:
        events = [_as_ended(event) for event in events]
    if exit_code in (0, None) and ran_on(events, lines):
        waiting = [
            event for event in events if event.sign in REFUSALS and event.context in NEEDED_LATER
        ]
        events = waiting or [replace(event, sign=Sign.HARMLESS) for event in events]
        waits = bool(waiting)
    devices = read_devices(lines)
    run = _Run(
        lines=lines,
        events=without_outlived(events, lines),
        exit_code=exit_code,
        timed_out=timed_out,
        oom_killed=bool(oom_killed),
        has_cards=bool(devices.cards),
    )
    label, event = _decide(run)
    refusal = find_refusal(lines) if label in RAN_OUT else None
    context = _context(label, event, run.events)
    shown = _evidence(run.events, event, label)
    if label in ("unknown", "crash") and event is None:
        shown = _doubts(lines)
    clues = Clues(
        outcome=label,
        line=event.line if event else "",
        context=context,
        stage=_stage(label, event),
        backend=devices.backend,
        exit_code=exit_code,
        waits=waits,
        lines=lines,
        is_familiar=bool(run.events) or any(map(is_familiar, lines)),
    )
    return Classification(
        outcome=label,
        stage=clues.stage,
        evidence=shown,
        advice=advise(clues, refusal),
        context=context,
        when=_when(label, event, waits) if label not in ("ok", "not_an_error") else None,
        refusal=refusal,
        waits=waits,
    )


def _as_ended(event: Event) -> Event:
    """A word of a signal as what it is where the kernel is known to have ended nothing."""
    is_word = event.sign is Sign.HOST_OOM and is_word_of_signal(event.line)
    return replace(event, sign=Sign.ENDED) if is_word else event


def _decide(run: _Run) -> tuple[str, Event | None]:
    """The label and the event that decided it, None where the exit code, or their absence, did."""
    events, exit_code = run.events, run.exit_code
    causes = [
        event
        for event in events
        if event.sign in HARD or event.sign in REFUSALS or event.sign in ABORTS
    ]
    causes = [event for event in causes if not _is_place_of_another(event, events)]
    if causes:
        first = causes[0]
        return HARD.get(first.sign) or _out_of_memory(first, events), first
    if run.timed_out:
        return "timeout", None
    if exit_code not in (0, None) and (label := _by_exit_code(exit_code, run.oom_killed)):
        return label, None
    for sign, label in _SOFT:
        for event in events:
            if event.sign is sign and not (sign is Sign.NO_CARD and run.has_cards):
                return _by_circumstance(event, events) or label, event
    if exit_code not in (0, None):
        return ("timeout" if exit_code == TIMEOUT_CODE else "crash"), None
    if exit_code is None and _doubts(run.lines):
        return "unknown", None
    worked = exit_code == 0 or any(map(shows_work, run.lines))
    return "not_an_error" if events else "ok" if worked else "unknown", None


def _is_place_of_another(event: Event, events: Sequence[Event]) -> bool:
    """Whether the line only says where another error happened: `in function alloc` below an error
    that is no want of memory."""
    if event.sign is not Sign.POOL_ABORT:
        return False
    above = [each for each in events if event.at - NEAR <= each.at < event.at]
    return bool(above) and all(each.sign is Sign.CRASH for each in above)


def _by_circumstance(event: Event, events: Sequence[Event]) -> str | None:
    """The label of a failure that only its circumstances tell: an MTP context that fails for no
    other reason has no head in its file, a draft model is none to be loaded alone, a load that
    follows a crash is its consequence, and a command buffer of Metal that fails while more is
    allocated than macOS recommends has no memory."""
    if event.sign is Sign.CONTEXT_FAILED:
        is_alone = any("ctx_other to be set" in each.line for each in events)
        return "bad_config" if is_alone or context_of(event.line) is Context.MTP else None
    if event.sign is Sign.LOAD_FAILED:
        crashed = any(each.sign is Sign.CRASH and each.at < event.at for each in events)
        return "crash" if crashed else None
    crowded = any("recommended max working set size" in each.line for each in events)
    if crowded and any("command buffer" in each.line for each in events):
        return "oom_runtime"
    return None


def _by_exit_code(exit_code: int, oom_killed: bool) -> str | None:
    """The label that an exit code gives by itself, whatever the log says."""
    if (exit_code in SIGKILL_CODES and oom_killed) or is_no_memory(exit_code):
        return "host_oom"
    ending = ending_of(exit_code)
    return "killed" if ending and ending.kind in ("ended", "killed") else None


def _out_of_memory(first: Event, events: Sequence[Event]) -> str:
    """Which of the four stages, or the host, an out-of-memory that begins with `first` belongs
    to."""
    rest = events[events.index(first) :]
    signs = [event.sign for event in rest]
    if first.sign in ABORTS:
        return "oom_runtime" if Sign.POOL_ABORT in signs else _abort_by_phase(first)
    named = next((_LABEL_OF_SIGN[sign] for sign in signs if sign in _LABEL_OF_SIGN), None)
    if first.sign is Sign.HOST_ALLOCATION:
        return "oom_kv" if named == "oom_kv" else "host_oom"
    runs = first.phase is Phase.RUN or Sign.DECODE_FAILED in signs
    if named == "oom_compute" and runs and Sign.CONTEXT_FAILED not in signs:
        return "oom_runtime"
    if named is not None:
        return named
    gave_up = next(
        (sign for sign in signs if sign in (Sign.LOAD_FAILED, Sign.CONTEXT_FAILED)), None
    )
    if gave_up is Sign.LOAD_FAILED and first.phase in (None, Phase.WEIGHTS):
        return "oom_weights"
    if gave_up is Sign.CONTEXT_FAILED and first.phase not in (Phase.COMPUTE, Phase.KV_CACHE):
        return "oom_kv"
    return _LABEL_OF_PHASE[first.phase or _MOST_REFUSED]


def _abort_by_phase(event: Event) -> str:
    """The stage of a CUDA abort that names no function: before 2024 every allocation ended in
    one."""
    if event.phase is Phase.COMPUTE and re.search(r"error 2 at", event.line) is None:
        return "oom_runtime"  # later builds return NULL for a compute buffer; only the pool aborts
    return _LABEL_OF_PHASE[event.phase or Phase.RUN]


def _stage(label: str, event: Event | None) -> str | None:
    if event and event.sign is Sign.DEVICE_ALLOCATION and event.phase is None:
        return None
    phase = _STAGES.get(label) or (event.phase if event else None)
    return phase.value if phase and label not in ("ok", "unknown") else None


def _context(label: str, event: Event | None, events: Sequence[Event]) -> str | None:
    """Which context failed: the one that a consequence names (`failed to create MTP context`), else
    that of the lines before."""
    if event is None or label in ("ok", "not_an_error"):
        return None
    later = (each.line for each in events if each.at >= event.at and each.sign in GAVE_UP)
    named = [context for line in later if (context := context_of(line))]
    context = next((each for each in named if each is not Context.TARGET), event.context)
    return context.value if context else None


def _when(label: str, event: Event | None, waits: bool) -> When | None:
    """How far the program was when `event` happened, None where there is none or the log has no
    phase before it, or leaves out what came between."""
    if event is None or event.phase is None:
        return None
    if label == "oom_runtime" and event.phase in (Phase.WEIGHTS, Phase.KV_CACHE):
        return None
    if waits or (event.phase is Phase.RUN and event.context is Context.PROJECTOR):
        return "image"
    if event.phase is not Phase.RUN:
        return "load"
    return "later" if event.n_answered else "first_prompt"


def _evidence(events: Sequence[Event], event: Event | None, label: str) -> tuple[str, ...]:
    """The deciding line and its consequences, or, where nothing failed, what sounded alarming."""
    if event is not None:
        tail = list(events)[list(events).index(event) :]
        chosen = [each.line for each in tail if each.sign is not Sign.HARMLESS]
    else:
        chosen = [each.line for each in events] if label != "ok" else []
    return tuple(dict.fromkeys(line.strip() for line in chosen))[:_MAX_EVIDENCE]


def _doubts(lines: Sequence[Line]) -> tuple[str, ...]:
    """For a run of which nothing is known to have failed: the lines after its last sign of work
    that sound like failures."""
    worked = [at for at, line in enumerate(lines) if shows_work(line)]
    after = lines[worked[-1] + 1 :] if worked else lines
    found = [line for line in after if sign_of(line) is None and looks_like_error(line, line.level)]
    return tuple(dict.fromkeys(map(str, found)))[-_MAX_EVIDENCE:]
