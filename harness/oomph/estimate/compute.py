"""Compute buffers: what llama.cpp reserves for its graphs.

A buffer is the maximum over the prompt graph and the single-token graph
(llama_context::sched_reserve), each of which is replayed once (`oomph.estimate.replays`). A graph
so large that no published model comes near it is not: the general rule answers, and
`ComputeBuffers.is_exact` says so.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from oomph.architectures.adapter import AdapterSpec
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.estimate.buffers import Batch, ComputeBuffers, Packing, Setup, token_batch, turns_of
from oomph.estimate.build import LATEST, Build
from oomph.estimate.replayed import Learned, ReplayStore
from oomph.estimate.rough import rough_buffers

if TYPE_CHECKING:
    from oomph.estimate.replays import Replays

_LONG: Final = ("delta_net", "kda")
"""Recurrences with a long graph, which has room for ROOM nodes with each token."""
ROOM: Final = 40
NODES_OF_PAIR: Final = 6
"""Tensors of a graph that llama.cpp makes room for with each pair of an adapter's matrices."""
MAX_COMPOSED: Final = 16_384
"""Nodes of a whole graph, of which repeated layers are left out: twice what any published model
has."""


class ComputeModel:
    """The compute buffers of one model; what was replayed for one configuration is kept for the
    next, and for the models `like` which it is built: another quantization has the same graph
    wherever no weight is copied.

    With `is_dry_run` they are as llama.cpp counts them without allocating (no_alloc), as its --fit
    does: of the prompt graph alone, and that with no tensor pinned, for
    ggml_backend_sched_reserve_size forgets what llama_context::graph_get_cb has set.
    """

    def __init__(
        self,
        model: ModelSpec,
        build: Build = LATEST,
        *,
        is_dry_run: bool = False,
        adapters: Sequence[AdapterSpec] = (),
        like: "ComputeModel | None" = None,
        store: ReplayStore | None = None,
    ) -> None:
        self._model, self._build, self._is_dry_run = model, build, is_dry_run
        self._adapters, self._turns = tuple(adapters), turns_of(model)
        self._learned: Learned = Learned(
            model,
            (build, is_dry_run),
            like=like._learned if like and not self._adapters and not like._adapters else None,
            store=None if self._adapters else store,
        )

    @property
    def structure(self) -> object:
        """All that graphs are made of but the types of weights that no backend copies."""
        return self._learned.structure

    @cached_property
    def _replays(self) -> "Replays":
        """What replays; imported where something is not known."""
        from oomph.estimate.replays import Replays

        return Replays(
            self._model,
            self._build,
            is_dry_run=self._is_dry_run,
            adapters=self._adapters,
            turns=self._turns,
            learned=self._learned,
        )

    def _count_nodes(self, setup: Setup) -> int:
        """The nodes of the whole graph, as far as it is composed; 0 where none can be: an
        architecture is not known, and the file lacks the usual tensors."""
        key, n_nodes = setup.hparams.key, self._learned.shared.n_nodes
        if key not in n_nodes:
            try:
                n_nodes[key] = self._replays.n_nodes(setup)
            except ModelFileError:
                if setup.hparams.family.has_known_graph:
                    raise
                n_nodes[key] = 0
        return n_nodes[key]

    def composes(self, setup: Setup) -> bool:
        """Whether a graph can be composed: for a known architecture, or if the file has the usual
        tensors, unless it is larger than any model's."""
        return 0 < self._count_nodes(setup) <= MAX_COMPOSED

    def buffers(self, setup: Setup) -> ComputeBuffers:
        """The buffers that llama.cpp reserves for `setup`; by rule of thumb where no graph can be
        composed, or where it is too large to be replayed."""
        sizes = setup.sizes
        if not self.composes(setup):
            return self._rough(setup)
        batches = [Batch(n_tokens=sizes.n_tokens, n_outputs=sizes.n_outputs, n_seqs=sizes.n_seqs)]
        if not self._is_dry_run:
            batches.append(token_batch(setup))
        if setup.hparams.family.recurrence.reserves_one and sizes.n_seqs > 1:
            batches.append(
                Batch(n_tokens=sizes.n_tokens_of_one, n_outputs=sizes.n_outputs, n_seqs=1)
            )
        packings: list[Packing] = []
        for batch in batches:
            if packings and self._is_within(setup, batch, packings[0]):
                continue
            packing = self._packing(setup, batch)
            if packing is None:
                return self._rough(setup)
            packings.append(packing)
        at = setup.placement.holders
        return ComputeBuffers(
            bytes={d: max(p.bytes[i] for p in packings) for i, each in enumerate(at) for d in each},
            live_bytes={
                d: max(p.live_bytes[i] for p in packings) for i, each in enumerate(at) for d in each
            },
        )

    def _is_within(self, setup: Setup, batch: Batch, packing: Packing) -> bool:
        """Whether all that a graph of `batch` ever puts into a buffer, side by side, is less than
        what another graph has live there: then it decides nothing.

        That is known of another context. No size shrinks as the cells grow; and each is a line over
        them, at least 0 at none: it grows by no larger a factor than they do, but for what it is
        padded by, which twice as much covers.
        """
        known, sizes = self._learned.of(setup).most, setup.sizes
        kind = self._turns.kind(setup, batch, setup.placement.key)
        if kind not in known:
            return False
        cells, cells_swa, most = known[kind]
        grown = max(sizes.cells / max(cells, 1), sizes.cells_swa / max(cells_swa, 1))
        factor = 2 * grown if grown > 1 else 1
        return all(factor * n <= live for n, live in zip(most, packing.live_bytes, strict=True))

    def _rough(self, setup: Setup) -> ComputeBuffers:
        n_ff = self._model.integer("feed_forward_length", 4 * setup.hparams.n_embd)
        rough = rough_buffers(
            setup.hparams,
            setup.sizes,
            tuple(device for each in setup.placement.holders for device in each),
            n_ff=n_ff,
            flash_attn=setup.cache.flash_attn,
        )
        return ComputeBuffers(bytes=rough, live_bytes=rough, is_exact=False)

    def graph_surplus(self, setup: Setup) -> int:
        """Tensors of the prompt graph beyond what llama_context::graph_max_nodes makes room for:
        above 0 it aborts."""
        if not self.composes(setup):
            return max(0, self._count_nodes(setup) - self._room_for_tensors(setup))
        sizes, known = setup.sizes, self._learned.of(setup).graph_sizes
        key = (setup.hparams.key, setup.cache, setup.pooling, sizes.n_stream, sizes.n_seqs)
        if key not in known:
            batch = Batch(n_tokens=sizes.n_tokens, n_outputs=sizes.n_outputs, n_seqs=sizes.n_seqs)
            known[key] = self._replays.n_tensors(setup, batch)
        return known[key] - self._room_for_tensors(setup)

    def _room_for_tensors(self, setup: Setup) -> int:
        """How many tensors a graph may have (llama_context::graph_max_nodes)."""
        n_tensors = len(self._model.tensors)
        family = setup.hparams.family
        per_token = family.graph.nodes_per_token
        if per_token == 0 and family.recurrence.part in _LONG:
            per_token = ROOM
        if per_token:
            return max(
                per_token * setup.sizes.n_tokens, (64 if per_token > ROOM else 32) * n_tensors
            )
        n_of_adapters = sum(NODES_OF_PAIR * len(adapter.pairs) for adapter in self._adapters)
        return max(1024, 8 * n_tensors) + n_of_adapters

    def fuses(self, setup: Setup, op: str) -> bool:
        """Whether the fused operator `op` stays, as flash attention does with `flash_attn` auto: if
        each layer's would run on the layer's device."""
        if not self.composes(setup):
            return True
        key = (
            setup.placement.key,
            setup.cache,
            setup.hparams.key,
            setup.pooling,
            setup.sizes.n_seqs,
            setup.sizes.n_stream,
            setup.unfused,
            op,
        )
        fuses = self._learned.of(setup).fuses
        if key not in fuses:
            fuses[key] = self._replays.fuses(setup, key[1:])
        return fuses[key]

    def _packing(self, setup: Setup, batch: Batch) -> Packing | None:
        key = (*setup.key, batch)
        packings = self._learned.of(setup).packings
        if key not in packings:
            packings[key] = self._replays.packing(setup, batch)
        return packings[key]
