"""ggml's graph allocator, replayed: how large a compute buffer becomes.

A buffer's size is the high-water mark of a best-fit allocator with merging free blocks, which
serves the nodes in their order, frees a result after its last use and lets some nodes overwrite a
source. Fragmentation makes it larger than the largest sum of live tensors, and not monotone in
anything; so it is replayed, not computed.

`live_bytes` is that largest sum. It never exceeds the size, and it grows with every tensor: the
bound that makes searching over the size exact (`oomph.estimate.estimator`).
"""

from collections.abc import Callable, Sequence
from typing import Final

from oomph.estimate.allocation import Allocation
from oomph.estimate.buffers import Packing
from oomph.estimate.graph.tensor import Tensor, pad
from oomph.estimate.loops import NOWHERE, Loop, Repetitions, Step, find_loop

Placed = tuple[Tensor, int]
"""A tensor and the number of the backend whose pool it is allocated in."""

INPLACE_OPS: Final = frozenset({
    "SCALE", "DIAG_MASK_ZERO", "DIAG_MASK_INF", "ADD", "ADD_ID", "ADD1", "SUB", "MUL", "DIV",
    "SQR", "SQRT", "LOG",
    "UNARY", "ROPE", "ROPE_BACK", "SILU_BACK", "RMS_NORM", "RMS_NORM_BACK", "SOFT_MAX",
    "SOFT_MAX_BACK", "FILL",
    "CLAMP",
})  # fmt: skip
"""Operators whose result may take a source's place (ggml_op_can_inplace)."""

_UNSEEN: Final = -2
"""The number of a tensor that has none yet."""


def pack(
    leafs: Sequence[Placed],
    nodes: Sequence[Placed],
    *,
    alignments: Sequence[int],
    size: Callable[[Tensor, int], int],
) -> Packing:
    """Allocate a scheduled graph as ggml_gallocr_reserve does.

    `size(tensor, pool)` is a tensor's bytes in a pool. Tensors that have a `device`, and views of
    such, take no room.
    """
    program = AllocationProgram(leafs, nodes)
    return program.run(program.sizes(size), program.likeness(), alignments)


Repeated = tuple[Tensor, ...]
"""A run of repetitions in a graph, of which some are left out: the last nodes of the first three.
"""


class AllocationProgram:
    """A scheduled graph as the allocator goes through it: tensors are numbers, and nothing has a
    size yet.

    Graphs that differ only in sizes have the same `structure`. `run` takes the sizes of `places`,
    which are (tensor, pool), each tensor's own pool first; for each of `pairs`, (tensor, source),
    whether the two are alike, so that the one may take the other's place; and for each run that is
    `repeated` the repetitions that were left out. Where a run is repeated otherwise than layers
    that follow one another are, `is_whole` is False: it is not the program of the whole. `layers`
    are those that the graph has.
    """

    def __init__(
        self,
        leafs: Sequence[Placed],
        nodes: Sequence[Placed],
        repeated: Sequence[Repeated] = (),
        layers: Sequence[int] = (),
    ) -> None:
        self.layers = layers
        self.tensors: list[Tensor] = []
        self.owners: list[int] = []
        self.pools: list[int] = []
        self.candidates: list[tuple[tuple[int, int], ...]] = []
        self.n_children: list[int] = []
        self.n_views: list[int] = []
        self.pairs: list[tuple[int, int]] = []
        self._numbers: dict[Tensor, int] = {}
        self.first: list[int] = []
        for t, pool in leafs:
            self._take(t, pool, self.first)
        for t, pool in nodes:
            for source in t.src:
                if source.is_input:
                    self._take(source, pool, self.first)
        self.nodes: list[int] = []
        self.steps: list[Step] = [self._step(t, pool) for t, pool in nodes]
        self.elsewhere: dict[tuple[int, int], int] = {}
        self.places = self._all_places()
        self.loops = self._loops(nodes, repeated)
        self.is_whole = len(self.loops) == len(repeated)

    @property
    def structure(self) -> tuple[object, ...]:
        """All that decides a run but sizes and likeness."""
        ends = [t.is_output for t in self.tensors]
        return (
            self.first,
            self.steps,
            self.owners,
            self.pools,
            self.candidates,
            self.pairs,
            self.places,
            self.loops,
            ends,
        )

    def sizes(self, size: Callable[[Tensor, int], int]) -> list[int]:
        """Bytes of each of `places`."""
        return [
            size(self.tensors[number], pool) if pool != NOWHERE else 0
            for number, pool in self.places
        ]

    def likeness(self) -> list[bool]:
        """For each of `pairs`, whether shape and strides are the same."""
        return [
            self.tensors[one].ne == self.tensors[other].ne
            and self.tensors[one].nb == self.tensors[other].nb
            for one, other in self.pairs
        ]

    def run(
        self,
        sizes: Sequence[int],
        alike: Sequence[bool],
        alignments: Sequence[int],
        left_out: Sequence[Repetitions] = (),
    ) -> Packing:
        """Allocate everything in its order, each loop once more for each repetition left out."""
        return self.run_traced(sizes, alike, alignments, left_out)[0]

    def run_traced(
        self,
        sizes: Sequence[int],
        alike: Sequence[bool],
        alignments: Sequence[int],
        left_out: Sequence[Repetitions] = (),
    ) -> tuple[Packing, Sequence[int]]:
        """The same, and what was decided on the way."""
        further = self._padded_copies(left_out, alignments)
        run = Allocation(self, self._padded(sizes, alignments), alike, further, len(alignments))
        run.begin()
        at = 0
        for loop, repetitions in zip(self.loops, further, strict=True):
            run.execute(at, loop.end)
            run.repeat(loop, repetitions)
            at = loop.end
        run.execute(at, len(self.steps))
        decisions: list[int] = []
        for pool in run.pools:
            decisions += pool.decisions
            decisions += (len(pool.decisions), pool.peak_at, pool.live_peak_at)
        packing = Packing(
            bytes=tuple(pool.peak for pool in run.pools),
            live_bytes=tuple(pool.live_peak for pool in run.pools),
        )
        return packing, decisions

    def most(
        self,
        sizes: Sequence[int],
        alignments: Sequence[int],
        left_out: Sequence[Repetitions] = (),
    ) -> Packing:
        """More than any pool comes to hold: all that is ever put there, side by side."""
        total, padded = [0] * len(alignments), self._padded(sizes, alignments)
        for taken in (self.first, *(takes for takes, _ in self.steps)):
            for number in taken:
                total[self.pools[number]] += padded[number]
        for loop, repetitions in zip(
            self.loops, self._padded_copies(left_out, alignments), strict=True
        ):
            copies = frozenset(loop.copies)
            for number in (*loop.own, *loop.first):
                if self.owners[number] == NOWHERE and number not in copies:
                    total[self.pools[number]] += len(repetitions) * padded[number]
            for sizes_of_copies in repetitions:
                for number, size in zip(loop.copies, sizes_of_copies, strict=True):
                    total[self.pools[number]] += size
        return Packing(bytes=tuple(total), live_bytes=tuple(total))

    def _padded_copies(
        self, left_out: Sequence[Repetitions], alignments: Sequence[int]
    ) -> list[Repetitions]:
        """The same repetitions with every copy's bytes padded for its pool."""
        return [
            tuple(
                tuple(
                    pad(size, alignments[self.pools[number]])
                    for number, size in zip(loop.copies, sizes, strict=True)
                )
                for sizes in repetitions
            )
            for loop, repetitions in zip(self.loops, left_out, strict=True)
        ]

    def _padded(self, sizes: Sequence[int], alignments: Sequence[int]) -> list[int]:
        return [
            pad(size, alignments[pool]) if pool != NOWHERE else 0
            for size, (_, pool) in zip(sizes, self.places, strict=True)
        ]

    def _number(self, t: Tensor) -> int:
        """The tensor's number, NOWHERE where its data have a device already."""
        known = self._numbers.get(t)
        if known is not None:
            return known
        if (t.view_src or t).device is not None:
            self._numbers[t] = NOWHERE
            return NOWHERE
        owner = self._number(t.view_src) if t.view_src else NOWHERE
        number = self._numbers[t] = len(self.tensors)
        self.tensors.append(t)
        self.owners.append(owner)
        self.pools.append(NOWHERE)
        self.candidates.append(())
        self.n_children.append(0)
        self.n_views.append(0)
        return number

    def _take(self, t: Tensor, pool: int, taken: list[int]) -> int:
        """The tensor's number, added to what is `taken` where it gets its place now: it is no view,
        and has none yet."""
        number = self._number(t)
        if number == NOWHERE or self.owners[number] != NOWHERE or self.pools[number] != NOWHERE:
            return number
        self.pools[number] = pool
        if t.op in INPLACE_OPS:
            self.candidates[number] = tuple(
                (source, self._pair(number, source))
                for source in map(self._number, t.src)
                if source != NOWHERE and self.owners[source] == NOWHERE and self._gives(source, t)
            )
        taken.append(number)
        return number

    def _gives(self, number: int, t: Tensor) -> bool:
        return not self.tensors[number].is_output and self.tensors[number].quant is t.quant

    def _pair(self, one: int, other: int) -> int:
        self.pairs.append((one, other))
        return len(self.pairs) - 1

    def _step(self, t: Tensor, pool: int) -> Step:
        takes: list[int] = []
        reads: list[int] = []
        numbers, owners, pools = self._numbers, self.owners, self.pools
        for source in t.src:
            number = numbers.get(source, _UNSEEN)
            if number == _UNSEEN or (
                number != NOWHERE and owners[number] == pools[number] == NOWHERE
            ):
                number = self._take(source, pool, takes)
            if number != NOWHERE:
                reads.append(number)
                self.n_children[number] += 1
        own = self._take(t, pool, takes)
        self.nodes.append(own)
        if own != NOWHERE and self.owners[own] != NOWHERE and t.op != "NONE":
            self.n_views[self.owners[own]] += 1
        return tuple(takes), tuple(reads)

    def _all_places(self) -> list[tuple[int, int]]:
        """Each tensor's own pool, and the others that it may come to lie in by taking a source's
        place."""
        pools, places = self.pools, list(enumerate(self.pools))
        reach: dict[int, set[int]] = {}  # of those that may lie in another pool than their own
        nothing: set[int] = set()
        for taken in (self.first, *(takes for takes, _ in self.steps)):
            for number in taken:
                own = pools[number]
                others: set[int] = set()
                for source, _ in self.candidates[number]:
                    if pools[source] != own:
                        others.add(pools[source])
                    others |= reach.get(source, nothing)
                if not others:
                    continue
                reach[number] = others
                for pool in sorted(others - {own}):
                    self.elsewhere[number, pool] = len(places)
                    places.append((number, pool))
        return places

    def _loops(self, nodes: Sequence[Placed], repeated: Sequence[Repeated]) -> list[Loop]:
        """The runs that are loops, up to the first that is none."""
        ends = {end for each in repeated for end in each}
        behind = {t: i + 1 for i, (t, _) in enumerate(nodes) if t in ends}
        loops = []
        for each in repeated:
            one, two, three = (behind[end] for end in each)
            loop = find_loop(self, (one, two, three))
            if loop is None:
                break
            loops.append(loop)
        return loops
