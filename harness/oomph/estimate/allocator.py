"""ggml's graph allocator, replayed: how large a compute buffer becomes.

A buffer's size is the high-water mark of a best-fit allocator with merging free blocks, which serves the nodes in
their order, frees a result after its last use and lets some nodes overwrite a source. Fragmentation makes it larger
than the largest sum of live tensors, and not monotone in anything; so it is replayed, not computed.

`live_bytes` is that largest sum. It never exceeds the size, and it grows with every tensor: the bound that makes
searching over the size exact (`oomph.estimate.estimator`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from oomph.estimate.graph.tensor import Tensor, pad

Placed = tuple[Tensor, int]
"""A tensor and the number of the backend whose pool it is allocated in."""

INPLACE_OPS: Final = frozenset({
    "SCALE", "DIAG_MASK_ZERO", "DIAG_MASK_INF", "ADD", "ADD_ID", "ADD1", "SUB", "MUL", "DIV", "SQR", "SQRT", "LOG",
    "UNARY", "ROPE", "ROPE_BACK", "SILU_BACK", "RMS_NORM", "RMS_NORM_BACK", "SOFT_MAX", "SOFT_MAX_BACK", "FILL",
    "CLAMP",
})  # fmt: skip
"""Operators whose result may take a source's place (ggml_op_can_inplace)."""

_UNBOUNDED: Final = 1 << 52
"""More bytes than any machine has, and few enough for the numbers of JavaScript, in which pages compute the same."""


class Pool:
    """One backend's buffer: free blocks by offset, the last one without end (ggml_dyn_tallocr)."""

    __slots__ = ("alignment", "free", "live", "live_peak", "peak")

    def __init__(self, alignment: int) -> None:
        self.alignment = alignment
        self.free: list[list[int]] = [[0, _UNBOUNDED]]
        self.peak = self.live = self.live_peak = 0

    def take(self, n_bytes: int) -> int:
        """The offset of a block of `n_bytes`: from the smallest hole that holds it, the later one of equals."""
        n, free = pad(n_bytes, self.alignment), self.free
        best, best_size = len(free) - 1, _UNBOUNDED
        for i in range(len(free) - 1):
            size = free[i][1]
            if n <= size <= best_size:
                best, best_size = i, size
        block = free[best]
        at = block[0]
        block[0] += n
        block[1] -= n
        if not block[1]:
            del free[best]
        self.peak = max(self.peak, at + n)
        self.live += n
        self.live_peak = max(self.live_peak, self.live)
        return at

    def give_back(self, at: int, n_bytes: int) -> None:
        """Free `n_bytes` at `at`, merging with the hole before or after it."""
        n, free = pad(n_bytes, self.alignment), self.free
        self.live -= n
        end = at + n
        for i, block in enumerate(free):
            if block[0] + block[1] == at:
                block[1] += n
                if i + 1 < len(free) and free[i + 1][0] == end:
                    block[1] += free.pop(i + 1)[1]
                return
            if block[0] == end:
                block[0] = at
                block[1] += n
                if i and free[i - 1][0] + free[i - 1][1] == at:
                    free[i - 1][1] += free.pop(i)[1]
                return
        i = 0
        while i < len(free) and free[i][0] < at:
            i += 1
        free.insert(i, [at, n])


class _Block:
    """What the allocator knows of a tensor: who still needs it, and where it lies."""

    __slots__ = ("address", "children", "is_allocated", "needs_room", "owner", "pool", "size", "tensor", "views")

    def __init__(self, tensor: Tensor, owner: "_Block | None") -> None:
        self.tensor, self.owner = tensor, owner
        self.children = self.views = self.pool = self.address = self.size = 0
        self.is_allocated = False
        self.needs_room = owner is None and tensor.device is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """Bytes of each pool; `live_bytes` the most that was live at once; `states` the allocator's after each mark."""

    bytes: tuple[int, ...]
    live_bytes: tuple[int, ...]
    states: tuple[object, ...] = field(default=())


def pack(
    leafs: Sequence[Placed], nodes: Sequence[Placed], *, alignments: Sequence[int],
    size: Callable[[Tensor, int], int], marks: Collection[Tensor] = (),
) -> Packing:  # fmt: skip
    """Allocate a scheduled graph as ggml_gallocr_reserve does.

    `size(tensor, pool)` is a tensor's bytes in a pool. Tensors that have a `device`, and views of such, take no room.
    After each node in `marks` the state is kept: equal states go on equally.
    """
    run = _Run(alignments, size)
    for block, pool in [(run.block(tensor), pool) for tensor, pool in leafs]:
        if block.needs_room:
            run.allocate(block, pool)
    steps = [(run.block(tensor), pool, [run.block(source) for source in tensor.src]) for tensor, pool in nodes]
    run.count_uses(steps)
    states = []
    for block, pool, sources in steps:
        for source in (*sources, block):
            if source.needs_room:
                run.allocate(source, pool)
        for source in sources:
            source.children -= 1
            if not source.children and not source.views:
                run.release(source)
        if block.tensor in marks:
            states.append(run.state())
    return Packing(
        bytes=tuple(pool.peak for pool in run.pools), live_bytes=tuple(pool.live_peak for pool in run.pools),
        states=tuple(states),
    )  # fmt: skip


_Step = tuple[_Block, int, list[_Block]]


class _Run:
    """One allocation in progress."""

    def __init__(self, alignments: Sequence[int], size: Callable[[Tensor, int], int]) -> None:
        self.pools = [Pool(alignment) for alignment in alignments]
        self._size = size
        self._blocks: dict[Tensor, _Block] = {}
        self._live: dict[tuple[int, int], None] = {}

    def block(self, tensor: Tensor) -> _Block:
        """The block of `tensor`, and of what it is a view of."""
        block = self._blocks.get(tensor)
        if block is None:
            owner = self.block(tensor.view_src) if tensor.view_src else None
            block = self._blocks[tensor] = _Block(tensor, owner)
        return block

    def count_uses(self, steps: list[_Step]) -> None:
        """Count what still needs each tensor; inputs get their place before any node."""
        for block, pool, sources in steps:
            if block.owner and block.tensor.op != "NONE":
                block.owner.views += 1
            for source in sources:
                source.children += 1
                if source.tensor.is_input and source.needs_room:
                    self.allocate(source, pool)

    def allocate(self, block: _Block, pool: int) -> None:
        """Give the tensor a source's place, or room of its own (ggml_gallocr_allocate_node)."""
        tensor = block.tensor
        block.is_allocated, block.needs_room = True, False
        if tensor.op in INPLACE_OPS:
            for source in tensor.src:
                parent = self._blocks[source]
                if parent.is_allocated and self._reuse(block, parent):
                    return
        block.pool, block.size = pool, self._size(tensor, pool)
        block.address = self.pools[pool].take(block.size)
        self._live[pool, block.address] = None

    def _reuse(self, block: _Block, parent: _Block) -> bool:
        """Take `parent`'s place if this is its last use and its layout the same; views have no place to give."""
        old, new = parent.tensor, block.tensor
        if parent.children != 1 or parent.views != 0 or old.is_output:
            return False
        if old.ne != new.ne or old.nb != new.nb or old.quant is not new.quant:
            return False
        parent.is_allocated = False
        block.pool, block.address = parent.pool, parent.address
        block.size = self._size(block.tensor, block.pool)
        pool = self.pools[block.pool]
        needed = pad(block.size, pool.alignment)
        if pad(parent.size, pool.alignment) > needed:
            pool.give_back(block.address + needed, pad(parent.size, pool.alignment) - needed)
        return True

    def release(self, block: _Block) -> None:
        """The tensor's last use is done: its place is free, unless it is a view of what is still used."""
        owner = block.owner
        if owner:
            owner.views -= 1
            if owner.views == 0 and owner.children == 0 and owner.is_allocated:
                self._free(owner)
        elif block.is_allocated:
            self._free(block)

    def _free(self, block: _Block) -> None:
        if block.tensor.is_output:
            return
        self.pools[block.pool].give_back(block.address, block.size)
        block.is_allocated = False
        self._live.pop((block.pool, block.address), None)

    def state(self) -> object:
        """The holes of every pool, and the live addresses in order of allocation."""
        return tuple(tuple(map(tuple, pool.free)) for pool in self.pools), tuple(self._live)
