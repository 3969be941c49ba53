"""Compute buffers: the graphs that llama.cpp reserves, scheduled and allocated.

A buffer is the maximum over the prompt graph and the single-token graph
(llama_context::sched_reserve). Layers repeat: of a run of equal ones a few are composed and
scheduled, and the allocator goes through one of them as often as it repeats, if that is all that
the others would do. Otherwise the whole graph is composed. Either way the result is exact. A graph
so large that no published model comes near it is not replayed: the general rule answers, and
`ComputeBuffers.is_exact` says so.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from oomph.architectures.adapter import AdapterSpec
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.estimate.affine_sizes import N_SAMPLES, AffineSizes
from oomph.estimate.allocator import AllocationProgram, Packing
from oomph.estimate.backends import alignment, alloc_bytes
from oomph.estimate.build import LATEST, Build
from oomph.estimate.composed import Batch, Composed, graph_of
from oomph.estimate.graph.builder import Builder, CacheTypes
from oomph.estimate.graph.hparams import Hparams
from oomph.estimate.graph.placement import CPU, Placement, layer_of
from oomph.estimate.graph.sizes import Sizes
from oomph.estimate.graph.slices import Slices
from oomph.estimate.graph.tensor import F16, Tensor
from oomph.estimate.repeats import KEPT, Selection, select_layers
from oomph.estimate.replayed import Layout, Replayed, ReplayStore
from oomph.estimate.rough import rough_buffers
from oomph.estimate.scheduler import PIPELINE_COPIES, Schedule, schedule
from oomph.estimate.structure import layer_contents, structure_of
from oomph.frozen import frozen

WORTH_CUTTING: Final = 0.8
"""A selection that keeps a larger share of the layers saves less than it costs where it will not
do."""

NEIGHBOURS: Final = 2
"""Repetitions of a run in which each layer has had all the neighbours that it has in a longer
one: they decide where its nodes run."""
_LONG: Final = ("delta_net", "kda")
"""Recurrences with a long graph, which has room for ROOM nodes with each token."""
ROOM: Final = 40
NODES_OF_PAIR: Final = 6
"""Tensors of a graph that llama.cpp makes room for with each pair of an adapter's matrices."""

MAX_COMPOSED: Final = 16_384
"""Nodes of a whole graph, of which repeated layers are left out: twice what any published model
has."""
MAX_REPLAYED: Final = 12_288
"""Nodes that are scheduled and allocated: the largest published model, DeepSeek-V4-Flash, has
8,349."""


@frozen
class Setup:
    """One configuration, resolved: everything a graph depends on."""

    hparams: Hparams
    placement: Placement
    sizes: Sizes
    cache: CacheTypes
    op_offload: bool
    pooling: str | None = None
    unfused: frozenset[str] = frozenset()
    """Operators that llama.cpp builds of their parts (resolve_fused_ops)."""
    slices: Slices | None = None
    """What each card has of a tensor with --split-mode tensor; None for the other modes."""


@frozen
class ComputeBuffers:
    """Bytes by backend, and the most that is live at once in each: never more, and monotone in
    every size."""

    bytes: dict[str, int]
    live_bytes: dict[str, int]
    is_exact: bool = True
    """Whether the graph was replayed: False where the general rule stands in for it."""


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
        self._adapters = tuple(adapters)
        self._structure: object = None
        self._store = None if self._adapters else store
        self._shared = self._shared_with(like) or self._kept()
        self._contents = layer_contents(model, self._adapters)
        self._outside = tuple(name for name in model.tensors if layer_of(name) is None)
        self._has_layer_inputs = "per_layer_token_embd.weight" in model.tensors
        self._n_ctx_before_rope: int | None = None
        """The context from which a file's other RoPE factors are read; None where it has none."""
        if "rope_factors_long.weight" in model.tensors:
            self._n_ctx_before_rope = model.integer(
                "rope.scaling.original_context_length", model.n_ctx_train
            )
        self._n_chosen = model.integer("attention.indexer.top_k", 0)
        self._last: list[tuple[object, Composed]] = []

    @property
    def structure(self) -> object:
        """All that graphs are made of but the types of weights that no backend copies."""
        if self._structure is None:
            self._structure = structure_of(self._model), self._build, self._is_dry_run
        return self._structure

    def _shared_with(self, like: "ComputeModel | None") -> Replayed | None:
        """What is known of the graphs of `like`, if they are the same."""
        if like is None or self._adapters or like._adapters or self.structure != like.structure:
            return None
        return like._shared

    def _kept(self, types: Sequence[str] = ()) -> Replayed:
        """What is known of graphs of this structure, and of these types of weights, from an earlier
        process where there is a store."""
        return Replayed() if self._store is None else self._store.replayed((self.structure, types))

    @cached_property
    def _own(self) -> Replayed:
        """What is known of graphs that the types of this model's weights decide."""
        return self._kept(tuple(info.quant.name for info in self._model.tensors.values()))

    def _known(self, setup: Setup) -> Replayed:
        """What is known of graphs like that of `setup`: shared where every layer's weights are used
        where they lie, so that their types decide nothing."""
        placement = setup.placement
        stays = not placement.cards or not (
            placement.has_overrides or placement.has_on_host(setup.hparams.running)
        )
        return self._shared if stays else self._own

    def _count_nodes(self, setup: Setup) -> int:
        """The nodes of the whole graph, as far as it is composed; 0 where none can be: an
        architecture is not known, and the file lacks the usual tensors."""
        key, n_nodes = setup.hparams.key, self._shared.n_nodes
        if key not in n_nodes:
            try:
                composed = self._composed(setup, _token_batch(setup), self._select(setup, KEPT[0]))
                n_nodes[key] = composed.n_nodes
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
        batches = [Batch(sizes.n_tokens, sizes.n_outputs, sizes.n_seqs)]
        if not self._is_dry_run:
            batches.append(_token_batch(setup))
        if setup.hparams.family.recurrence.reserves_one and sizes.n_seqs > 1:
            batches.append(Batch(sizes.n_tokens_of_one, sizes.n_outputs, 1))
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
        known, sizes = self._known(setup).most, setup.sizes
        kind = self._kind(setup, batch, setup.placement.key)
        if kind not in known:
            return False
        cells, cells_swa, most = known[kind]
        grown = max(sizes.cells / max(cells, 1), sizes.cells_swa / max(cells_swa, 1))
        factor = 2 * grown if grown > 1 else 1
        return all(factor * n <= live for n, live in zip(most, packing.live_bytes, strict=True))

    def _kind(self, setup: Setup, batch: Batch, places: object) -> object:
        """All that a graph depends on but the cells; `places` is where the model lies."""
        sizes = setup.sizes
        return (
            places,
            setup.cache,
            setup.hparams.key,
            setup.op_offload,
            setup.pooling,
            setup.unfused,
            batch,
            sizes.n_stream,
            sizes.n_seqs,
            sizes.n_states,
            self._n_ctx_before_rope is not None and sizes.cells > self._n_ctx_before_rope,
            sizes.cells > self._n_chosen,
        )

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
        sizes, known = setup.sizes, self._known(setup).graph_sizes
        key = (setup.hparams.key, setup.cache, setup.pooling, sizes.n_stream, sizes.n_seqs)
        if key not in known:
            batch = Batch(sizes.n_tokens, sizes.n_outputs, sizes.n_seqs)
            composed = self._composed(setup, batch, self._select(setup, KEPT[0]))
            known[key] = composed.n_nodes + composed.n_inputs
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
        fuses = self._known(setup).fuses
        if key not in fuses:
            fuses[key] = self._fuses_in(setup, self._layout(setup, NEIGHBOURS), key[1:])
        return fuses[key]

    def _fuses_in(self, setup: Setup, layout: Layout, rest: tuple[object, ...]) -> bool:
        """The same for the last of `rest`, which with the layout decides it."""
        key, known = (layout.key, *rest), self._known(setup).fuses_in
        if key not in known:
            # the first graph of a model is allocated, too, with as many layers as that takes
            selection = layout.selection if known else self._select(setup, KEPT[0])
            composed = self._composed(setup, _token_batch(setup), selection)
            backends, layers = setup.placement.backends, composed.fused_layers
            plan = self._scheduled(setup, composed)
            known[key] = all(
                backends[backend] == setup.placement.layer(layers[node])
                for node, backend in plan.nodes
                if node in layers and node.op == rest[-1]
            )
        return known[key]

    def _composed(
        self, setup: Setup, batch: Batch, selection: Selection, *, pins: bool = True
    ) -> Composed:
        """The graph of some layers, with what llama.cpp pins where it `pins`. The last two are
        kept: they are counted, asked whether attention is fused, and allocated, one after the
        other."""
        key = (
            setup.placement.key,
            setup.sizes.caches,
            setup.cache,
            setup.hparams.key,
            setup.op_offload,
            setup.pooling,
            setup.unfused,
            batch,
            selection,
            pins,
        )
        for known, composed in self._last:
            if known == key:
                return composed
        b = self._builder(setup, batch)
        graph, ends = graph_of(b, selection.layers)
        for node in () if pins else graph.nodes:
            node.pinned = None
        composed = Composed(graph, ends, b.fused_layers, selection)
        self._last = [*self._last[-1:], (key, composed)]
        return composed

    def _scheduled(self, setup: Setup, composed: Composed) -> Schedule:
        """The graph scheduled, which changes it; once."""
        if composed.plan is None:
            composed.plan = schedule(
                composed.graph,
                setup.placement.backends,
                op_offload=setup.op_offload,
                n_copies=PIPELINE_COPIES if setup.placement.pipeline else 1,
                fuses_experts=self._build.fuses_experts and not setup.placement.is_cut,
                fuses_shared_expert=self._build.fuses_shared_expert,
            )
        return composed.plan

    def _packing(self, setup: Setup, batch: Batch) -> Packing | None:
        key = (
            setup.placement.key,
            setup.sizes.caches,
            setup.cache,
            setup.hparams.key,
            setup.op_offload,
            setup.pooling,
            setup.unfused,
            batch,
        )
        packings = self._known(setup).packings
        if key not in packings:
            packings[key] = self._replay(setup, batch)
        return packings[key]

    def _replay(self, setup: Setup, batch: Batch) -> Packing | None:
        """Replay with as few repetitions of layers as will do, beginning with those that did for a
        graph like this; None where none does and the whole is too large."""
        layout = self._layout(setup, KEPT[0])
        kind = (layout.key, setup.cache, setup.hparams.key, batch.n_seqs)
        tried = self._known(setup).tried
        for i in range(tried.get(kind, 0), len(KEPT)):
            layout = self._layout(setup, KEPT[i])
            packing = self._replay_layers(setup, batch, layout) if layout.selection.runs else None
            if packing:
                return packing
            composed = self._composed(setup, batch, layout.selection, pins=not self._is_dry_run)
            tried[kind] = len(KEPT) if self._copies_for_good(setup, composed) else i + 1
        return self._replay_layers(setup, batch, self._layout(setup, None))

    def _replay_layers(self, setup: Setup, batch: Batch, layout: Layout) -> Packing | None:
        """The packing of a graph of some layers; None where the others could not be gone through
        like them, or where they are too many."""
        affine, times = self._affine_sizes(setup, batch, layout), layout.selection.times
        alignments = [alignment(device) for device in setup.placement.backends]
        known, key = self._known(setup).most, self._kind(setup, batch, setup.placement.key)
        cells, has_most = setup.sizes.cells, key in known
        if has_most and affine.is_known:
            return affine.packing(cells, alignments, times)
        found = affine.at(cells)
        if found is None:
            composed = self._program(setup, batch, layout.selection)
            if composed is None:
                return None
            program, sizes = composed
            affine = self._learn(setup, batch, layout, program, sizes)
            found = program, sizes, program.likeness()
        program, sizes, alike = found
        if not (affine.is_rigid or (has_most and known[key][0] >= cells)):
            most = program.most_bytes(sizes, alignments, times)
            known[key] = cells, setup.sizes.cells_swa, most
        return program.run(sizes, alike, alignments, times)

    def _learn(
        self,
        setup: Setup,
        batch: Batch,
        layout: Layout,
        program: AllocationProgram,
        sizes: list[int],
    ) -> AffineSizes:
        """Add a replay to what is known of the graph at other contexts; that is what is known of
        one with other types in the cache where these decide nothing."""
        known, cells = self._known(setup), setup.sizes.cells
        cache = setup.cache
        plain = replace(setup, cache=replace(cache, k=F16, v=F16))
        alike = known.drawn.setdefault(self._line_key(plain, batch, layout), [])
        for other in alike:
            if other.holds_for(cells, program, sizes):
                known.affine[self._line_key(setup, batch, layout)] = other
                return other
        affine, place = self._affine_sizes(setup, batch, layout), (layout.key, setup.hparams.key)
        if place in known.linear:
            affine.n_samples = N_SAMPLES - 1
        affine.learn(cells, program, sizes)
        if affine.is_known:
            known.linear.add(place)
            alike.append(affine)
        return affine

    def _affine_sizes(self, setup: Setup, batch: Batch, layout: Layout) -> AffineSizes:
        """What is known of the graph at other contexts; a graph whose caches stand for several
        tokens each is rigid."""
        known, key = self._known(setup).affine, self._line_key(setup, batch, layout)
        if key not in known:
            known[key] = AffineSizes(
                is_rigid=any(layer.compress_ratio for layer in setup.hparams.layers)
            )
        return known[key]

    def _line_key(self, setup: Setup, batch: Batch, layout: Layout) -> object:
        """What graphs share whose sizes are the same lines over the cells."""
        sizes = setup.sizes
        # each either grows along, or stays
        window = None if sizes.cells_swa == sizes.cells else sizes.cells_swa
        positions = None if sizes.n_positions == sizes.cells else sizes.n_positions
        return self._kind(setup, batch, layout.key), window, positions

    def _program(
        self, setup: Setup, batch: Batch, selection: Selection
    ) -> tuple[AllocationProgram, list[int]] | None:
        """The program of a graph of some layers that stands for all, and its sizes."""
        devices = setup.placement.backends
        composed = self._composed(setup, batch, selection, pins=not self._is_dry_run)
        if len(composed.graph.nodes) > MAX_REPLAYED:
            return None
        plan = self._scheduled(setup, composed)
        if selection.runs and self._copies_for_good(setup, composed):
            return None

        def size(tensor: Tensor, backend: int) -> int:
            return alloc_bytes(
                devices[backend], tensor, reserves_copies=self._build.reserves_copies
            )

        program = AllocationProgram(plan.leafs, plan.nodes, composed.repeated)
        return (program, program.sizes(size)) if program.is_whole else None

    def _copies_for_good(self, setup: Setup, composed: Composed) -> bool:
        """Whether layers have copies that stay: with pipeline parallelism every copy between splits
        does, so every split and every layer's input counts."""
        if not setup.placement.pipeline:
            return False
        plan = self._scheduled(setup, composed)
        return self._has_layer_inputs or plan.n_splits > len(setup.placement.backends)

    def _builder(self, setup: Setup, batch: Batch) -> Builder:
        return Builder(
            self._model,
            setup.hparams,
            setup.placement,
            setup.sizes,
            setup.cache,
            n_tokens=batch.n_tokens,
            n_outputs=batch.n_outputs,
            n_seqs=batch.n_seqs,
            pooling=setup.pooling,
            build=self._build,
            unfused=setup.unfused,
            adapters=self._adapters,
        )

    def _select(self, setup: Setup, keep: int) -> Selection:
        """The layers that stand for all, with so many repetitions of each run."""
        return self._layout(setup, keep).selection

    def _layout(self, setup: Setup, keep: int | None) -> Layout:
        """The layers that stand for all, with so many repetitions of each run or all of them, and
        what of their places a graph depends on."""
        key = (setup.placement.key, setup.hparams.key, keep)
        layouts = self._known(setup).layouts
        if key not in layouts:
            layouts[key] = self._laid_out(setup, keep)
        return layouts[key]

    def _laid_out(self, setup: Setup, keep: int | None) -> Layout:
        hparams, placement = setup.hparams, setup.placement
        whole, graph = Selection(tuple(hparams.running)), hparams.family.graph
        is_apart = graph.layer == "stacks" or graph.drafter != "none"
        if hparams.is_head or hparams.n_loops > 1 or is_apart:
            return Layout(whole, placement.key)
        signatures = self._signatures(setup)
        found = whole if keep is None else select_layers(signatures, keep)
        if len(found.layers) > WORTH_CUTTING * hparams.n_layer:
            found = whole
        if not placement.is_simple:
            return Layout(found, (placement.key, found))
        outside = self._outside if placement.has_overrides else ()
        places = tuple(placement.weight(name) for name in outside)
        kept = tuple(signatures[il] for il in found.layers)
        return Layout(found, (placement.frame, kept, found.ends, places))

    def _signatures(self, setup: Setup) -> Sequence[int]:
        """A number for all that decides the nodes of each layer that runs."""
        known = self._known(setup)
        return [known.number(self._signature(setup, il)) for il in setup.hparams.running]

    def _kinds(self, setup: Setup) -> Sequence[Hashable]:
        """What makes each layer equal to another, wherever it lies."""
        known, hparams = self._known(setup), setup.hparams
        if hparams.key not in known.kinds:
            known.kinds[hparams.key] = [
                known.number(layer.kind(il)) for il, layer in enumerate(hparams.layers)
            ]
        return known.kinds[hparams.key]

    def _signature(self, setup: Setup, il: int) -> Hashable:
        """All that decides a layer's nodes. A weight's type does where it lies on the CPU and may
        be copied."""
        placement = setup.placement
        device, content = placement.layer(il), self._contents.get(il, ())
        if placement.has_overrides:
            places: object = tuple(placement.weight(f"blk.{il}.{name}") for name, _, _ in content)
        else:
            places = device
        types = tuple(t for _, _, t in content) if device == CPU or placement.has_overrides else ()
        tensors = tuple((name, ne) for name, ne, _ in content)
        return (
            self._kinds(setup)[il],
            device,
            placement.cache(il),
            places,
            types,
            tensors,
        )


def _token_batch(setup: Setup) -> Batch:
    """One token of each sequence."""
    n = setup.sizes.n_seqs
    return Batch(n, n, n)
