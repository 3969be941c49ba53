"""What a layer's parts build with: weights, caches, inputs and norms.

A `Builder` is one graph in the making: one model under one configuration for one batch. The parts
in `attention`, `feed_forward` and `recurrent` are functions of a builder, a tensor and a layer's
number.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

from oomph.architectures.adapter import AdapterSpec
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.estimate.build import LATEST, Build
from oomph.estimate.graph.hparams import Hparams, LayerShape
from oomph.estimate.graph.placement import Placement, loaded_for
from oomph.estimate.graph.sizes import CacheTypes, Sizes
from oomph.estimate.graph.tensor import F32, I32, I64, Graph, Tensor
from oomph.gguf.ggml_types import QuantType
from oomph.gguf.header import TensorInfo

RMS_EPSILON = "attention.layer_norm_rms_epsilon"
"""The key of what an RMS norm adds to a variance."""

PINS_NORMS_BELOW = 32
"""Batches below this many tokens have each layer's norm pinned to its device
(llama_context::graph_get_cb)."""


class Builder:
    """The graph of `n_tokens` tokens, of `n_seqs` sequences, with `n_outputs` rows of logits; with
    a `pooling` these become an embedding for each sequence besides."""

    def __init__(  # noqa: PLR0913 - a graph depends on all of them
        self,
        model: ModelSpec,
        hparams: Hparams,
        placement: Placement,
        sizes: Sizes,
        cache: CacheTypes,
        *,
        n_tokens: int,
        n_outputs: int,
        n_seqs: int | None = None,
        pooling: str | None = None,
        build: Build = LATEST,
        unfused: frozenset[str] = frozenset(),
        adapters: Sequence[AdapterSpec] = (),
    ) -> None:
        self.model, self.hparams, self.adapters = model, hparams, adapters
        self.family, self.rules = hparams.family, hparams.family.graph
        self.placement, self.sizes, self.cache = placement, sizes, cache
        self.n_tokens, self.n_outputs, self.build = n_tokens, n_outputs, build
        self.n_seqs = sizes.n_seqs if n_seqs is None else n_seqs
        self.pooling, self.unfused = pooling, unfused
        self.graph = Graph()
        self.fused_layers: dict[Tensor, int] = {}
        """Each fused operator's layer: llama.cpp builds them of their parts where one would not run
        on the layer's device (resolve_fused_ops)."""
        self.first_value: Tensor | None = None
        """The first layer's v, which the others mix in (RWKV-7)."""
        self.banked: Tensor | None = None
        """The residual streams that are banked, side by side."""
        self.adapter: Tensor | None = None
        """The number of each token's adapter, where the router chose one."""
        self.chosen_cells: Tensor | None = None
        """The cells that the last indexer chose for each token."""
        self._pins_norms = n_tokens < PINS_NORMS_BELOW or placement.offloads_all
        self._made: dict[tuple[str, object], Tensor] = {}
        router = (hparams.router,) if hparams.router else ()
        self._shapes: tuple[LayerShape, ...] = (*hparams.layers, *router)
        self._prefixes = [f"{self.family.blocks}.{layer.block}." for layer in self._shapes]

    def once(self, key: str, about: object, make: Callable[[], Tensor]) -> Tensor:
        """The tensor made at the first call with this key: inputs, weights and caches exist
        once."""
        tensor = self._made.get((key, about))
        if tensor is None:
            tensor = self._made[key, about] = make()
        return tensor

    def shape(self, il: int) -> LayerShape:
        """The widths of layer `il`; the router's is the one past the last."""
        return self._shapes[il]

    @property
    def makes_logits(self) -> bool:
        """Whether the output head is run."""
        head = self.family.head
        return head in ("logits", "embedding") or (head == "of_text" and self.pooling is None)

    @property
    def outputs_at(self) -> str:
        """Where the rows that need logits are picked, as `GraphRules.outputs_at`."""
        is_cut = self.build.cuts_delta_net and self.family.recurrence.part == "delta_net"
        at = self.rules.outputs_at
        keeps = self.build.keeps_all_rows and not is_cut
        return at if keeps or at == "nowhere" else "last_layer"

    def is_scaled(self, key: str) -> bool:
        """Whether the metadata's `key`, or the architecture, says that something is scaled."""
        return bool(self.model.hparam(key, float(key in self.rules.scaled)))

    @property
    def looks_up_layers_first(self) -> bool:
        """Whether the rows of a table for each layer come before those of the tokens (gemma4)."""
        is_first = self.build.looks_up_first and self.rules.layer != "altup"
        return is_first and self.has("per_layer_model_proj.weight")

    # --- weights

    def has(self, name: str, il: int | None = None) -> bool:
        """Whether the file has the tensor, `name` with its suffix (`"attn_q.bias"`)."""
        return self._full(name, il) in self.model.tensors

    def has_weight(self, name: str, il: int | None = None) -> bool:
        """Whether the file has the tensor's weight, named with that suffix or bare."""
        return self.has(f"{name}.weight", il) or self.has(name, il)

    def weight(self, name: str, il: int | None = None, *, ne: tuple[int, ...] = ()) -> Tensor:
        """The tensor `name` of layer `il`, `.weight` added unless the file has it bare;
        ModelFileError without it. `ne` are its dimensions where llama.cpp loads it in others than
        the file's."""
        full = self._full(name, il)
        if full not in self.model.tensors and not full.endswith((".weight", ".bias", ".scale")):
            full += ".weight"
        own = loaded_for(full, self.family.output_norm)
        return self._load(full, self.placement.weight(full, own), ne)

    def weight_if(self, name: str, il: int | None = None) -> Tensor | None:
        """`weight`, or None where the file lacks the tensor; `name` with its suffix."""
        return self.weight(name, il) if self.has(name, il) else None

    def output_weight(self) -> Tensor:
        """The output head; with tied embeddings a second `token_embd` on the output's device."""
        if self.family.head == "embedding":
            return self.weight("token_embd")
        if self.has("output.weight"):
            return self.weight("output")
        return self._load("token_embd.weight", self.placement.output)

    def rope_factors(self, il: int) -> Tensor | None:
        """RoPE's frequency factors for layer `il`: one copy per device
        (llama_model::get_rope_factors)."""
        factors = next((n for n in self._rope_factor_names() if n in self.model.tensors), None)
        return self._load(factors, self.placement.weight(factors, il)) if factors else None

    def _rope_factor_names(self) -> tuple[str, ...]:
        trained = self.model.integer("rope.scaling.original_context_length", self.model.n_ctx_train)
        length = "long" if self.sizes.cells > trained else "short"
        return "rope_freqs.weight", f"rope_factors_{length}.weight"

    def _load(self, full: str, device: str, ne: tuple[int, ...] = ()) -> Tensor:
        info = self.model.tensors.get(full)
        if info is None:
            raise ModelFileError(
                f"{self.model.source}: tensor {full!r} is missing, which architecture "
                f"{self.model.arch} needs; is the file complete?"
            )
        return self.once(
            full,
            device,
            lambda: self.graph.leaf(
                info.quant, *(ne or info.ne), name=full, device=device, is_weight=True
            ),
        )

    def _full(self, name: str, il: int | None) -> str:
        return name if il is None else self._prefixes[il] + name

    def linear(self, name: str, x: Tensor, il: int | None = None) -> Tensor:
        """`name`'s matrix times `x`, times its scale and plus its bias where the file has them."""
        weight = self.weight(name, il)
        y = self.graph.mul_mat(weight, x)
        if scale := self.weight_if(f"{name}.scale", il):
            y = self.graph.mul(y, scale)
        y = self.adapted(y, weight, x)
        if bias := self.weight_if(f"{name}.bias", il):
            y = self.graph.add(y, bias)
        return y

    def adapted(self, y: Tensor, weight: Tensor, x: Tensor, ids: Tensor | None = None) -> Tensor:
        """`y`, the product of `weight` and `x`, plus what each adapter adds to it (build_lora_mm;
        build_lora_mm_id where `ids` choose experts)."""
        graph = self.graph
        for number, adapter in enumerate(self.adapters):
            if (pair := adapter.pairs.get(weight.name)) is None:
                continue
            added = x
            for info in (pair.a, pair.b):
                matrix = self._adapter_matrix(info, number, weight)
                if ids is None:
                    added = graph.mul_mat(matrix, added)
                else:
                    added = graph.mul_mat_id(matrix, added, ids)
            y = graph.add(y, graph.scale(added))
        return y

    def _adapter_matrix(self, info: TensorInfo, number: int, weight: Tensor) -> Tensor:
        """A matrix of an adapter, beside the tensor that it changes; its buffer is none of
        weights to the scheduler."""
        return self.once(
            f"{number}:{info.name}",
            weight.device,
            lambda: self.graph.leaf(info.quant, *info.ne, name=info.name, device=weight.device),
        )

    # --- inputs and caches

    def input(self, name: str, quant: QuantType, *ne: int) -> Tensor:
        """An input of the graph, one tensor a name."""
        return self.once(
            name, "input", lambda: self.graph.leaf(quant, *ne, name=name, is_input=True)
        )

    def tokens(self) -> Tensor:
        """The tokens' numbers."""
        return self.input("inp_tokens", I32, self.n_tokens)

    def positions(self) -> Tensor:
        """The tokens' positions; four a token where RoPE has sections (M-RoPE)."""
        return self.input("inp_pos", I32, self.n_tokens * self.hparams.n_pos)

    def output_rows(self, x: Tensor) -> Tensor:
        """The rows of `x` that logits are wanted for."""
        return self.graph.get_rows(x, self.input("inp_out_ids", I32, self.n_outputs))

    def stored(self, name: str, il: int, quant: QuantType, *ne: int) -> Tensor:
        """The cache or state `name` of layer `il`, where the placement keeps it."""
        device = self.placement.cache(il)
        return self.once(
            name, il, lambda: self.graph.leaf(quant, *ne, name=f"cache_{name}_l{il}", device=device)
        )

    def pin(self, x: Tensor, il: int) -> Tensor:
        """`x` kept on layer `il`'s device, as llama.cpp keeps norms and a layer's last operator."""
        if self._pins_norms:
            x.pinned = self.placement.layer(il)
        return x

    # --- norms

    @cached_property
    def _norm_kind(self) -> str:
        if self.rules.norm == "metadata":
            return "RMS_NORM" if self.model.hparam(RMS_EPSILON, 0.0) else "NORM"
        return "NORM" if self.rules.norm == "layer" else "RMS_NORM"

    def norm(
        self,
        x: Tensor,
        name: str | None,
        il: int | None = None,
        *,
        pins: bool = True,
        pins_to: int | None = None,
        kind: str | None = None,
    ) -> Tensor:
        """`x` normed, times `name`'s weight and plus its bias; a layer's norm is pinned to the
        layer's device, one outside the layers to that of `pins_to`.

        `name` None norms without a weight, which llama.cpp does not pin; nor does it where `pins`
        is False.
        """
        y = self.graph.like(kind or self._norm_kind, x)
        if name is None:
            return y
        at = pins_to if il is None else il
        if at is not None and pins:
            self.pin(y, at)
        y = self.graph.mul(y, self.weight(name, il))
        bias = self.weight_if(f"{name}.bias", il)
        return self.graph.add(y, bias) if bias else y


def embed(b: Builder) -> Tensor:
    """The token embedding, with the scales that the metadata or the architecture put on it
    (build_inp_embd).

    Tokens have zeros where an image's embedding is wider: `deepstack` adds the rest to the first
    layers.
    """
    graph, width = b.graph, b.hparams.n_embd_inp
    if b.rules.inputs == "tokens":
        rows = _look_up(b, "inp_tokens")
        return graph.scale(rows) if b.is_scaled("embedding_scale") else rows
    is_mixed = b.build.mixes_inputs and b.rules.inputs == "mixed"
    names = ("inp_tokens", "inp_mixed_tokens") if is_mixed else ("inp_tokens",)
    looked_up = [_look_up(b, name) for name in names]
    if b.build.looks_up_first:
        for each in looked_up:
            graph.expand(each)
    rows = graph.expand(_widened(b, looked_up[0]))
    if b.build.embeds_inputs:
        graph.expand(b.input("inp_embd", F32, width, b.n_tokens))
    if is_mixed:
        mixed = graph.like("DUP", b.input("inp_mixed_embd", F32, width, b.n_tokens))
        slots = b.input("inp_mixed_slots", I64, b.n_tokens)
        graph.expand(graph.set_rows(mixed, _widened(b, looked_up[1]), slots))
    if width != b.hparams.n_embd:
        rows = graph.view(rows, (b.hparams.n_embd, b.n_tokens), (rows.nb[1],))
    if b.is_scaled("embedding_scale"):
        rows = graph.scale(rows)
    return _changed(b, graph.expand(rows))


def _changed(b: Builder, rows: Tensor) -> Tensor:
    """What the architecture makes of the embedding: normed, scaled, or with others added."""
    graph = b.graph
    if b.rules.norms_embedding:
        return b.norm(rows, None)
    if not b.rules.scales_embedding:
        return _told_apart(b, rows)
    if b.build.scales_by_input and b.rules.scales_tokens_alone:
        return graph.mul(rows, b.input("inp_scale_rows", F32, 1, b.n_tokens))
    return graph.scale(rows)


def _look_up(b: Builder, ids: str) -> Tensor:
    """The embeddings of the tokens in the input `ids`."""
    return b.graph.get_rows(b.weight("token_embd"), b.input(ids, I32, b.n_tokens))


def _widened(b: Builder, rows: Tensor) -> Tensor:
    """`rows` as wide as an image's embeddings, which may be wider than the model."""
    width = b.hparams.n_embd_inp
    return rows if width == b.hparams.n_embd else b.graph.node("PAD", (width, b.n_tokens), rows)


def _told_apart(b: Builder, rows: Tensor) -> Tensor:
    """The embedding of each token with that of its type and of its position, normed, where the file
    has tables of them (BERT)."""
    graph = b.graph
    if types := b.weight_if("token_types.weight"):
        rows = graph.add(rows, graph.view(types, (b.hparams.n_embd,)))
    if table := b.weight_if("position_embd.weight"):
        places = graph.get_rows(table, b.positions())
        rows = graph.add(places, rows) if b.rules.table_first else graph.add(rows, places)
    first = "token_embd_norm"
    has_norm = b.family.output_norm != first and b.has(f"{first}.weight")
    return b.norm(rows, first, pins_to=0) if has_norm else rows
