"""What a log says of failure, in order: each line with where the program was when it said so.

Some of it undoes what was said before: a retry an allocation that was refused, work after it a
request that was refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from oomph.frozen import frozen
from oomph.measure.logs.failures import Sign, sign_of
from oomph.measure.logs.prefixes import Line
from oomph.measure.logs.progress import (
    Context,
    Phase,
    context_of,
    phase_of,
    shows_answer,
    shows_work,
)

HARD: Final[dict[Sign, str]] = {
    Sign.DEVICE_LOST: "device_lost",
    Sign.DRIVER_MISSING: "driver_missing",
    Sign.BAD_CONFIG: "bad_config",
    Sign.HOST_OOM: "host_oom",
    Sign.BAD_MODEL: "bad_model",
}
REFUSALS: Final = frozenset(
    {
        Sign.KV_ALLOCATION,
        Sign.COMPUTE_ALLOCATION,
        Sign.WEIGHTS_ALLOCATION,
        Sign.HOST_ALLOCATION,
        Sign.DEVICE_ALLOCATION,
    }
)
ABORTS: Final = frozenset({Sign.POOL_ABORT, Sign.DEVICE_ABORT})
GAVE_UP: Final = frozenset(
    {Sign.LOAD_FAILED, Sign.CONTEXT_FAILED, Sign.DECODE_FAILED, Sign.CRASH, Sign.ENDED, Sign.EXITED}
    | ABORTS
    | HARD.keys()
)
_OF_REQUESTS: Final = frozenset({Sign.BAD_REQUEST, Sign.REQUEST_FAILED, Sign.DECODE_FAILED})
NEAR: Final = 5
"""Lines within which a program tells one error."""
NEEDED_LATER: Final = frozenset({Context.PROJECTOR})
"""Contexts that a server listens without, and that a later request needs."""


@frozen
class Event:
    """A line that says something, at its place in the log, and where the program was by then."""

    at: int
    line: str
    sign: Sign
    phase: Phase | None
    context: Context | None
    n_answered: int


def read_events(lines: Sequence[Line]) -> list[Event]:
    """The lines that say something, in order, each with where the program was by then; what a retry
    undid is harmless."""
    events: list[Event] = []
    n_undone = n_answered = 0
    phase: Phase | None = None
    context: Context | None = None
    for at, (before, line) in enumerate(pairwise(["", *lines])):
        phase = phase_of(line) or phase
        context = context_of(line) or context
        n_answered += shows_answer(line)
        sign = sign_of(line)
        if sign is Sign.RETRY:
            events[n_undone:] = [
                replace(event, sign=Sign.HARMLESS) if event.sign in REFUSALS else event
                for event in events[n_undone:]
            ]
            n_undone, sign = len(events), Sign.HARMLESS
        if (
            sign in REFUSALS and "llocate pinned memory" in before
        ):  # Vulkan says why in a line of its own
            sign = Sign.HARMLESS
        if sign is not None:
            near = map(phase_of, lines[at + 1 : at + NEAR]) if phase is None else ()
            events.append(
                Event(
                    at=at,
                    line=line,
                    sign=sign,
                    phase=phase or next(filter(None, near), None),
                    context=context,
                    n_answered=n_answered,
                )
            )
    return events


def without_outlived(events: Sequence[Event], lines: Sequence[Line]) -> list[Event]:
    """The events, harmless those that the program outlived: a card that was not found and a request
    that failed, where it worked after the first of them, and an end from outside, where it had
    worked before."""
    worked = [at for at, line in enumerate(lines) if shows_work(line)]

    def is_of_request(event: Event) -> bool:
        return event.sign in _OF_REQUESTS or "Traceback (most" in event.line

    first = next((event.at for event in events if is_of_request(event)), 0)

    def is_outlived(event: Event) -> bool:
        if is_of_request(event):
            return any(at > first for at in worked)
        if event.sign is Sign.NO_CARD:
            return any(at > event.at for at in worked)
        return event.sign is Sign.ENDED and any(at < event.at for at in worked)

    return [replace(event, sign=Sign.HARMLESS) if is_outlived(event) else event for event in events]


def ran_on(events: Sequence[Event], lines: Sequence[Line]) -> bool:
    """Whether allocations were refused but nothing gave up: no failed load or context, no abort,
    work afterwards."""
    refused = [event.at for event in events if event.sign in REFUSALS]
    if not refused or any(event.sign in GAVE_UP for event in events):
        return False
    return any(phase_of(line) is Phase.RUN for line in lines[refused[-1] :])
