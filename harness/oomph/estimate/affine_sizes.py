"""One graph at many contexts: what was replayed for a few gives the sizes for all others.

A context changes no operator of a graph, only the cells that some of its tensors have as a
dimension. So each size and each stride is a straight line over the cells, and two replays of one
topology give all of them. Those of an architecture that is not known must lie on the lines at a
third context, too. Composing and scheduling a graph takes ten times as long as allocating it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from oomph.estimate.allocator import AllocationProgram
from oomph.estimate.buffers import Packing
from oomph.estimate.graph.tensor import Tensor
from oomph.estimate.loops import NOWHERE, Repetitions
from oomph.estimate.piecewise import PiecewisePackings

N_SAMPLES: Final = 3

Line = tuple[int, int]
"""Value at no cells, and what each cell adds."""


@dataclass(frozen=True, slots=True)
class _Sample:
    cells: int
    program: AllocationProgram
    sizes: list[int]


@dataclass(slots=True)
class AffineSizes:
    """The replays of one topology, of which `n_samples` draw the lines. `is_rigid` where they do
    not lie on lines: then each context is a replay, of which the last is kept."""

    is_rigid: bool = False
    n_samples: int = N_SAMPLES
    _samples: list[_Sample] = field(default_factory=list)
    _sizes: list[Line] = field(default_factory=list)
    _alike_at: list[int | None] = field(default_factory=list)
    _is_alike: list[bool] = field(default_factory=list)
    _packings: dict[tuple[Repetitions, ...], PiecewisePackings] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether other contexts can be asked for."""
        return bool(self._sizes)

    @property
    def program(self) -> AllocationProgram:
        """The program of the last replay."""
        return self._samples[-1].program

    def learn(self, cells: int, program: AllocationProgram, sizes: list[int]) -> None:
        """Add a replay at so many cells; with the last that is needed the lines are drawn."""
        if self.is_known or any(sample.cells == cells for sample in self._samples):
            return
        if self.is_rigid:
            self._samples = []
        self._samples.append(_Sample(cells, program, sizes))
        if len(self._samples) >= self.n_samples:
            self.is_rigid = not self._draw()
            self._samples = self._samples[-1:]

    def at(self, cells: int) -> tuple[AllocationProgram, list[int], list[bool]] | None:
        """The program, and what it runs on at so many cells; None where that is not known yet."""
        if not self.is_known:
            for sample in self._samples:
                if sample.cells == cells:
                    return sample.program, sample.sizes, sample.program.likeness()
            return None
        return self._at(cells)

    def _at(self, cells: int) -> tuple[AllocationProgram, list[int], list[bool]]:
        sizes = [base + step * cells for base, step in self._sizes]
        alike = [
            is_alike or at == cells
            for is_alike, at in zip(self._is_alike, self._alike_at, strict=True)
        ]
        return self.program, sizes, alike

    def holds_for(self, cells: int, program: AllocationProgram, sizes: Sequence[int]) -> bool:
        """Whether these are also the lines of another replay, with other types in the cache: if
        nothing that is allocated is of those types, as the sizes tell."""
        if not self.is_known:
            return False
        known, own_sizes, alike = self._at(cells)
        return (
            own_sizes == sizes
            and alike == program.likeness()
            and known.structure == program.structure
        )

    def packing(
        self, cells: int, alignments: Sequence[int], left_out: tuple[Repetitions, ...]
    ) -> Packing:
        """What the program comes to at so many cells, with the repetitions of its loops that are
        left out."""
        if left_out not in self._packings:
            alone = [at for at in self._alike_at if at is not None]
            self._packings[left_out] = PiecewisePackings(
                lambda n: self._gone_through(n, alignments, left_out), alone
            )
        return self._packings[left_out].at(cells)

    def _gone_through(
        self, cells: int, alignments: Sequence[int], left_out: tuple[Repetitions, ...]
    ) -> tuple[Packing, Sequence[int]]:
        program, sizes, alike = self._at(cells)
        return program.run_traced(sizes, alike, alignments, left_out)

    def _draw(self) -> bool:
        """Lines through the first two samples; False where a sample is no equal graph or lies off
        them."""
        first, second, *_ = self._samples
        at = [sample.cells for sample in self._samples]
        if any(sample.program.structure != first.program.structure for sample in self._samples):
            return False
        if any(_is_padded_by_cells(one, other) for one, other in _twins(first, second)):
            return False
        sizes = [_line(at, [s.sizes[i] for s in self._samples]) for i in range(len(first.sizes))]
        gaps = [
            _gap(at, [_difference(s.program, pair) for s in self._samples])
            for pair in range(len(first.program.pairs))
        ]
        if None in sizes or None in gaps:
            return False
        self._sizes = [line for line in sizes if line is not None]
        self._is_alike = [gap == [] for gap in gaps]
        self._alike_at = [_meeting(gap or []) for gap in gaps]
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


def _line(at: list[int], values: list[int]) -> Line | None:
    """The line through the values at these cells; None where they lie on none, or on none of whole
    numbers."""
    rise, run = values[1] - values[0], at[1] - at[0]
    if rise % run:
        return None
    step = rise // run
    base = values[0] - step * at[0]
    return (
        (base, step)
        if all(base + step * x == value for x, value in zip(at, values, strict=True))
        else None
    )


def _gap(at: list[int], differences: list[list[int]]) -> list[Line] | None:
    """The lines of those differences that are not always 0; None where one is no line."""
    lines = [_line(at, list(values)) for values in zip(*differences, strict=True)]
    return (
        None if None in lines else [line for line in lines if line is not None and line != (0, 0)]
    )


def _meeting(gap: list[Line]) -> int | None:
    """The number of cells at which all differences are 0 at once; None for never, or always."""
    places = [-base // step if step and base % step == 0 else None for base, step in gap]
    return places[0] if places and all(place == places[0] for place in places) else None
