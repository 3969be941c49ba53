"""One graph at many contexts: what was replayed for a few gives the sizes for all others.

A context changes no operator of a graph, only the cells that some of its tensors have as a
dimension. So each size and each stride is a straight line over the cells, and two replays of one
topology give all of them. Where old tokens are compressed, there are several numbers of cells: two
replays give what lies on a line through them, a third what lies in a plane. Those of an
architecture that is not known must lie on the lines at a further context, too. Composing and
scheduling a graph takes ten times as long as allocating it.
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


@dataclass(frozen=True, slots=True)
class _Step:
    """A step away from the first point, of 1 in its `column`, where all other such steps have none:
    `share` is what the steps to the other points add to it."""

    column: int
    step: list[float]
    share: list[float]


@dataclass(slots=True)
class AffineSizes:
    """The replays of one topology: those that draw the lines, and `n_checks` that must lie on them.
    `is_rigid` where they do not: then each context is a replay, of which the last is kept."""

    n_checks: int = 1
    is_rigid: bool = False
    _samples: list[_Sample] = field(default_factory=list)
    _checks: list[_Sample] = field(default_factory=list)
    _first: At = ()
    _steps: list[_Step] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)
    """Those that do not grow, and 0 for those that do."""
    _growing: dict[int, Line] = field(default_factory=dict)
    _is_alike: list[bool] = field(default_factory=list)
    _gaps: dict[int, list[Line]] = field(default_factory=dict)
    """Of pairs that are alike at some cells alone, the lines that are 0 there."""
    _piecewise: dict[tuple[At, tuple[Repetitions, ...]], PiecewisePackings] = field(
        default_factory=dict
    )
    """The packings along the first number of cells, for each of the others."""
    _packings: dict[object, Packing] = field(default_factory=dict)

    def knows(self, at: At) -> bool:
        """Whether so many cells can be asked for."""
        return bool(self._sizes) and _is_among(self._steps, self._first, at)

    @property
    def program(self) -> AllocationProgram:
        """The program of the last replay."""
        return self._samples[-1].program

    def learn(self, at: At, program: AllocationProgram, sizes: list[int]) -> None:
        """Add a replay at so many cells; with the last that is needed the lines are drawn."""
        if self.knows(at) or any(each.at == at for each in (*self._samples, *self._checks)):
            return
        sample = _Sample(at, program, sizes)
        if self.is_rigid or not self._samples:
            self._samples, self._first = [sample], at
            return
        if _is_among(self._steps, self._first, at):
            self._checks.append(sample)
        else:
            self._samples.append(sample)
            self._steps = _steps([each.at for each in self._samples])
        if len(self._checks) < self.n_checks:
            return
        is_drawn, is_last = self._draw(), len(self._steps) == len(at)
        if not is_drawn:
            self._sizes, self.is_rigid = [], is_last
        if is_last:  # one program is enough from here on
            self._samples, self._checks = [sample], []

    def at(self, at: At) -> tuple[AllocationProgram, list[int], list[bool]] | None:
        """The program, and what it runs on at so many cells; None where that is not known yet."""
        if self.knows(at):
            return self._at(at)
        for sample in (*self._samples, *self._checks):
            if sample.at == at:
                return sample.program, sample.sizes, sample.program.likeness()
        return None

    def _at(self, at: At) -> tuple[AllocationProgram, list[int], list[bool]]:
        sizes = list(self._sizes)
        for i, line in self._growing.items():
            sizes[i] = _value(line, at)
        alike = list(self._is_alike)
        for pair, gap in self._gaps.items():
            alike[pair] = all(_value(line, at) == 0 for line in gap)
        return self.program, sizes, alike

    def holds_for(self, at: At, program: AllocationProgram, sizes: Sequence[int]) -> bool:
        """Whether these are also the lines of another replay, with other types in the cache: if
        nothing that is allocated is of those types, as the sizes tell."""
        if not self.knows(at):
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
        first, rest = at[0], at[1:]
        if len(self._steps) < len(at):  # not all beside this is known
            key = at, left_out
            if key not in self._packings:
                self._packings[key] = self._gone_through(at, alignments, left_out)[0]
            return self._packings[key]
        row = rest, left_out
        if row not in self._piecewise:
            alone = [n for gap in self._gaps.values() for n in _meetings(gap, rest)]
            self._piecewise[row] = PiecewisePackings(
                lambda n: self._gone_through((n, *rest), alignments, left_out), alone
            )
        return self._piecewise[row].at(first)

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
        if any(sample.program.structure != first.program.structure for sample in seen):
            return False
        if any(_is_padded_by_cells(one, other) for one, other in _twins(first, second)):
            return False
        steps = self._steps
        sizes = [_line(at, steps, [s.sizes[i] for s in seen]) for i in range(len(first.sizes))]
        gaps = [
            _gap(at, steps, [_difference(s.program, pair) for s in seen])
            for pair in range(len(first.program.pairs))
        ]
        if None in sizes or None in gaps:
            return False
        lines = [line for line in sizes if line is not None]
        self._growing = {i: line for i, line in enumerate(lines) if any(line[1:])}
        self._sizes = [0 if any(line[1:]) else line[0] for line in lines]
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


def _steps(points: Sequence[At]) -> list[_Step]:
    """The steps that reach whatever lies with these points on a line, or in a plane; each point is
    one that the others do not reach."""
    first, *others = points
    steps = [[(x - own) / _STEP for x, own in zip(at, first, strict=True)] for at in others]
    shares = [[float(i == j) for j in range(len(steps))] for i in range(len(steps))]
    columns = []
    for i, row in enumerate(steps):
        # of what grows the slowest all others are multiples
        column = min(
            (j for j, x in enumerate(row) if abs(x) > _NOTHING),
            key=[abs(x) for x in row].__getitem__,
        )
        columns.append(column)
        by = row[column]
        steps[i], shares[i] = [x / by for x in row], [x / by for x in shares[i]]
        for k in range(len(steps)):
            if k != i:
                by = steps[k][column]
                steps[k] = [x - by * own for x, own in zip(steps[k], steps[i], strict=True)]
                shares[k] = [x - by * own for x, own in zip(shares[k], shares[i], strict=True)]
    return [
        _Step(column, step, share)
        for column, step, share in zip(columns, steps, shares, strict=True)
    ]


def _is_among(steps: Sequence[_Step], first: At, at: At) -> bool:
    """Whether steps from the first point reach another."""
    left = [(x - own) / _STEP for x, own in zip(at, first, strict=True)]
    for each in steps:
        by = left[each.column]
        left = [x - by * own for x, own in zip(left, each.step, strict=True)]
    return all(abs(x) < _NOTHING for x in left)


def _value(line: Line, at: At) -> int:
    value = line[0]
    for i, n in enumerate(at, 1):
        value += line[i] * n
    return value


def _line(at: Sequence[At], steps: Sequence[_Step], values: list[int]) -> Line | None:
    """The line through the values at these cells, to which these steps lead; None where they lie on
    none, or on none of whole numbers."""
    by_cell = [0 for _ in at[0]]
    if all(value == values[0] for value in values):
        return (values[0], *by_cell)
    rises = [(value - values[0]) / _STEP for value in values[1 : len(steps) + 1]]
    for each in steps:
        shares = zip(each.share, rises, strict=True)
        by_cell[each.column] = round(sum(share * rise for share, rise in shares))
    base = values[0] - sum(step * n for step, n in zip(by_cell, at[0], strict=True))
    line = (base, *by_cell)
    is_on = all(_value(line, each) == value for each, value in zip(at, values, strict=True))
    return line if is_on else None


def _gap(
    at: Sequence[At], steps: Sequence[_Step], differences: list[list[int]]
) -> list[Line] | None:
    """The lines of those differences that are not always 0; None where one is no line."""
    lines = [_line(at, steps, list(values)) for values in zip(*differences, strict=True)]
    return None if None in lines else [line for line in lines if line is not None and any(line)]


def _meetings(gap: list[Line], rest: At) -> list[int]:
    """The first number of cells at which all differences are 0 at once, if there is one; the others
    are `rest`."""
    lines = [(_value((base, *others), rest), step) for base, step, *others in gap]
    places = {-base // step if base % step == 0 else None for base, step in lines if step}
    is_apart = any(base for base, step in lines if not step)
    return [] if is_apart or len(places) != 1 else [place for place in places if place is not None]
