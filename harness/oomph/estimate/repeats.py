"""Which layers of a model stand for all of them when a graph is replayed.

Layers repeat: one after the other, or in a period (sliding windows, hybrids). Of a run of
repetitions the first two are kept, and the last; the allocator goes through the second as often as
the run has it (`oomph.estimate.loops`), if the third that is kept shows that each is like the one
before.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST_PERIOD: Final = 12

KEPT: Final = (3, 4)
"""Repetitions that are kept of a run, each tried where the one before did not do: the last may be
unlike the others, for what the next layer reads first runs before the layer's end."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run of repetitions: the last layers of those that are kept, of the first three at most, and
    how many are left out, between the second and the third."""

    ends: tuple[int, ...]
    n_left_out: int

    @property
    def period(self) -> int:
        """Layers of a repetition."""
        return self.ends[1] - self.ends[0]


@dataclass(frozen=True, slots=True)
class LeftOutCard:
    """A card without layers in a graph, and the one that stands for it.

    `n_left_out` has for runs of that one, by their numbers, how many repetitions the card leaves
    out instead.
    """

    device: str
    like: str
    n_left_out: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Layers to compose, the runs that they are of, and the cards that are left out."""

    layers: tuple[int, ...]
    runs: tuple[Run, ...] = ()
    cards: tuple[LeftOutCard, ...] = ()

    @property
    def is_cut(self) -> bool:
        """Whether layers are left out."""
        return bool(self.runs or self.cards)

    @property
    def ends(self) -> tuple[int, ...]:
        """Where the kept repetitions of each run end, counted among `layers`."""
        return tuple(self.layers.index(il) for run in self.runs for il in run.ends)


def select_layers(signatures: Sequence[Hashable], keep: int) -> Selection:
    """Cut the runs of repetitions in `signatures`, one per layer, to so many; the last layer always
    stays, for it belongs to no run."""
    layers: list[int] = []
    runs: list[Run] = []
    il, last = 0, len(signatures) - 1
    while il < last:
        period, times = _longest_run(signatures, il, last, keep)
        n_left_out = max(times - keep, 0)
        kept = [*range(min(times, 2)), *range(2 + n_left_out, times)]
        layers += (il + period * rank + i for rank in kept for i in range(period))
        if n_left_out:
            ends = tuple(il + period * (rank + 1) - 1 for rank in kept[:3])
            runs.append(Run(ends, n_left_out))
        il += period * times
    return Selection((*layers, last), tuple(runs))


def _longest_run(
    signatures: Sequence[Hashable], start: int, end: int, keep: int
) -> tuple[int, int]:
    """The period and number of repetitions from `start` that saves most layers; (1, 1) where none
    does."""
    best, saved = (1, 1), 0
    for period in range(1, min(LONGEST_PERIOD, end - start) + 1):
        stop = start + period
        while stop < end and signatures[stop] == signatures[stop - period]:
            stop += 1
        times = (stop - start) // period
        if (times - keep) * period > saved:
            best, saved = (period, times), (times - keep) * period
    return best
