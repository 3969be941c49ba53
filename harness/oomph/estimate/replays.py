"""Graphs composed, scheduled and allocated for what nobody has asked yet.

Layers repeat: of a run of equal ones a few are composed and scheduled, and the allocator goes
through one of them as often as it repeats, if that is all that the others would do. Otherwise the
whole graph is composed. Either way the result is exact. Imported where something is replayed: a
process that knows all it is asked does without.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from oomph.architectures.adapter import AdapterSpec
from oomph.architectures.spec import ModelSpec
from oomph.estimate.affine_sizes import AffineSizes
from oomph.estimate.allocator import AllocationProgram
from oomph.estimate.backends import WITHOUT_KERNEL, alignment, alloc_bytes
from oomph.estimate.buffers import Batch, Packing, Setup, Turns, token_batch
from oomph.estimate.build import Build
from oomph.estimate.composed import Composed, graph_of
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.placement import CPU, layer_and_part, layer_of
from oomph.estimate.graph.tensor import F16, Tensor, strides
from oomph.estimate.like_cards import KEPT_CARDS, are_apart, leave_out_cards, of_all_cards
from oomph.estimate.loops import Repetitions
from oomph.estimate.repeats import KEPT, Selection, select_layers
from oomph.estimate.replayed import Layout, Learned
from oomph.estimate.scheduler import PIPELINE_COPIES, Schedule, schedule
from oomph.estimate.structure import is_multiplied, layer_contents

WORTH_CUTTING: Final = 0.8
"""A selection that keeps a larger share of the layers saves less than it costs where it will not
do."""
NEIGHBOURS: Final = 2
"""Repetitions of a run in which each layer has had all the neighbours that it has in a longer
one: they decide where its nodes run."""
MAX_REPLAYED: Final = 12_288
"""Nodes that are scheduled and allocated: the largest published model, DeepSeek-V4-Flash, has
8,349."""


class Replays:
    """The replays of one model's graphs; what they teach of other contexts and placements is put
    into `learned`."""

    def __init__(
        self,
        model: ModelSpec,
        build: Build,
        *,
        is_dry_run: bool,
        adapters: Sequence[AdapterSpec],
        turns: Turns,
        learned: Learned,
    ) -> None:
        self._model, self._build, self._is_dry_run = model, build, is_dry_run
        self._adapters, self._turns, self._learned = adapters, turns, learned
        self._contents = layer_contents(model, adapters)
        self._outside = tuple(name for name in model.tensors if layer_of(name) is None)
        self._has_layer_inputs = "per_layer_token_embd.weight" in model.tensors
        self._last: list[tuple[object, Composed]] = []

    def n_nodes(self, setup: Setup) -> int:
        """The nodes of the whole graph of a token. ModelFileError where the file lacks a tensor
        that it needs."""
        return self._composed(setup, token_batch(setup), self._counted(setup)).n_nodes

    def n_tensors(self, setup: Setup, batch: Batch) -> int:
        """Nodes and inputs of the whole graph."""
        composed = self._composed(setup, batch, self._counted(setup))
        return composed.n_nodes + composed.n_inputs

    def fuses(self, setup: Setup, rest: tuple[object, ...]) -> bool:
        """Whether the operator that is the last of `rest` stays fused in each layer; `rest` is all
        that decides it but where the layers lie.

        Where each layer has neighbours that it had in a graph in which all did, it does.
        """
        layout, known = self._layout(setup, NEIGHBOURS), self._learned.of(setup)
        key = (layout.key, *rest)
        if key not in known.fuses_in:
            pairs = self._neighbours(setup, layout, rest)
            is_seen = bool(pairs) and all(pair in known.neighbours for pair in pairs)
            known.fuses_in[key] = is_seen or self._fuses_in(setup, layout, rest[-1])
            for pair in pairs if known.fuses_in[key] else ():
                known.neighbours.add(pair)
        return known.fuses_in[key]

    def _neighbours(
        self, setup: Setup, layout: Layout, rest: tuple[object, ...]
    ) -> list[tuple[object, ...]]:
        """Each layer with the one behind it, and all else that decides where their nodes run; none
        where layers do not follow one another."""
        if layout.outside is None:
            return []
        signatures = [nodes for nodes, _ in self._signatures(setup)]
        frame = (setup.placement.frame, layout.outside, *rest)
        return [(*frame, *pair) for pair in pairwise([None, *signatures, None])]

    def packing(self, setup: Setup, batch: Batch) -> Packing | None:
        """Replay with as few repetitions of layers as will do, beginning with those that did for a
        graph like this; None where none does and the whole is too large."""
        layout = self._layout(setup, KEPT[0])
        kind = (layout.key, setup.cache, setup.hparams.key, batch.n_seqs)
        tried = self._learned.of(setup).tried
        for i in range(tried.get(kind, 0), len(KEPT)):
            layout = self._layout(setup, KEPT[i])
            packing = self._replay_layers(setup, batch, layout) if layout.selection.is_cut else None
            if packing:
                return packing
            composed = self._composed(setup, batch, layout.selection, pins=not self._is_dry_run)
            tried[kind] = len(KEPT) if self._copies_for_good(setup, composed) else i + 1
        return self._replay_layers(setup, batch, self._layout(setup, None))

    def _fuses_in(self, setup: Setup, layout: Layout, op: object) -> bool:
        """The same, of a graph that is scheduled for it."""
        batch, longer = token_batch(setup), self._select(setup, KEPT[0])
        # the first graph of a model is allocated, too, with as many layers as that takes
        is_first = not self._learned.of(setup).fuses_in
        is_at_hand = is_first or self._kept((*setup.key, batch, longer, True)) is not None
        composed = self._composed(setup, batch, longer if is_at_hand else layout.selection)
        backends, layers = setup.placement.backends, composed.fused_layers
        return all(
            backends[backend] == setup.placement.layer(layers[node])
            for node, backend in self._scheduled(setup, composed).nodes
            if node in layers and node.op == op
        )

    def _kept(self, key: object) -> Composed | None:
        """The graph of this key, if it is one of those that are kept."""
        return next((composed for known, composed in self._last if known == key), None)

    def _composed(
        self, setup: Setup, batch: Batch, selection: Selection, *, pins: bool = True
    ) -> Composed:
        """The graph of some layers, with what llama.cpp pins where it `pins`. The last two are
        kept: they are counted, asked whether attention is fused, and allocated, one after the
        other."""
        key = (*setup.key, batch, selection, pins)
        if kept := self._kept(key):
            return kept
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

    def _replay_layers(self, setup: Setup, batch: Batch, layout: Layout) -> Packing | None:
        """The packing of a graph of some layers; None where the others could not be gone through
        like them, or where they are too many."""
        affine, selection = self._affine_sizes(setup, batch, layout), layout.selection
        placement, known = setup.placement, self._learned.of(setup).most
        alignments = [alignment(device) for device in placement.backends]
        key = self._turns.kind(setup, batch, placement.key)
        cells, has_most = setup.sizes.cells, key in known
        at = setup.sizes.growing(setup.hparams.compress_ratios)
        if has_most and affine.knows(at):
            left_out = self._left_out(setup, affine.program, selection)
            return of_all_cards(
                placement, selection, left_out, lambda each: affine.packing(at, alignments, each)
            )
        found = affine.at(at)
        if found is None:
            composed = self._program(setup, batch, selection)
            if composed is None:
                return None
            program, sizes = composed
            affine = self._learn(setup, batch, layout, program, sizes)
            found = program, sizes, program.likeness()
        program, sizes, alike = found
        left_out = self._left_out(setup, program, selection)
        if not (affine.is_rigid or (has_most and known[key][0] >= cells)):
            most = of_all_cards(
                placement, selection, left_out, lambda each: program.most(sizes, alignments, each)
            )
            known[key] = cells, setup.sizes.cells_swa, most.bytes
        return of_all_cards(
            placement, selection, left_out, lambda each: program.run(sizes, alike, alignments, each)
        )

    def _left_out(
        self, setup: Setup, program: AllocationProgram, selection: Selection
    ) -> tuple[Repetitions, ...]:
        """The repetitions of each run that are left out of a graph of `selection`; `program` is of
        a graph like it, of other layers maybe."""
        devices, found = setup.placement.backends, []
        for run, loop in zip(selection.runs, program.loops, strict=True):
            copies = []
            for number in loop.copies:
                copy = program.tensors[number]
                own, part = layer_and_part(copy.name)
                assert own is not None, "a repetition's copies are of its layers"
                il = selection.layers[program.layers.index(own)]
                copies.append((copy, devices[program.pools[number]], il, part))
            found.append(
                tuple(
                    tuple(
                        self._copy_bytes(copy, device, f"blk.{il + rank * run.period}.{part}")
                        for copy, device, il, part in copies
                    )
                    for rank in range(1, run.n_left_out + 1)
                )
            )
        return tuple(found)

    def _copy_bytes(self, copy: Tensor, device: str, name: str) -> int:
        """What another layer's weight takes where one like it is copied."""
        quant = self._model.tensors[name].quant
        # with its strides, as a copy is made: rows that are no whole blocks are longer so
        return alloc_bytes(device, Tensor("NONE", quant, copy.ne, [], nb=strides(quant, copy.ne)))

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
        known, cache = self._learned.of(setup), setup.cache
        at = setup.sizes.growing(setup.hparams.compress_ratios)
        plain = replace(setup, cache=replace(cache, k=F16, v=F16))
        alike = known.drawn.setdefault(self._line_key(plain, batch, layout), [])
        for other in alike:
            if other.holds_for(at, program, sizes):
                known.affine[self._line_key(setup, batch, layout)] = other
                return other
        affine = self._affine_sizes(setup, batch, layout)
        affine.learn(at, program, sizes)
        if affine.knows(at) and all(affine is not other for other in alike):
            alike.append(affine)
        return affine

    def _affine_sizes(self, setup: Setup, batch: Batch, layout: Layout) -> AffineSizes:
        """What is known of the graph at other contexts; a graph that is known needs no check."""
        known, key = self._learned.of(setup).affine, self._line_key(setup, batch, layout)
        if key not in known:
            known[key] = AffineSizes(n_checks=0 if setup.hparams.family.has_known_graph else 1)
        return known[key]

    def _line_key(self, setup: Setup, batch: Batch, layout: Layout) -> object:
        """What graphs share whose sizes are the same lines over the cells."""
        sizes = setup.sizes
        # each either grows along, or stays
        window = None if sizes.cells_swa == sizes.cells else sizes.cells_swa
        positions = None if sizes.n_positions == sizes.cells else sizes.n_positions
        return self._turns.kind(setup, batch, layout.key), window, positions

    def _program(
        self, setup: Setup, batch: Batch, selection: Selection
    ) -> tuple[AllocationProgram, list[int]] | None:
        """The program of a graph of some layers that stands for all, and its sizes."""
        devices = setup.placement.backends
        composed = self._composed(setup, batch, selection, pins=not self._is_dry_run)
        if len(composed.graph.nodes) > MAX_REPLAYED:
            return None
        plan = self._scheduled(setup, composed)
        if selection.is_cut and self._copies_for_good(setup, composed):
            return None
        if selection.cards and not are_apart(composed, plan, setup.placement):
            return None

        def size(tensor: Tensor, backend: int) -> int:
            return alloc_bytes(
                devices[backend], tensor, reserves_copies=self._build.reserves_copies
            )

        program = AllocationProgram(plan.leafs, plan.nodes, composed.repeated, selection.layers)
        is_whole = program.is_whole and not (selection.cards and program.elsewhere)
        return (program, program.sizes(size)) if is_whole else None

    def _copies_for_good(self, setup: Setup, composed: Composed) -> bool:
        """Whether layers have copies that stay: with pipeline parallelism every copy between splits
        does, so every split and every layer's input counts."""
        if not setup.placement.pipeline:
            return False
        plan = self._scheduled(setup, composed)
        n_used = len(setup.placement.backends) - len(composed.selection.cards)
        return self._has_layer_inputs or plan.n_splits > n_used

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

    def _counted(self, setup: Setup) -> Selection:
        """Layers whose nodes tell how many all have, wherever those lie."""
        selection = self._select(setup, KEPT[0])
        running = setup.hparams.running
        kinds = self._kinds(setup)[running.start : running.stop]
        return select_layers(kinds, KEPT[0]) if selection.cards else selection

    def _layout(self, setup: Setup, keep: int | None) -> Layout:
        """The layers that stand for all, with so many repetitions of each run or all of them, and
        what of their places a graph depends on."""
        key = (setup.placement.key, setup.hparams.key, keep)
        layouts = self._learned.of(setup).layouts
        if key not in layouts:
            layouts[key] = self._laid_out(setup, keep)
        return layouts[key]

    def _laid_out(self, setup: Setup, keep: int | None) -> Layout:
        hparams, placement = setup.hparams, setup.placement
        whole, graph = Selection(tuple(hparams.running)), hparams.family.graph
        is_apart = graph.layer == "stacks" or graph.drafter != "none"
        if hparams.is_head or hparams.n_loops > 1 or is_apart:
            return Layout(selection=whole, key=placement.key)
        signatures = self._signatures(setup)
        alike = [nodes for nodes, _ in signatures]
        found = whole
        if keep is not None:
            found = self._without_like_cards(setup, select_layers(alike, keep))
        if len(found.layers) > WORTH_CUTTING * hparams.n_layer:
            found = whole
        if not placement.is_simple:
            return Layout(selection=found, key=(placement.key, found))
        outside = self._outside if placement.has_overrides else ()
        places = tuple(placement.weight(name) for name in outside)
        kept = tuple(signatures[il] for il in found.layers)
        likes = tuple(dict.fromkeys(card.like for card in found.cards))
        key = (placement.frame, kept, found.ends, likes, places)
        return Layout(selection=found, key=key, outside=places)

    def _without_like_cards(self, setup: Setup, selection: Selection) -> Selection:
        """`selection` without the cards that others stand for."""
        placement = setup.placement
        if len(placement.cards) <= KEPT_CARDS + 1 or not placement.is_simple:
            return selection
        on_cards = {il: placement.layer(il) for il in selection.layers}
        shared = {on for il, on in on_cards.items() if not self._is_on_its_card(setup, il)}
        homes = {il: on for il, on in on_cards.items() if on not in shared}
        return leave_out_cards(selection, self._kinds(setup), homes)

    def _is_on_its_card(self, setup: Setup, il: int) -> bool:
        """Whether all of a layer is on the card that it is divided to."""
        device = setup.placement.layer(il)
        held = (setup.placement.cache(il), *self._places(setup, il))
        return device != CPU and all(each == device for each in held)

    def _places(self, setup: Setup, il: int) -> tuple[str, ...]:
        """The device of each tensor of a layer."""
        placement, content = setup.placement, self._contents.get(il, ())
        if not placement.has_overrides:
            return (placement.layer(il),) * len(content)
        return tuple(placement.weight(f"blk.{il}.{name}") for name, _, _ in content)

    def _signatures(self, setup: Setup) -> Sequence[tuple[int, Hashable]]:
        """A number for all that decides the nodes of each layer that runs, and the types that
        decide the bytes of what is copied for them."""
        known = self._learned.of(setup)
        found = (self._signature(setup, il) for il in setup.hparams.running)
        return [(known.number(nodes), types) for nodes, types in found]

    def _kinds(self, setup: Setup) -> Sequence[Hashable]:
        """What makes each layer equal to another, wherever it lies: its shape and tensors."""
        known, hparams = self._learned.of(setup), setup.hparams
        if hparams.key not in known.kinds:
            known.kinds[hparams.key] = [
                known.number(
                    (layer.kind(il), tuple(each[:2] for each in self._contents.get(il, ())))
                )
                for il, layer in enumerate(hparams.layers)
            ]
        return known.kinds[hparams.key]

    def _signature(self, setup: Setup, il: int) -> tuple[Hashable, Hashable]:
        """All that decides a layer's nodes, and the types of weights that may be copied, for they
        lie on the CPU, and are multiplied alone: those decide sizes and no node."""
        placement = setup.placement
        content, places = self._contents.get(il, ()), self._places(setup, il)
        on_host = [(name, t) for (name, _, t), at in zip(content, places, strict=True) if at == CPU]
        sizing = tuple(t for name, t in on_host if is_multiplied(name))
        types = tuple(t in WITHOUT_KERNEL if is_multiplied(name) else t for name, t in on_host)
        kind = self._kinds(setup)[il]
        nodes = kind, placement.layer(il), placement.cache(il), places, types
        return nodes, sizing
