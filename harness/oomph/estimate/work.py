"""What one forward pass asks of the cards and of the host: bytes, products and kernels.

Stands apart from the speed model because it holds no coefficient: it is a sum over the header's
tensor list. Which layers have a window, a state or experts, and where each lies, is what the memory
model makes of the configuration (`Setup`): nothing of it is decided here. Both decode and prefill
read it, whatever the machine.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import field
from functools import cached_property
from typing import Final, Literal

from oomph.architectures.spec import ModelSpec
from oomph.estimate.buffers import Setup
from oomph.estimate.graph.compressed import compressor_states
from oomph.estimate.graph.hparams import LayerShape
from oomph.estimate.graph.placement import layer_and_part
from oomph.estimate.memory import homes
from oomph.estimate.prediction import is_card
from oomph.frozen import frozen, mutable
from oomph.gguf.header import TensorInfo

_LEGACY: Final = ("Q4_0", "Q4_1", "Q5_0", "Q5_1")
_KIND_BY_PREFIX: Final = (
    ("IQ4", "iq4"),
    ("IQ3", "iq3"),
    ("IQ", "iq2"),
    ("TQ", "iq2"),
    ("Q8", "q8_0"),
    ("Q6", "q6_k"),
    ("Q4_K", "q4_k"),
    ("Q5_K", "q5_k"),
    ("Q2", "q2_k"),
    ("Q3", "q3_k"),
    ("Q1", "iq2"),
    ("MXFP4", "fp4"),
    ("NVFP4", "fp4"),
)

_NO_TOKENS: Final = (
    "embd", "embed", "token_types", "conv1d", "cls.", "dense_2", "dense_3", "_ape.", "tid2eid",
)  # fmt: skip
"""Parts of the names of matrices that no token is multiplied with: tables, and what a whole input's
vector meets once."""
Use = Literal["of all", "of the last", "by name"]
_RECURRENT: Final = ("ssm_", "shortconv", "time_mix")


def kind_of(type_name: str) -> str:
    """The tensor kind whose kernels handle ggml's type: `kind_of("Q5_1")` is `"q4_0"`."""
    if type_name in _LEGACY:
        return "q4_0"
    return next((kind for prefix, kind in _KIND_BY_PREFIX if type_name.startswith(prefix)), "f16")


@frozen
class AttentionWork:
    """`layers` alike attention layers; each looks at `window` cells at most, or at all where it is
    None.

    `row_bytes` is what a layer reads of a cell: K and V, K alone where V is a part of it, and an
    indexer's key. Where old tokens are compressed a cell stands for `tokens_a_cell`: such a layer
    is in two groups, of the cells of its window and of those. `owners` are the layers that keep a
    cache of their own; the others read that of a layer before them. Attention in chunks (llama4)
    reads what a window of the same size reads: cells of the chunk before are masked, not skipped.
    `held` is how many cells the cache of a windowed layer keeps, None for all: a card reads those
    that are masked, too. `quantized_share` is the share of K and V that the cache holds quantized:
    0, a half or 1.
    """

    layers: int
    owners: int
    window: int | None
    n_head: int
    n_head_kv: int
    head_size: int
    row_bytes: float
    held: int | None = None
    tokens_a_cell: int = 1
    is_latent: bool = False
    quantized_share: float = 0.0

    def cells(self, n_depth: float) -> float:
        """Cells that a token at depth `n_depth` looks at in one layer."""
        n_cells = n_depth / self.tokens_a_cell
        return n_cells if self.window is None else min(n_cells, self.window)

    def read_cells(self, n_depth: float) -> float:
        """Cells of one layer that a card reads at depth `n_depth`, masked ones among them."""
        n_cells = n_depth / self.tokens_a_cell
        return n_cells if self.held is None else min(n_cells, self.held)

    @property
    def heads_to_cell(self) -> float:
        """Query heads that share a head of the cache."""
        return self.n_head / self.n_head_kv


@mutable
class Work:
    """One place's share of a forward pass; bytes and products (two FLOPs each weight and token) by
    tensor kind.

    `expert_*` are of all stored experts of a layer stack, of which a token uses `expert_share`.
    `inner_sizes` is the sum of the matrices' inner dimensions. `rotations` are kernels that turn Q,
    K, V and the result of attention with a quantized cache. `recurrent_elements` is one sequence's
    state in F32, the convolution's too.
    """

    dense_bytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    dense_flops: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    inner_sizes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    head_bytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    expert_bytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    expert_flops: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    expert_matrices: int = 0
    expert_share: float = 0.0
    kernels: float = 0.0
    routing_kernels: float = 0.0
    rotations: float = 0.0
    recurrent_layers: int = 0
    recurrent_elements: float = 0.0
    attention: list[AttentionWork] = field(default_factory=list)
    n_vocab: int = 0
    n_embd: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing was placed here."""
        return not (self.dense_bytes or self.expert_bytes or self.head_bytes or self.attention)

    def weight_bytes(self, n_tokens: float | None) -> float:
        """Bytes of the weights that `n_tokens` tokens read; None for all that are stored."""
        touched = 1.0 if n_tokens is None else self.touched(n_tokens)
        dense = sum(self.dense_bytes.values()) + sum(self.head_bytes.values())
        return dense + sum(self.expert_bytes.values()) * touched

    def touched(self, n_tokens: float) -> float:
        """Expected share of the experts that `n_tokens` tokens use between them, each token drawing
        its own."""
        return 1 - (1 - min(self.expert_share, 0.999999)) ** n_tokens if self.expert_share else 0.0


def work_key(setup: Setup) -> tuple[object, ...]:
    """All that `forward_work` depends on besides the model: it is the same where this is."""
    kept = setup.cache, _held(setup), setup.pooling is not None
    return setup.placement.key, setup.hparams.n_expert_used, kept


def forward_work(model: ModelSpec, setup: Setup) -> tuple[Work, Work]:
    """A token's work on the cards together and on the host."""
    works = ModelWork(model).by(setup, is_card)
    return works[True], works[False]


@frozen
class _Matrix:
    """A matrix as products read it: `n_expert` 0 where it is of no experts; the first of its `ne`
    is the inner dimension."""

    name: str
    layer: int | None
    kind: str
    n_bytes: float
    n_weights: float
    inner: int
    n_expert: int
    reads_tokens: bool
    """Whether tokens are multiplied with it, as its name says."""


class ModelWork:
    """The work of one model, wherever its tensors and layers are."""

    def __init__(self, model: ModelSpec) -> None:
        self._model = model

    @cached_property
    def _named(self) -> Sequence[tuple[TensorInfo, int | None, str]]:
        """Every tensor with its layer, and its name without that."""
        return [(each, *layer_and_part(each.name)) for each in self._model.tensors.values()]

    @cached_property
    def _matrices(self) -> Sequence[_Matrix]:
        return [
            _matrix(tensor, layer, part)
            for tensor, layer, part in self._named
            if len(tensor.ne) > 1 and not part.endswith("bias")
        ]

    @cached_property
    def _parts(self) -> dict[int, list[str]]:
        """The names of each layer's tensors, without the layer."""
        found: dict[int, list[str]] = defaultdict(list)
        for _, layer, part in self._named:
            if layer is not None:
                found[layer].append(part)
        return found

    def by(self, setup: Setup, place_of: Callable[[str], Hashable]) -> dict[Hashable, Work]:
        """A token's work by place, each tensor and layer where the memory model has it; `place_of`
        is of a device's name."""
        model, hparams, placement = self._model, setup.hparams, setup.placement
        n_used = hparams.n_expert_used
        share = n_used / hparams.n_expert if hparams.n_expert else 0.0
        works: dict[Hashable, Work] = defaultdict(
            lambda: Work(n_vocab=hparams.n_vocab, n_embd=hparams.n_embd, expert_share=share)
        )
        is_tied = "output.weight" not in model.tensors
        is_copied = is_tied and hparams.family.head != "embedding"
        head = "token_embd.weight" if is_tied else "output.weight"
        runs_head = hparams.family.head in ("logits", "embedding") or (
            hparams.family.head == "of_text" and setup.pooling is None
        )
        for matrix in self._matrices:
            if matrix.layer is not None and matrix.layer >= hparams.n_layer:
                continue
            is_head = matrix.name == head and runs_head
            of_all = is_head and setup.pooling is not None
            use: Use = "of all" if of_all else "of the last" if is_head else "by name"
            for device in homes(matrix.name, model, hparams, placement):
                # the copy that tokens are looked up in
                if not (is_head and is_copied and device != placement.output):
                    _add_matrix(works[place_of(device)], matrix, use, n_used=n_used)
        for il, layer_shape in enumerate(hparams.layers):
            work = works[place_of(placement.layer(il))]
            _count_kernels(work, layer_shape, self._parts.get(il, []), n_used)
        _add_attention(setup, works, place_of)
        works[place_of(placement.output)].kernels += 4
        return works


def _matrix(tensor: TensorInfo, layer: int | None, part: str) -> _Matrix:
    return _Matrix(
        name=tensor.name,
        layer=layer,
        kind=kind_of(tensor.quant.name),
        n_bytes=float(tensor.n_bytes),
        n_weights=float(tensor.n_elements),
        inner=tensor.ne[0],
        n_expert=tensor.ne[-1] if "_exps." in part else 0,
        reads_tokens=not any(mark in part for mark in _NO_TOKENS),
    )


def _add_matrix(work: Work, matrix: _Matrix, use: Use, *, n_used: int) -> None:
    """Counts one matrix: embeddings are looked up, not read; the output head is multiplied for the
    last token, or for all of them where each is a result."""
    kind = matrix.kind
    if use == "of the last":
        work.head_bytes[kind] += matrix.n_bytes
    elif matrix.n_expert:
        work.expert_bytes[kind] += matrix.n_bytes
        work.expert_flops[kind] += 2 * matrix.n_weights * n_used / matrix.n_expert
        work.expert_matrices += matrix.n_expert
    elif use == "of all" or matrix.reads_tokens:
        work.dense_bytes[kind] += matrix.n_bytes
        work.dense_flops[kind] += 2 * matrix.n_weights
        work.inner_sizes[kind] += matrix.inner


def _count_kernels(work: Work, layer: LayerShape, parts: list[str], n_used: int) -> None:
    """Kernels of a layer for one token: each matrix, norm and bias, and what joins them (ggml-cuda,
    CUDA graphs).

    A llama layer has 17 with flash attention: 7 products, 2 norms, 2 ropes, 2 cache writes, 2 of
    attention itself, the activation, and 1 for both residuals after fusion. The attention's two are
    added by `_add_attention`.
    """
    experts = any("_exps." in part for part in parts)
    shared = any("shexp" in part for part in parts)
    if layer.is_recurrent:
        work.recurrent_layers += 1
    if layer.has_attention or not layer.is_recurrent:
        own = [part for part in parts if not part.startswith(("ffn_", *_RECURRENT))]
        work.kernels += sum(
            not part.endswith("bias") or part.startswith("attn") for part in own
        ) + 5 * bool(own)
    if experts:
        work.routing_kernels += (
            4 + n_used + sum("_exps." in part and part.endswith("weight") for part in parts)
        )
        work.routing_kernels += 4 * shared + sum(
            "_exps." in part and part.endswith("bias") for part in parts
        )
    else:
        work.kernels += sum(part.startswith("ffn_") for part in parts) + 2 * any(
            p.startswith("ffn_") for p in parts
        )


def _add_attention(
    setup: Setup, works: dict[Hashable, Work], place_of: Callable[[str], Hashable]
) -> None:
    """Attention layers grouped by what they read, and the recurrent states, each where its cache
    is."""
    hparams, fused = setup.hparams, setup.cache.flash_attn
    groups: Counter[tuple[Hashable, int | None, int, int, int, int, int]] = Counter()
    owners: Counter[tuple[Hashable, int | None, int, int, int, int, int]] = Counter()
    router = () if hparams.router is None else (hparams.router,)
    for il, layer in enumerate((*hparams.layers, *router)):
        place = place_of(setup.placement.cache(il))
        work = works[place]
        if layer.is_recurrent and hparams.ssm is not None:
            work.recurrent_elements += hparams.ssm.conv_state + hparams.ssm.ssm_state
        if il in hparams.ngram_layers:
            work.recurrent_elements += hparams.ngram_state
        for compressor in compressor_states(layer):  # of K and of its score
            work.recurrent_elements += 2 * compressor.ne[0] * compressor.ne[1]
        if layer.has_attention and layer.k_width:
            for window, tokens, row_bytes in _kept_cells(setup, layer):
                shape = layer.n_head, layer.n_head_kv, layer.head_k
                group = (place, window, tokens, *shape, row_bytes)
                groups[group] += 1
                owners[group] += layer.cache_layer == il
            work.kernels += 2 if fused else 5
            if hparams.has_cache:
                work.rotations += 2 * setup.cache.k.is_quantized + 2 * setup.cache.v.is_quantized
    for group, count in groups.items():
        place, window, tokens, n_head, n_head_kv, head_size, row_bytes = group
        works[place].attention.append(
            AttentionWork(
                layers=count,
                owners=owners[group],
                window=window,
                held=None if window is None else _held(setup),
                tokens_a_cell=tokens,
                n_head=n_head,
                n_head_kv=n_head_kv,
                head_size=head_size,
                row_bytes=row_bytes,
                is_latent=hparams.is_mla,
                quantized_share=(setup.cache.k.is_quantized + setup.cache.v.is_quantized) / 2,
            )
        )


def _held(setup: Setup) -> int | None:
    """Cells that a windowed layer's cache keeps; None where it keeps the whole context."""
    kept = setup.sizes.cells_swa
    return kept if kept < setup.sizes.cells else None


def _kept_cells(setup: Setup, layer: LayerShape) -> list[tuple[int | None, int, int]]:
    """The cells that the layer's attention reads, each kind by its window, the tokens that one
    stands for, and its bytes."""
    hparams, cache = setup.hparams, setup.cache
    keys, index = (cache.k.row_bytes(width) for width in (layer.k_width, layer.index_width))
    values = cache.v.row_bytes(layer.v_width) if hparams.keeps_v else 0
    window = hparams.n_swa if layer.is_swa else None
    if layer.compress_ratio:
        return [(window, 1, keys + values), (None, layer.compress_ratio, keys + index)]
    return [(window, 1, keys + values + index)]
