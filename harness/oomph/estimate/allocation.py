"""One allocation in progress: what a program does to the pools, step by step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oomph.estimate.loops import NOWHERE, Loop, Repetitions
from oomph.estimate.pool import Pool

if TYPE_CHECKING:
    from oomph.estimate.allocator import AllocationProgram


class Allocation:
    """Tensors by number: where each lies, how often it is still read, and the views of it."""

    __slots__ = (
        "_address",
        "_alike",
        "_is_allocated",
        "_later",
        "_left_out",
        "_pool",
        "_program",
        "_size",
        "_sizes",
        "children",
        "pools",
        "views",
    )

    def __init__(
        self,
        program: "AllocationProgram",
        sizes: Sequence[int],
        alike: Sequence[bool],
        left_out: Sequence[Repetitions],
        n_pools: int,
    ) -> None:
        n = len(program.tensors)
        self._program, self._sizes, self._alike = program, list(sizes), alike
        self._left_out = left_out
        self.pools = [Pool() for _ in range(n_pools)]
        self.children, self.views = list(program.n_children), list(program.n_views)
        self._pool, self._address, self._size = list(program.pools), [0] * n, [0] * n
        self._is_allocated = [False] * n
        self._later: dict[int, list[tuple[int, int, int]]] = {}
        for loop, repetitions in zip(program.loops, left_out, strict=True):
            self._add_uses(loop, len(repetitions))

    def _add_uses(self, loop: Loop, n: int) -> None:
        """Count what so many repetitions, or fewer, read of what all share, and their views of
        it."""
        for number, count in loop.reads:
            self.children[number] += count * n
        for number, count in loop.views:
            self.views[number] += count * n

    def begin(self) -> None:
        """Give their places to what has one before the first node: of a loop's further repetitions,
        too."""
        pairs = zip(self._program.loops, self._left_out, strict=True)
        loops = {loop.first[-1]: (loop, len(left_out)) for loop, left_out in pairs if loop.first}
        for number in self._program.first:
            self.allocate(number)
            if number in loops:
                loop, n_more = loops[number]
                for _ in range(n_more):
                    for each in loop.first:
                        self._later.setdefault(each, []).append(self._new_place(each))

    def _new_place(self, number: int) -> tuple[int, int, int]:
        pool, size = self._program.pools[number], self._sizes[number]
        return pool, self.pools[pool].take(size), size

    def execute(self, begin: int, end: int) -> None:
        """Go through these steps."""
        children, views = self.children, self.views
        for takes, reads in self._program.steps[begin:end]:
            for number in takes:
                self.allocate(number)
            for number in reads:
                children[number] -= 1
                if not children[number] and not views[number]:
                    self.release(number)

    def repeat(self, loop: Loop, left_out: Repetitions) -> None:
        """Go through the repetitions that are left out, until the allocator is where it was after
        one before: what lies between would be the same again, if the rest is as large as that."""
        seen = {self._state(loop): 0}
        i, n_more = 0, len(left_out)
        while i < n_more:
            self._move_on(loop)
            for number, size in zip(loop.copies, left_out[i], strict=True):
                self._sizes[number] = size
            self.execute(loop.begin, loop.end)
            i += 1
            if loop.first:
                continue  # fewer of those are left each time
            before = seen.setdefault(self._state(loop), i)
            if before < i and left_out[before : before + n_more - i] == left_out[i:]:
                n_skipped = (n_more - i) // (i - before) * (i - before)
                self._add_uses(loop, -n_skipped)
                i += n_skipped
                seen = {}

    def _state(self, loop: Loop) -> object:
        """The holes of every pool, and where the next repetition finds what it reads of this."""
        holes = tuple(tuple(map(tuple, pool.free)) for pool in self.pools)
        places = tuple(
            (self._pool[n], self._address[n]) if self._is_allocated[n] else ()
            for _, n in loop.before
        )
        return holes, places

    def _move_on(self, loop: Loop) -> None:
        """The next repetition: what was its own is of the one before, and its own is new."""
        program = self._program
        for number, later in loop.before:
            self.children[number], self.views[number] = self.children[later], self.views[later]
            self._pool[number], self._address[number] = self._pool[later], self._address[later]
            self._size[number] = self._size[later]
            self._is_allocated[number] = self._is_allocated[later]
        for number in (*loop.own, *loop.first):
            self.children[number] = program.n_children[number]
            self.views[number] = program.n_views[number]
            self._pool[number] = program.pools[number]
            self._is_allocated[number] = False
        for number in loop.first:
            place = self._later[number].pop(0)
            self._pool[number], self._address[number], self._size[number] = place
            self._is_allocated[number] = True

    def allocate(self, number: int) -> None:
        """Give the tensor a source's place, or room of its own (ggml_gallocr_allocate_node)."""
        self._is_allocated[number] = True
        for source, pair in self._program.candidates[number]:
            if self._is_allocated[source] and self._alike[pair] and self._reuse(number, source):
                return
        pool, size = self._pool[number], self._sizes[number]
        address = self.pools[pool].take(size)
        self._size[number], self._address[number] = size, address

    def _reuse(self, number: int, source: int) -> bool:
        """Take the source's place if this is its last use: what is viewed has no place to give."""
        if self.children[source] != 1 or self.views[source] != 0:
            return False
        self._is_allocated[source] = False
        number_pool, address = self._pool[source], self._address[source]
        if number_pool == self._pool[number]:
            size = self._sizes[number]
        else:
            size = self._sizes[self._program.elsewhere[number, number_pool]]
        self._pool[number], self._address[number], self._size[number] = number_pool, address, size
        had = self._size[source]
        if had > size:
            self.pools[number_pool].give_back(address + size, had - size)
        return True

    def release(self, number: int) -> None:
        """The tensor's last use is done: its place is free, unless it is a view of what is still
        used."""
        owner = self._program.owners[number]
        if owner != NOWHERE:
            self.views[owner] -= 1
            if self.views[owner] == 0 and self.children[owner] == 0 and self._is_allocated[owner]:
                self._free(owner)
        elif self._is_allocated[number]:
            self._free(number)

    def _free(self, number: int) -> None:
        if self._program.tensors[number].is_output:
            return
        pool, address = self._pool[number], self._address[number]
        self.pools[pool].give_back(address, self._size[number])
        self._is_allocated[number] = False
