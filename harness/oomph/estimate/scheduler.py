"""ggml's backend scheduler, replayed: what runs where, what is copied.

`schedule` is ggml_backend_sched_split_graph of llama.cpp 0.5.0: nodes are assigned to backends by
their weights and caches, the rest spreads from its neighbours, the order is cut into splits where
the backend changes, and what a split needs from elsewhere is copied at its start. The result is
what the allocator serves, in its order.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from oomph.estimate.allocator import Placed
from oomph.estimate.backends import supports, wants_offload
from oomph.estimate.fusions import Kept, group_shared_experts, kept_by_fusions
from oomph.estimate.graph.tensor import COPIED, VIEW_OPS, Graph, Tensor
from oomph.frozen import frozen

MAX_SOURCES: Final = 10
"""Sources that a ggml tensor can have (GGML_MAX_SRC)."""

PIPELINE_COPIES: Final = 4
"""Copies of every input with pipeline parallelism (GGML_SCHED_MAX_COPIES)."""

_IGNORE_WEIGHTS: Final = ("ROPE", "FLASH_ATTN_EXT")
"""Operators whose weights are too small to decide where they run."""


@frozen
class Schedule:
    """Tensors with their backends: `leafs` allocated first, then `nodes`, copies at the start of
    their splits."""

    leafs: list[Placed]
    nodes: list[Placed]
    n_splits: int


@dataclass(slots=True)
class _Split:
    backend: int
    start: int
    end: int
    inputs: list[Tensor]


def schedule(
    graph: Graph,
    backends: tuple[str, ...],
    *,
    op_offload: bool = True,
    n_copies: int = 1,
    fuses_experts: bool = True,
    fuses_shared_expert: bool = False,
) -> Schedule:
    """Assign and cut `graph` for `backends`, by priority, the CPU last; its tensors are changed in
    the process."""
    return _Scheduler(
        graph,
        backends,
        op_offload=op_offload,
        n_copies=n_copies,
        fuses_experts=fuses_experts,
        fuses_shared_expert=fuses_shared_expert,
    ).run()


class _Scheduler:
    """One graph being scheduled; the methods before `run` are ggml's passes in their order."""

    def __init__(
        self,
        graph: Graph,
        backends: tuple[str, ...],
        *,
        op_offload: bool,
        n_copies: int,
        fuses_experts: bool,
        fuses_shared_expert: bool,
    ) -> None:
        self._graph, self._backends, self._n_copies = graph, backends, n_copies
        self._cpu = len(backends) - 1
        self._number = {device: i for i, device in enumerate(backends)}
        self._op_offload, self._fuses_experts = op_offload, fuses_experts
        self._fuses_shared_expert = fuses_shared_expert
        self._nodes = [t for t in graph.nodes if t.op not in VIEW_OPS]
        self._copies: dict[tuple[Tensor, int], list[Tensor]] = {}

    def run(self) -> Schedule:
        for t in (*self._graph.leafs, *self._graph.nodes):
            t.backend = self._number[t.pinned] if t.pinned else self._from_data(t)
        self._spread()
        self._assign_rest()
        self._follow_sources()
        n_uses = Counter(source for t in self._graph.nodes for source in t.src)
        splits = self._cut()
        kept: Kept = {}
        for split in splits:
            if split.backend == self._cpu or not self._fuses_experts:
                continue
            part = self._graph.nodes, split.start, split.end, n_uses, kept
            if self._fuses_shared_expert:
                group_shared_experts(*part)
            kept_by_fusions(*part)
        head = self._permanent(splits) if self._n_copies > 1 else []
        leafs = [(t, t.backend) for t in self._graph.leafs]
        return Schedule(leafs=head + leafs, nodes=self._ordered(splits, kept), n_splits=len(splits))

    def _from_data(self, t: Tensor) -> int:
        """The backend of a tensor whose data, or whose weight, already has a place; -1 for none."""
        backend = self._holding(t, t)
        if backend != -1:
            return backend
        if t.is_input:
            return self._cpu
        if t.op in _IGNORE_WEIGHTS:
            return -1
        for source in t.src:
            if source.is_weight:
                backend = self._holding(source, t)
                if self._op_offload and backend == self._cpu and wants_offload(t):
                    cards = (b for b in range(self._cpu) if supports(self._backends[b], t))
                    return next(cards, backend)
                return backend
        return -1

    def _holding(self, t: Tensor, node: Tensor) -> int:
        """The backend whose buffer holds `t`, if it can run `node`."""
        device = (t.view_src or t).device
        if device is None:
            return -1
        backend = self._number[device]
        return backend if supports(device, node) else -1

    def _spread(self) -> None:
        """Unassigned nodes join their neighbours: the cards' first, down and up, then anyone's."""
        backwards = self._nodes[::-1]
        for order, cards_only in (
            (self._nodes, True),
            (backwards, True),
            (self._nodes, False),
            (backwards, False),
        ):
            self._spread_along(order, cards_only=cards_only)

    def _spread_along(self, order: Iterable[Tensor], *, cards_only: bool) -> None:
        current = -1
        for t in order:
            if t.backend != -1:
                current = -1 if cards_only and t.backend == self._cpu else t.backend
            elif current != -1 and supports(self._backends[current], t):
                t.backend = current

    def _assign_rest(self) -> None:
        """What no neighbour could take goes where most of its sources are."""
        for t in self._nodes:
            if t.backend == -1:
                able = [b for b in range(self._cpu + 1) if supports(self._backends[b], t)]
                t.backend = max(able, key=lambda b: sum(1 for s in t.src if self._reaches(s, b)))

    def _reaches(self, t: Tensor, backend: int) -> bool:
        placed = t.backend != -1 or (t.view_src is not None and t.view_src.backend != -1)
        return placed and self._is_local(t, backend)

    def _is_local(self, t: Tensor, backend: int) -> bool:
        """Whether the backend can read the tensor where it is
        (ggml_backend_sched_buffer_supported)."""
        device = (t.view_src or t).device
        if device is not None:
            return self._number[device] == backend
        own = t.backend
        if own == -1 and t.view_src:
            own = t.view_src.backend
        return own == backend

    def _follow_sources(self) -> None:
        """Views run where their source is, other sources where their user is."""
        for t in self._graph.nodes:
            if t.view_src and t.backend == -1:
                t.backend = t.view_src.backend
            for source in t.src:
                if source.backend == -1:
                    source.backend = source.view_src.backend if source.view_src else t.backend
            if t.backend == -1:
                t.backend = next(b for b in range(self._cpu + 1) if supports(self._backends[b], t))

    def _cut(self) -> list[_Split]:
        """Cut the order where the backend changes, and before a second weight that must be
        copied."""
        nodes = self._graph.nodes
        split = _Split(self._nodes[0].backend, 0, len(nodes), [])
        splits = [split]
        for i, t in enumerate(nodes):
            if t.op in VIEW_OPS:
                continue
            backend = t.backend
            if backend != split.backend or (split.inputs and self._needs_weight(t)):
                split.end = i
                split = _Split(backend, i, len(nodes), [])
                splits.append(split)
            for j, source in enumerate(t.src):
                if source.backend != backend and not self._is_local(source, backend):
                    t.src[j] = self._copy(source, split)
        return splits

    def _needs_weight(self, t: Tensor) -> bool:
        for s in t.src:
            if s.is_weight and s.backend != t.backend and not self._is_local(s, t.backend):
                return True
        return False

    def _copy(self, source: Tensor, split: _Split) -> Tensor:
        """The copy of `source` for the split's backend, made once for the whole graph."""
        copies = self._copies.get((source, split.backend))
        if copies is None:
            copies = [self._twin(source) for _ in range(self._n_copies)]
            self._copies[source, split.backend] = copies
            split.inputs.append(source)
        return copies[0]

    def _twin(self, source: Tensor) -> Tensor:
        """A tensor like `source`; with pipeline parallelism it is never freed."""
        kind = COPIED if source.is_weight else ""
        twin = Tensor(
            "NONE", source.quant, source.ne, [], nb=source.nb, name=source.name, kind=kind
        )
        twin.is_input = twin.is_output = self._n_copies > 1
        return twin

    def _permanent(self, splits: list[_Split]) -> list[Placed]:
        """With pipeline parallelism every input and every copy exists several times, first and for
        good."""
        head: list[Placed] = []
        for t in self._graph.leafs:
            if t.is_input:
                t.is_output = True
                head += [
                    (twin, t.backend)
                    for twin in (t, *(self._twin(t) for _ in range(self._n_copies - 1)))
                ]
        for split in splits:
            for source in split.inputs:
                head += [(copy, split.backend) for copy in self._copies[source, split.backend]]
        return head

    def _ordered(self, splits: list[_Split], kept: Kept) -> list[Placed]:
        """The final order: each split's copies behind a view that keeps their source alive, then
        its nodes."""
        ordered: list[Placed] = []
        for split in splits:
            for source in split.inputs:
                ordered.append((_hold(source, [source]), source.backend))
                ordered.append((self._copies[source, split.backend][0], split.backend))
            for t in self._graph.nodes[split.start : split.end]:
                ordered.append((t, t.backend))
                if held := kept.get(t):
                    for i in range(0, len(held), MAX_SOURCES):
                        chunk = held[i : i + MAX_SOURCES]
                        ordered.append((_hold(chunk[0], chunk), split.backend))
        return ordered


def _hold(t: Tensor, sources: list[Tensor]) -> Tensor:
    """A view of `t` whose sources stay alive until it is reached."""
    return Tensor("NONE", t.quant, t.ne, list(sources), nb=t.nb, view_src=t.root, offset=t.offset)
