"""Compute buffers: the graphs that llama.cpp reserves, scheduled and allocated.

A buffer is the maximum over the prompt graph and the single-token graph
(llama_context::sched_reserve). Layers repeat, and so does the allocator's state: a run of equal
layers is cut to its first few, and the answer counts only if the state after two of the repetitions
is the same, for then it is the same after all. Otherwise the whole graph is replayed. Either way
the result is exact. A graph so large that no published model comes near it is not replayed: the
general rule answers, and `ComputeBuffers.is_exact` says so.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from oomph.architectures.adapter import AdapterSpec
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.estimate.affine_sizes import AffineSizes
from oomph.estimate.allocator import AllocationProgram, Packing
from oomph.estimate.backends import alignment, alloc_bytes
from oomph.estimate.build import LATEST, Build
from oomph.estimate.graph.builder import Builder, CacheTypes
from oomph.estimate.graph.compose import build_graph
from oomph.estimate.graph.drafters import DRAFTERS
from oomph.estimate.graph.hparams import Hparams
from oomph.estimate.graph.next_token import build_head
from oomph.estimate.graph.placement import CPU, Placement, layer_of
from oomph.estimate.graph.sizes import Sizes
from oomph.estimate.graph.slices import Slices
from oomph.estimate.graph.tensor import Graph, Tensor
from oomph.estimate.repeats import Cut, Selection, select_layers
from oomph.estimate.rough import rough_buffers
from oomph.estimate.scheduler import PIPELINE_COPIES, Schedule, schedule
from oomph.gguf.header import TensorInfo

CUTS: Final = (
    Cut(2, (1, 2)),
    Cut(2, (1, 2), True),
    Cut(2, (1, 2), True, 3),
    Cut(3, (1, 2), True),
    Cut(4, (2, 3), True),
)
"""How repetitions of layers are cut, each tried where the state had not settled with the one
before."""

WORTH_CUTTING: Final = 0.85
"""A cut that keeps a larger share of the layers saves less than a second replay costs."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeBuffers:
    """Bytes by backend, and the most that is live at once in each: never more, and monotone in
    every size."""

    bytes: dict[str, int]
    live_bytes: dict[str, int]
    is_exact: bool = True
    """Whether the graph was replayed: False where the general rule stands in for it."""


class Replayed:
    """What was replayed of one model's graphs, or of several models' whose graphs are the same."""

    def __init__(self) -> None:
        self.packings: dict[object, Packing | None] = {}
        self.affine: dict[object, AffineSizes] = {}
        self.selections: dict[object, Selection] = {}
        self.signatures: dict[object, Sequence[Hashable]] = {}
        self.fuses: dict[object, bool] = {}
        self.settles: dict[object, int] = {}
        self.last_settled: dict[bool, int] = {}
        self.graph_sizes: dict[object, int] = {}


@dataclass(frozen=True, slots=True)
class Batch:
    """What a graph is reserved for: tokens, rows of logits and sequences."""

    n_tokens: int
    n_outputs: int
    n_seqs: int


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
    ) -> None:
        self._model, self._build, self._is_dry_run = model, build, is_dry_run
        self._adapters = tuple(adapters)
        self._structure: object = None
        self._own, self._shared = Replayed(), Replayed()
        if (
            like is not None
            and not (self._adapters or like._adapters)
            and self.structure == like.structure
        ):
            self._shared = like._shared
        self._contents = _layer_contents(model, self._adapters)
        self._has_layer_inputs = "per_layer_token_embd.weight" in model.tensors
        self._n_ctx_before_rope = model.integer(
            "rope.scaling.original_context_length", model.n_ctx_train
        )
        self._n_chosen = model.integer("attention.indexer.top_k", 0)
        self._n_nodes: dict[object, int] = {}
        self._last: tuple[object, tuple[Builder, dict[int, Tensor], Schedule]] | None = None

    @property
    def structure(self) -> object:
        """All that graphs are made of but the types of weights that no backend copies."""
        if self._structure is None:
            self._structure = _structure(self._model), self._build, self._is_dry_run
        return self._structure

    def _known(self, setup: Setup) -> Replayed:
        """What is known of graphs like that of `setup`: shared where every layer's weights are used
        where they lie, so that their types decide nothing."""
        placement, running = setup.placement, setup.hparams.running
        stays = not placement.cards or not (
            placement.has_overrides or any(placement.layer(il) == CPU for il in running)
        )
        return self._shared if stays else self._own

    def _count_nodes(self, setup: Setup) -> int:
        """The nodes of the whole graph, as far as it is composed; 0 where none can be: an
        architecture is not known, and the file lacks the usual tensors."""
        key = setup.hparams.key
        if key not in self._n_nodes:
            try:
                self._n_nodes[key] = self._count(setup, Batch(1, 1, 1))[0]
            except ModelFileError:
                if setup.hparams.family.has_known_graph:
                    raise
                self._n_nodes[key] = 0
        return self._n_nodes[key]

    def _count(self, setup: Setup, batch: Batch) -> tuple[int, int]:
        """The nodes of the whole graph, and its inputs, by a graph in which equal layers follow one
        another a few times: each has as many nodes as the last one that is like it."""
        b, layers = self._builder(setup, batch), self._select(setup, CUTS[1]).layers
        b.n_after = {}
        graph, _ = _graph_of(b, layers)
        n_nodes, n_inputs = len(graph.nodes), sum(leaf.is_input for leaf in graph.leafs)
        if len(layers) == setup.hparams.n_layer or len(b.n_after) < len(layers):
            return n_nodes, n_inputs
        signatures, running = self._signatures(setup), setup.hparams.running
        nodes_of: dict[object, int] = {}
        for before, il in pairwise(layers[:-1]):
            nodes_of[signatures[il - running.start]] = b.n_after[il] - b.n_after[before]
        left_out = set(running) - set(layers)
        return n_nodes + sum(nodes_of[signatures[il - running.start]] for il in left_out), n_inputs

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
            batches.append(Batch(sizes.n_seqs, sizes.n_seqs, sizes.n_seqs))
        if setup.hparams.family.recurrence.reserves_one and sizes.n_seqs > 1:
            batches.append(Batch(sizes.n_tokens, sizes.n_outputs, 1))
        packings = [packing for batch in batches if (packing := self._packing(setup, batch))]
        if len(packings) < len(batches):
            return self._rough(setup)
        at = setup.placement.holders
        return ComputeBuffers(
            bytes={d: max(p.bytes[i] for p in packings) for i, each in enumerate(at) for d in each},
            live_bytes={
                d: max(p.live_bytes[i] for p in packings) for i, each in enumerate(at) for d in each
            },
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
        sizes, key = (
            setup.sizes,
            (
                setup.hparams.key,
                setup.cache,
                setup.pooling,
                setup.sizes.n_stream,
                setup.sizes.n_seqs,
            ),
        )
        known = self._known(setup).graph_sizes
        if key not in known:
            batch = Batch(sizes.n_tokens, sizes.n_outputs, sizes.n_seqs)
            known[key] = sum(self._count(setup, batch))
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
            setup.pooling,
            setup.sizes.n_seqs,
            setup.sizes.n_stream,
            setup.unfused,
            op,
        )
        fuses = self._known(setup).fuses
        if key not in fuses:
            n = setup.sizes.n_seqs
            selection = self._select(setup, CUTS[0])
            b, _, plan = self._scheduled(setup, Batch(n, n, n), selection, pins=True)
            backends = setup.placement.backends
            fuses[key] = all(
                backends[backend] == setup.placement.layer(b.fused_layers[node])
                for node, backend in plan.nodes
                if node in b.fused_layers and node.op == op
            )
        return fuses[key]

    def _scheduled(
        self, setup: Setup, batch: Batch, selection: Selection, *, pins: bool
    ) -> tuple[Builder, dict[int, Tensor], Schedule]:
        """A graph of some layers, composed and scheduled, and the layers' ends. The last is kept:
        whether attention is fused is asked of the one that is allocated next."""
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
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        b = self._builder(setup, batch)
        graph, ends = _graph_of(b, selection.layers)
        if not pins:
            for node in graph.nodes:
                node.pinned = None
        plan = schedule(
            graph,
            setup.placement.backends,
            op_offload=setup.op_offload,
            n_copies=PIPELINE_COPIES if setup.placement.pipeline else 1,
            fuses_experts=self._build.fuses_experts and not setup.placement.is_cut,
            fuses_shared_expert=self._build.fuses_shared_expert,
        )
        self._last = key, (b, ends, plan)
        return b, ends, plan

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
        """Replay with the first cut that settles, beginning with the one that did for a graph like
        this; None where none does and the whole is too large."""
        kind = (
            setup.placement.key,
            setup.cache,
            setup.hparams.key,
            batch.n_tokens == setup.sizes.n_seqs,
            batch.n_seqs,
        )
        is_prompt, known = batch.n_tokens > setup.sizes.n_seqs, self._known(setup)
        settles, last_settled = known.settles, known.last_settled
        if kind not in settles:
            # a placement most often needs the cut of the last one, or the one before that; the
            # first of all what the other batch needed
            last = last_settled.get(is_prompt, last_settled.get(not is_prompt, 0))
            settles[kind] = max(0, last - 1)
        n_layer, is_small = setup.hparams.n_layer, self._count_nodes(setup) <= MAX_REPLAYED
        for i in range(settles[kind], len(CUTS)):
            selection = self._select(setup, CUTS[i])
            if is_small and len(selection.layers) > WORTH_CUTTING * n_layer:
                continue
            packing = self._replay_layers(setup, batch, selection)
            if packing:
                last_settled[is_prompt] = i
                return packing
            settles[kind] = i + 1
        last_settled[is_prompt] = len(CUTS)
        everything = Selection(tuple(setup.hparams.running))
        return self._replay_layers(setup, batch, everything)

    def _replay_layers(self, setup: Setup, batch: Batch, selection: Selection) -> Packing | None:
        """The packing of a graph of some layers; None where leaving out the others could matter, or
        where they are too many."""
        share = len(selection.layers) / setup.hparams.n_layer
        if self._count_nodes(setup) * share > MAX_REPLAYED:
            return None
        affine = self._affine_sizes(setup, batch, selection)
        if affine.is_known:
            program, sizes, alike = affine.at(setup.sizes.cells)
        else:
            composed = self._program(setup, batch, selection)
            if composed is None:
                return None
            program, sizes = composed
            alike = program.likeness()
            affine.learn(setup.sizes.cells, program, sizes)
        packing = program.run(
            sizes, alike, [alignment(device) for device in setup.placement.backends]
        )
        marked = sorted({il for pair in selection.must_agree for il in pair})
        states = dict(zip(marked, packing.states, strict=True))
        return packing if all(states[a] == states[b] for a, b in selection.must_agree) else None

    def _affine_sizes(self, setup: Setup, batch: Batch, selection: Selection) -> AffineSizes:
        """What is known of the graph at other contexts; a graph whose caches stand for several
        tokens each is rigid."""
        sizes, hparams = setup.sizes, setup.hparams
        # either grows along, or stays
        window = None if sizes.cells_swa == sizes.cells else sizes.cells_swa
        key = (
            setup.placement.key,
            setup.cache,
            hparams.key,
            setup.op_offload,
            setup.pooling,
            setup.unfused,
            batch,
            selection,
            window,
            sizes.n_stream,
            sizes.n_seqs,
            sizes.cells > self._n_ctx_before_rope,
            sizes.cells > self._n_chosen,
        )
        known = self._known(setup).affine
        if key not in known:
            known[key] = AffineSizes(is_rigid=any(layer.compress_ratio for layer in hparams.layers))
        return known[key]

    def _program(
        self, setup: Setup, batch: Batch, selection: Selection
    ) -> tuple[AllocationProgram, list[int]] | None:
        """The program of a graph of some layers, and its sizes."""
        devices = setup.placement.backends
        _, ends, plan = self._scheduled(setup, batch, selection, pins=not self._is_dry_run)
        if (
            setup.placement.pipeline
            and selection.must_agree
            and (plan.n_splits > len(devices) or self._has_layer_inputs)
        ):
            # every copy between splits stays for good, so every split and every layer's input
            # counts
            return None

        def size(tensor: Tensor, backend: int) -> int:
            return alloc_bytes(
                devices[backend], tensor, reserves_copies=self._build.reserves_copies
            )

        program = AllocationProgram(
            plan.leafs, plan.nodes, {ends[il] for pair in selection.must_agree for il in pair}
        )
        return program, program.sizes(size)

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

    def _select(self, setup: Setup, cut: Cut) -> Selection:
        key = (setup.placement.key, setup.hparams.key, cut)
        graph = setup.hparams.family.graph
        is_apart = graph.layer == "stacks" or graph.drafter != "none"
        if setup.hparams.is_head or setup.hparams.n_loops > 1 or is_apart:
            return Selection(tuple(setup.hparams.running))
        selections = self._known(setup).selections
        if key not in selections:
            selections[key] = select_layers(self._signatures(setup), cut)
        return selections[key]

    def _signatures(self, setup: Setup) -> Sequence[Hashable]:
        """All that decides the nodes of each layer that runs."""
        known, key = self._known(setup).signatures, (setup.placement.key, setup.hparams.key)
        if key not in known:
            known[key] = [self._signature(setup, il) for il in setup.hparams.running]
        return known[key]

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
            setup.hparams.layers[il].kind(il),
            device,
            placement.cache(il),
            places,
            types,
            tensors,
        )


def _graph_of(b: Builder, layers: Sequence[int]) -> tuple[Graph, dict[int, Tensor]]:
    """The graph of `b`: of its layers, of its model's head, or of the drafter that it is."""
    if b.rules.drafter != "none":
        return DRAFTERS[b.rules.drafter](b)
    return build_head(b) if b.hparams.is_head else build_graph(b, layers)


def _layer_contents(
    model: ModelSpec, adapters: Sequence[AdapterSpec]
) -> dict[int, tuple[tuple[str, tuple[int, ...], str], ...]]:
    """For each layer its tensors by name, the adapters' among them: name without the layer,
    dimensions, type."""
    contents: defaultdict[int, list[tuple[str, tuple[int, ...], str]]] = defaultdict(list)
    pairs = (pair for adapter in adapters for pair in adapter.pairs.values())
    for info in (*model.tensors.values(), *(info for pair in pairs for info in (pair.a, pair.b))):
        il = layer_of(info.name)
        if il is not None:
            contents[il].append((info.name.split(".", 2)[2], info.ne, info.quant.name))
    return {il: tuple(sorted(content)) for il, content in contents.items()}


def _structure(model: ModelSpec) -> object:
    """What a model's graphs are made of: its numbers, its tensors' names and shapes, and the types
    that decide where a node runs or what is copied although the layers lie on cards."""
    numbers = sorted(
        (key, str(value))
        for key, value in model.metadata.items()
        if key.startswith(f"{model.arch}.")
    )
    tensors = tuple(
        (info.name, info.ne, info.quant.name if _decides(info) else "")
        for info in model.tensors.values()
    )
    return model.arch, tuple(numbers), tensors


def _decides(info: TensorInfo) -> bool:
    """Whether a tensor's type may matter wherever the layers lie: CUDA gathers no rows of MXFP4 of
    some widths, and what is in no layer may lie on the host and be copied, but for the tables that
    rows are gathered from and the output."""
    is_outside = layer_of(info.name) is None
    is_table = info.name.endswith("token_embd.weight") or info.name == "output.weight"
    return info.quant.name == "MXFP4" or (is_outside and not is_table)
