"""Joules of what was timed, from a card's cumulative counter.

Apart from the probe, which only reads, and pure, so that it can be held against powers that are
known. Sampler and worker share the monotonic clock.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

LEAST_READINGS: Final = 5
"""Readings' intervals that a test's samples must last together: below it the edges are a large part
of the sum."""

Reading = tuple[int, float]
"""Nanoseconds of the monotonic clock, and joules since some beginning."""


def counter_fault(counted: Sequence[Reading], powers: Sequence[Reading]) -> str | None:
    """Why a card's counter cannot be believed over a window; None where it can.

    It begins again when the driver is loaded or the card is reset, and on some cards (vGPU) it
    never moves; `powers` is the same window's energy from powers.
    """
    backwards = next(
        (pair for pair in pairwise(joules for _, joules in counted) if pair[1] < pair[0]), None
    )
    if backwards:
        return f"the counter went back, from {backwards[0]:,.3f} J to {backwards[1]:,.3f} J"
    moved = len(counted) < 2 or counted[-1][1] > counted[0][1]
    if not moved and len(powers) > LEAST_READINGS and powers[-1][1] > powers[0][1]:
        return "the counter stands still while the card draws power"
    return None


def integrated(powers: Sequence[tuple[int, float | None]]) -> list[Reading]:
    """Joules from watts at times (ns), by trapezoids, for a card without an energy counter."""
    told = [(at_ns, watts) for at_ns, watts in powers if watts is not None]
    readings = [(at_ns, 0.0) for at_ns, _ in told[:1]]
    for (before_ns, before_w), (at_ns, watts) in pairwise(told):
        readings.append(
            (at_ns, readings[-1][1] + (before_w + watts) / 2 * (at_ns - before_ns) / 1e9)
        )
    return readings


def energy_of(spans: Iterable[tuple[int, int]], readings: Sequence[Reading]) -> float | None:
    """Joules over spans (first and last nanosecond), interpolated between readings.

    None where the readings do not reach around every span, or are too few for so short a time.
    """
    spans = list(spans)
    if len(readings) < 2 or not spans:
        return None
    interval_ns = (readings[-1][0] - readings[0][0]) / (len(readings) - 1)
    if sum(last - first for first, last in spans) < LEAST_READINGS * interval_ns:
        return None
    ends = [(_joules_at(first, readings), _joules_at(last, readings)) for first, last in spans]
    differences = [last - first for first, last in ends if first is not None and last is not None]
    return sum(differences) if len(differences) == len(spans) else None


def _joules_at(at_ns: int, readings: Sequence[Reading]) -> float | None:
    after = bisect_right(readings, at_ns, key=lambda reading: reading[0])
    if not 0 < after < len(readings):
        return None
    (before_ns, before_j), (after_ns, after_j) = readings[after - 1], readings[after]
    return before_j + (after_j - before_j) * (at_ns - before_ns) / (after_ns - before_ns)
