"""Which layers of a model stand for all of them when a graph is replayed.

Layers repeat: one after the other, or in a period (sliding windows, hybrids, quantisation mixes). A run of repetitions
is cut to its first few; whether the rest would have changed anything is checked after the replay, by the allocator's
state after two of the repetitions (`Selection.must_agree`).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST_PERIOD: Final = 12


@dataclass(frozen=True, slots=True)
class Selection:
    """Layers to replay, and pairs of them after which the allocator's state must be the same."""

    layers: tuple[int, ...]
    must_agree: tuple[tuple[int, int], ...] = ()


def select_layers(signatures: Sequence[Hashable], *, keep: int) -> Selection:
    """Cut every run of repetitions in `signatures` to `keep` (at least 2); the last layer always stays."""
    layers: list[int] = []
    must_agree: list[tuple[int, int]] = []
    i, last = 0, len(signatures) - 1
    while i < last:
        period, times = _longest_run(signatures, i, last, keep)
        if times > keep:
            end = i + keep * period
            layers += range(i, end)
            must_agree.append((end - period - 1, end - 1))
        else:
            period, times = 1, 1
            layers.append(i)
        i += period * times
    return Selection((*layers, last), tuple(must_agree))


def _longest_run(signatures: Sequence[Hashable], start: int, end: int, keep: int) -> tuple[int, int]:
    """The period and number of repetitions from `start` that saves most layers."""
    best, saved = (1, 1), 0
    for period in range(1, min(LONGEST_PERIOD, end - start) + 1):
        stop = start + period
        while stop < end and signatures[stop] == signatures[stop - period]:
            stop += 1
        times = (stop - start) // period
        if (times - keep) * period > saved:
            best, saved = (period, times), (times - keep) * period
    return best
