"""What an allocation comes to at every context, from few that are gone through.

Every size is a straight line over the cells. So between two contexts at which the allocator decided
all the same, it decides the same, and its peaks lie on straight lines, too: each of its comparisons
is one of straight lines, and has the same sign at both ends.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from oomph.estimate.buffers import Packing

N_ALONE: Final = 3
"""Contexts that are asked for before others are looked at for those to come."""

Decisions = Sequence[int]


@dataclass(frozen=True, slots=True)
class _Run:
    packing: Packing
    decisions: Decisions


class PiecewisePackings:
    """The packings of one program by their cells; `run` goes through one, and says what was
    decided. Contexts that stand `alone`, where something happens to be as large as something else,
    say nothing of those around them."""

    def __init__(
        self, run: Callable[[int], tuple[Packing, Decisions]], alone: Collection[int]
    ) -> None:
        self._run, self._alone = run, frozenset(alone)
        self._cells: list[int] = []
        self._runs: dict[int, _Run] = {}
        self._n_asked = 0
        self._last = 0

    def at(self, cells: int) -> Packing:
        """The packing at so many cells."""
        if cells in self._alone:
            return self._run(cells)[0]
        self._n_asked += 1
        found = self._between(cells)
        if found is None:
            found = self._add(cells)
            if self._n_asked > N_ALONE:
                self._look_ahead(cells)
        self._last = cells
        return found

    def _between(self, cells: int) -> Packing | None:
        """The packing on the line between two that were gone through; None where they are of two
        kinds."""
        if cells in self._runs:
            return self._runs[cells].packing
        i = bisect_left(self._cells, cells)
        if not 0 < i < len(self._cells):
            return None
        low, high = self._cells[i - 1], self._cells[i]
        one, other = self._runs[low], self._runs[high]
        if one.decisions != other.decisions:
            return None
        a, b, at = one.packing, other.packing, (cells - low, high - low)
        return Packing(
            bytes=_on_lines(a.bytes, b.bytes, *at),
            live_bytes=_on_lines(a.live_bytes, b.live_bytes, *at),
        )

    def _add(self, cells: int) -> Packing:
        packing, decisions = self._run(cells)
        self._runs[cells] = _Run(packing, decisions)
        self._cells.insert(bisect_left(self._cells, cells), cells)
        return packing

    def _look_ahead(self, cells: int) -> None:
        """Go through one more context, in the direction in which they are asked for: half way to
        the next that is known, or twice as far where none is."""
        i = self._cells.index(cells)
        if cells > self._last:
            ahead = self._cells[i + 1] if i + 1 < len(self._cells) else 3 * cells
        else:
            ahead = self._cells[i - 1] if i else 0
        between = (cells + ahead) // 512 * 256
        if between not in (0, *self._cells) and between not in self._alone:
            self._add(between)


def _on_lines(one: Sequence[int], other: Sequence[int], at: int, end: int) -> tuple[int, ...]:
    """What lies `at` of `end` cells from one to the other; each cell adds a whole number."""
    return tuple(a + (b - a) // end * at for a, b in zip(one, other, strict=True))
