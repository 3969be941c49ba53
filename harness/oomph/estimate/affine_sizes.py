"""One graph at many contexts: what was replayed for a few gives the sizes for all others.

A context changes no operator of a graph, only the cells that some of its tensors have as a
dimension. So each size and each stride is a straight line over the cells, and two replays of one
topology give all of them; over several numbers of cells, where old tokens are compressed, it takes
one replay more for each. Those of an architecture that is not known must lie on the lines at a
further context, too. Composing and scheduling a graph takes ten times as long as allocating it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from oomph.estimate.allocator import AllocationProgram
from oomph.estimate.buffers import Packing
from oomph.estimate.graph.tensor import Tensor
from oomph.estimate.loops import NOWHERE, Repetitions
from oomph.estimate.piecewise import PiecewisePackings

At = tuple[int, ...]
"""The numbers of cells that grow with a context: one, or one of each kind of cache."""

Line = tuple[int, ...]
"""Value at no cells, and what each cell adds, a number for each kind."""

_STEP: Final = 256
"""What numbers of cells are multiples of."""
_NOTHING: Final = 1e-9
"""What is left of a number that others give, in floating point."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at: At
    program: AllocationProgram
    sizes: list[int]


@dataclass(slots=True)
class AffineSizes:
    """The replays of one topology: as many as draw the lines, and `n_checks` that must lie on them.
    `is_rigid` where they do not: then each context is a replay, of which the last is kept."""

    n_checks: int = 1
    is_rigid: bool = False
    _samples: list[_Sample] = field(default_factory=list)
    _checks: list[_Sample] = field(default_factory=list)
    _sizes: list[Line] = field(default_factory=list)
    _is_alike: list[bool] = field(default_factory=list)
    _gaps: dict[int, list[Line]] = field(default_factory=dict)
    """Of pairs that are alike at some cells alone, the lines that are 0 there."""
    _piecewise: dict[tuple[Repetitions, ...], PiecewisePackings] = field(default_factory=dict)
    _packings: dict[object, Packing] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether other contexts can be asked for."""
        return bool(self._sizes)

    @property
    def program(self) -> AllocationProgram:
        """The program of the last replay."""
        return self._samples[-1].program

    def learn(self, at: At, program: AllocationProgram, sizes: list[int]) -> None:
        """Add a replay at so many cells; with the last that is needed the lines are drawn."""
        if self.is_known or any(each.at == at for each in (*self._samples, *self._checks)):
            return
        sample = _Sample(at, program, sizes)
        if self.is_rigid:
            self._samples = [sample]
        elif _inverse([each.at for each in (*self._samples, sample)]) is not None:
            self._samples.append(sample)
        elif len(self._checks) < self.n_checks:
            self._checks.append(sample)
        if len(self._samples) > len(at) and len(self._checks) >= self.n_checks:
            self.is_rigid = not self._draw()
            self._samples, self._checks = self._samples[-1:], []

    def at(self, at: At) -> tuple[AllocationProgram, list[int], list[bool]] | None:
        """The program, and what it runs on at so many cells; None where that is not known yet."""
        if not self.is_known:
            for sample in (*self._samples, *self._checks):
                if sample.at == at:
                    return sample.program, sample.sizes, sample.program.likeness()
            return None
        return self._at(at)

    def _at(self, at: At) -> tuple[AllocationProgram, list[int], list[bool]]:
        if len(at) == 1:
            cells = at[0]
            sizes = [base + step * cells for base, step in self._sizes]
        else:
            sizes = [_value(line, at) for line in self._sizes]
        alike = list(self._is_alike)
        for pair, gap in self._gaps.items():
            alike[pair] = all(_value(line, at) == 0 for line in gap)
        return self.program, sizes, alike

    def holds_for(self, at: At, program: AllocationProgram, sizes: Sequence[int]) -> bool:
        """Whether these are also the lines of another replay, with other types in the cache: if
        nothing that is allocated is of those types, as the sizes tell."""
        if not self.is_known:
            return False
        known, own_sizes, alike = self._at(at)
        return (
            own_sizes == sizes
            and alike == program.likeness()
            and known.structure == program.structure
        )

    def packing(
        self, at: At, alignments: Sequence[int], left_out: tuple[Repetitions, ...]
    ) -> Packing:
        """What the program comes to at so many cells, with the repetitions of its loops that are
        left out."""
        if len(at) > 1:
            key = at, left_out
            if key not in self._packings:
                self._packings[key] = self._gone_through(at, alignments, left_out)[0]
            return self._packings[key]
        if left_out not in self._piecewise:
            alone = [n for gap in self._gaps.values() for n in _meetings(gap)]
            self._piecewise[left_out] = PiecewisePackings(
                lambda n: self._gone_through((n,), alignments, left_out), alone
            )
        return self._piecewise[left_out].at(at[0])

    def _gone_through(
        self, at: At, alignments: Sequence[int], left_out: tuple[Repetitions, ...]
    ) -> tuple[Packing, Sequence[int]]:
        program, sizes, alike = self._at(at)
        return program.run_traced(sizes, alike, alignments, left_out)

    def _draw(self) -> bool:
        """Lines through the samples; False where one is no equal graph, or a check lies off
        them."""
        first, second, *_ = self._samples
        seen = [*self._samples, *self._checks]
        at = [sample.at for sample in seen]
        inverse = _inverse([sample.at for sample in self._samples])
        assert inverse is not None, "samples are kept where they are independent"
        if any(sample.program.structure != first.program.structure for sample in seen):
            return False
        if any(_is_padded_by_cells(one, other) for one, other in _twins(first, second)):
            return False
        sizes = [_line(at, inverse, [s.sizes[i] for s in seen]) for i in range(len(first.sizes))]
        gaps = [
            _gap(at, inverse, [_difference(s.program, pair) for s in seen])
            for pair in range(len(first.program.pairs))
        ]
        if None in sizes or None in gaps:
            return False
        self._sizes = [line for line in sizes if line is not None]
        self._is_alike = [gap == [] for gap in gaps]
        self._gaps = {
            pair: gap for pair, gap in enumerate(gaps) if gap and all(any(line[1:]) for line in gap)
        }
        return True


def _twins(one: _Sample, other: _Sample) -> list[tuple[Tensor, Tensor]]:
    return [
        (a, b)
        for a, b, pool in zip(
            one.program.tensors, other.program.tensors, one.program.pools, strict=True
        )
        if pool != NOWHERE
    ]


def _is_padded_by_cells(one: Tensor, other: Tensor) -> bool:
    """Whether the cells are a quantized tensor's rows: CUDA pads these to a multiple of 512,
    contexts are of 256."""
    return one.quant.is_quantized and one.ne[0] != other.ne[0]


def _difference(program: AllocationProgram, pair: int) -> list[int]:
    """By how much shape and strides of a tensor and its source differ."""
    one, other = (program.tensors[number] for number in program.pairs[pair])
    return [a - b for a, b in zip((*one.ne, *one.nb), (*other.ne, *other.nb), strict=True)]


def _inverse(points: Sequence[At]) -> list[list[float]] | None:
    """The inverse of the steps from the first point to the others, the rows of a matrix that has
    further ones where there are fewer points than that takes; None where a point is no new one."""
    first, *others = points
    n = len(first)
    rows = [[(x - own) / _STEP for x, own in zip(at, first, strict=True)] for at in others]
    whole = [[*row, *[float(i == j) for j in range(len(rows))]] for i, row in enumerate(rows)]
    for i in range(len(rows)):
        column = max(range(n), key=lambda j: abs(whole[i][j]))
        if abs(whole[i][column]) < _NOTHING:
            return None
        for k, row in enumerate(whole):
            if k != i:
                share = row[column] / whole[i][column]
                for j in range(len(row)):
                    row[j] -= share * whole[i][j]
    if len(rows) < n:
        return []
    found: list[list[float]] = [[] for _ in range(n)]
    for row in whole:
        column = max(range(n), key=lambda j: abs(row[j]))
        found[column] = [x / row[column] for x in row[n:]]
    return found


def _value(line: Line, at: At) -> int:
    return line[0] + sum(step * n for step, n in zip(line[1:], at, strict=True))


def _line(at: Sequence[At], inverse: list[list[float]], values: list[int]) -> Line | None:
    """The line through the values at these cells, of which the first have this `inverse`; None
    where they lie on none, or on none of whole numbers."""
    rises = [(value - values[0]) / _STEP for value in values[1 : len(inverse) + 1]]
    steps = [round(sum(x * rise for x, rise in zip(row, rises, strict=True))) for row in inverse]
    base = values[0] - sum(step * n for step, n in zip(steps, at[0], strict=True))
    line = (base, *steps)
    is_on = all(_value(line, each) == value for each, value in zip(at, values, strict=True))
    return line if is_on else None


def _gap(
    at: Sequence[At], inverse: list[list[float]], differences: list[list[int]]
) -> list[Line] | None:
    """The lines of those differences that are not always 0; None where one is no line."""
    lines = [_line(at, inverse, list(values)) for values in zip(*differences, strict=True)]
    return None if None in lines else [line for line in lines if line is not None and any(line)]


def _meetings(gap: list[Line]) -> list[int]:
    """The number of cells at which all differences are 0 at once, if there is one."""
    places = [-base // step if base % step == 0 else None for base, step in gap]
    first = places[0]
    return [] if first is None or any(place != first for place in places) else [first]
