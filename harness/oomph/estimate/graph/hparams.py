"""A model's numbers, layer by layer, as llama.cpp resolves them.

Which layers have a window or keep a state is decided in `oomph.architectures.layers`; widths,
positions and shared caches here. Both the graph and the sums of `oomph.estimate.memory` read these,
so a layer's cache and its nodes cannot disagree.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.family import Family
from oomph.architectures.layers import (
    attending_layers,
    indexing_layers,
    n_decoding,
    recurrent_layers,
    sliding_window,
    windowed_layers,
)
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.frozen import frozen

UNROTATED_STEP: Final = 4
"""Every fourth layer has no RoPE where a family says `stepped` (n_no_rope_layer_step)."""
SMALLEST_LIMIT: Final = 1e-6
"""Limits that clamp a gated activation are larger than this (build_ffn, build_moe_ffn)."""
SHARED_WINDOW: Final = -2
SHARED_FULL: Final = -1
"""The target's layers whose caches an assistant reads, counted from the last: with a window, and
without."""
TARGET_TOKENS: Final = "target.token_embd.weight"
"""The target's embedding, under a name of its own where the head has one too."""
THINNED_LAYERS: Final = 10
"""Layers of gemma3n whose gate is thinned (n_layer_sparsity)."""


@frozen
class LayerShape:
    """One layer: heads and their widths, and the memory it keeps from token to token."""

    n_head: int
    n_head_kv: int
    head_k: int
    head_v: int
    is_swa: bool = False
    is_recurrent: bool = False
    has_attention: bool = True
    cache_layer: int = 0
    block: int = 0
    """The block of the file whose weights the layer has."""
    n_expert_used: int = 0
    is_sparse: bool = False
    """Whether attention looks at cells that an indexer chose: the layer's, or the last before it
    that has one."""
    index_width: int = 0
    """Elements that the layer's own indexer keeps for a token, in a cache of their own."""
    index_v_width: int = 0
    """Elements that the cache has beside them for a V, which no indexer has (MiniMax-M3)."""
    compress_ratio: int = 0
    """Tokens that a cell of the layer's compressed cache stands for; 0 where it has none."""
    banks_stream: bool = False
    """Whether the residual stream is banked before the layer, and begins anew in it."""
    n_banked: int = 0
    """Streams that are banked once the layer has begun."""
    has_rope: bool = True
    has_deepstack: bool = False
    """Whether part of a wide embedding is added to the layer's output (qwen3vl)."""
    is_read: bool = False
    """Whether what it gives is kept for a drafter, which reads it as the next layer's input."""
    thins_gate: bool = False
    """Whether only the largest activations of the feed-forward's gate are kept (gemma3n)."""
    is_rescaled: bool = False
    """Whether what it gives is halved (RWKV-6)."""
    clamps_experts: bool = False
    clamps_dense: bool = False
    """Whether the gated activation of the experts, and of any other feed-forward, is clamped."""

    def kind(self, il: int) -> object:
        """What makes layer `il` equal to another: everything but which cache it reads, if that is
        its own."""
        shared = 0 if self.cache_layer == il else self.cache_layer
        return replace(self, cache_layer=shared, block=0)

    @property
    def k_width(self) -> int:
        """Elements of K for a token (n_embd_k_gqa)."""
        return self.head_k * self.n_head_kv

    @property
    def v_width(self) -> int:
        """Elements of V for a token (n_embd_v_gqa)."""
        return self.head_v * self.n_head_kv


@frozen
class SsmShape:
    """The widths of a recurrent layer (llama.cpp's ssm_d_conv, ssm_d_inner, ssm_d_state,
    ssm_dt_rank, ssm_n_group)."""

    conv_kernel: int
    inner: int
    state: int
    rank: int
    groups: int

    @property
    def channels(self) -> int:
        """Channels that the convolution runs over."""
        return self.inner + 2 * self.groups * self.state

    @property
    def conv_state(self) -> int:
        """F32 elements of the convolution's state for a sequence (n_embd_r)."""
        return max(self.conv_kernel - 1, 0) * self.channels

    @property
    def ssm_state(self) -> int:
        """F32 elements of the recurrent state for a sequence (n_embd_s)."""
        return self.state * self.inner


@frozen
class Hparams:
    """A model's numbers. `layers` are those up to the last that runs; of them those of `running`
    do: the layers that decode, or with `is_head` the multi-token-prediction layers after them,
    while the trunk before keeps nothing. `n_layer_all` counts both.

    `n_embd_inp` is the width of an embedding handed in: wider than `n_embd` where a vision encoder
    adds to layers.
    """

    family: Family
    n_layer_all: int
    n_embd: int
    n_embd_inp: int
    n_vocab: int
    n_expert: int
    n_swa: int
    n_pos: int
    is_mla: bool
    is_causal: bool
    layers: tuple[LayerShape, ...]
    ssm: SsmShape | None
    n_loops: int = 1
    """How often the blocks are run one after another."""
    ngram_layers: tuple[int, ...] = ()
    """Layers that add embeddings of the last tokens together, each with a state of its own."""
    ngram_state: int = 0
    """F32 elements of that state for a sequence (ple_conv_state)."""
    router: LayerShape | None = None
    """The head past the last layer that tells each token's adapter, with a cache of its own."""
    n_trunk: int = 0
    """Layers before the first that runs."""
    key: tuple[int | None, tuple[int, ...], int] = (None, (), 0)
    """What sets these numbers apart from others of the same model: the experts used where they are
    not the file's, the layers' inputs that a drafter reads, and the layers before the first that
    runs."""

    @property
    def is_head(self) -> bool:
        """Whether these are of the model's multi-token-prediction head."""
        return self.n_trunk > 0

    @cached_property
    def running(self) -> range:
        """The layers that run."""
        return range(self.n_trunk, len(self.layers))

    @property
    def n_layer(self) -> int:
        """How many layers run."""
        return len(self.running)

    def cache_owners(self, *, is_swa: bool) -> tuple[int, ...]:
        """The layers that own a KV cache of the kind: with a sliding window, or without."""
        return tuple(
            il
            for il, layer in enumerate(self.layers)
            if self.has_cache
            and layer.has_attention
            and layer.cache_layer == il
            and layer.is_swa == is_swa
        )

    @property
    def has_cache(self) -> bool:
        """Whether any layer keeps what it saw; an encoder keeps nothing."""
        return self.family.has_cache

    @property
    def reads_cache(self) -> bool:
        """Whether attention looks at what was kept."""
        return self.family.has_cache and self.family.reads_cache

    @cached_property
    def compress_ratios(self) -> tuple[int, ...]:
        """The numbers of tokens that a compressed cell stands for, each once."""
        return tuple(sorted({each.compress_ratio for each in self.layers if each.compress_ratio}))

    @cached_property
    def has_swa(self) -> bool:
        """Whether llama.cpp keeps two KV caches, one of them for the sliding-window layers
        (llama_kv_cache_iswa)."""
        return any(layer.is_swa for layer in self.layers)

    @property
    def latent_width(self) -> int:
        """Elements of K for a token where K and V are one vector: of any layer that attends."""
        return max(layer.k_width for layer in self.layers)

    @property
    def keeps_v(self) -> bool:
        """Whether V has a cache beside K's."""
        return not self.is_mla and self.family.graph.attention != "compressed"

    @property
    def n_expert_used(self) -> int:
        """Active experts of the layer that has most."""
        return max(layer.n_expert_used for layer in self.layers)

    @cached_property
    def v_width_max(self) -> int:
        """The widest V of all layers: a transposed V cache is padded to it."""
        return max(layer.v_width for layer in self.layers)


def resolve_hparams(model: ModelSpec, *, n_expert_used: int | None = None) -> Hparams:
    """The numbers of `model`, with `n_expert_used` overridden as `expert_used_count` is on the
    command line.

    Raises ModelFileError where no layer runs, and for more experts than there are; the numbers
    themselves were checked where the model entered (`file_checks`, `hf_config`).
    """
    family = family_of(model.arch)
    n_layer_all, n_layer = model.n_layer, n_decoding(model)
    if n_layer < 1:
        raise ModelFileError(f"{model.source}: {n_layer} of {n_layer_all} layers run")
    layers = _layers(model, family, n_layer, n_expert_used)
    router = None
    if family.graph.layer == "switched":
        router = replace(layers[-1], n_head=1, n_head_kv=1, cache_layer=n_layer)
        n_layer_all += 1
    n_loops = max(model.integer("num_loops", 1), 1) if family.graph.loops else 1
    return Hparams(
        family=family,
        n_layer_all=n_layer_all * n_loops,
        n_loops=n_loops,
        n_embd=model.n_embd,
        n_embd_inp=model.n_embd * (1 + model.integer("n_deepstack_layers", 0)),
        n_vocab=model.n_vocab,
        n_expert=model.n_expert,
        n_swa=sliding_window(model),
        n_pos=4 if _has_sections(model, family) else 1,
        is_mla=bool(model.integer("attention.key_length_mla", 0)),
        is_causal=bool(model.metadata.get(f"{model.arch}.attention.causal", family.has_cache)),
        layers=_looped(layers, n_loops),
        router=router,
        ssm=_ssm(model),
        ngram_layers=_ngram_layers(model),
        ngram_state=_ngram_state(model),
        key=(_said(model, n_expert_used), (), 0),
    )


def resolve_head(model: ModelSpec, *, n_expert_used: int | None = None) -> Hparams:
    """The numbers of `model`'s multi-token-prediction head, which llama.cpp runs in a context of
    its own; ModelFileError where it has none."""
    trunk, n_trunk = resolve_hparams(model, n_expert_used=n_expert_used), n_decoding(model)
    if n_trunk == model.n_layer:
        raise ModelFileError(f"{model.source} has no multi-token-prediction (MTP) head")
    layers = _layers(model, trunk.family, model.n_layer, n_expert_used)
    return replace(
        trunk,
        layers=(
            *(
                replace(layer, has_attention=False, is_recurrent=False, index_width=0)
                for layer in layers[:n_trunk]
            ),
            *(replace(layer, is_sparse=False) for layer in layers[n_trunk:]),
        ),
        n_trunk=n_trunk,
        key=(trunk.key[0], (), n_trunk),
    )


def with_read_layers(hparams: Hparams, inputs: Sequence[int]) -> Hparams:
    """The numbers with the layers marked whose successors' `inputs` a drafter reads; that of the
    layer after the last is kept anyway."""
    return replace(
        hparams,
        key=(hparams.key[0], tuple(inputs), hparams.key[2]),
        layers=tuple(
            replace(layer, is_read=il + 1 in inputs and il + 1 < len(hparams.layers))
            for il, layer in enumerate(hparams.layers)
        ),
    )


def _layers(
    model: ModelSpec, family: Family, n_layer: int, n_expert_used: int | None
) -> tuple[LayerShape, ...]:
    heads, n_head_kv = model.per_layer("attention.head_count", 0), model.kv_heads
    default = model.n_embd // max(heads) if max(heads) > 0 else 0
    head_k, head_v = (
        model.integer(f"attention.{which}_length", default) for which in ("key", "value")
    )
    head_k_swa, head_v_swa = (
        model.integer(f"attention.{which}_length_swa", full)
        for which, full in (("key", head_k), ("value", head_v))
    )
    beyond = n_layer - n_decoding(model)  # those attend
    swa = windowed_layers(model, n_layer)
    recurrent = (*recurrent_layers(model), *(False,) * beyond)
    attends = (*attending_layers(model), *(True,) * beyond)
    owned = _layers_with_own_cache(model, family, n_layer)
    used = _experts_used(model, n_expert_used)
    rope = _rotated_layers(model, family, swa)
    indexes = (*indexing_layers(model), *(False,) * beyond)
    index_width = model.integer("attention.indexer.key_length", 0) if any(indexes) else 0
    if model.integer("attention.indexer.kpool", 0):
        index_width *= 3  # a key, its gate and the pooled key
    bank = model.integer("attn_res.block_size", 0)
    halved = model.integer("rescale_every_n_layers", 0)
    compresses = family.graph.attention == "compressed"
    by_positions = family.graph.attention == "position_blocks"
    ratios = model.per_layer("attention.compress_ratios", 0) if compresses else (0,) * n_layer
    return tuple(
        LayerShape(
            n_head=heads[il],
            n_head_kv=n_head_kv[il],
            head_k=head_k_swa if swa[il] else head_k,
            head_v=head_v_swa if swa[il] else head_v,
            is_swa=swa[il],
            is_recurrent=recurrent[il],
            has_attention=attends[il],
            block=_block(model, family, il),
            cache_layer=_cache_layer(family, il, owned, is_swa=swa[il]),
            n_expert_used=used[il],
            is_sparse=index_width > 0 and attends[il] and not swa[il],
            index_width=index_width if indexes[il] else 0,
            index_v_width=head_v if indexes[il] and by_positions else 0,
            compress_ratio=ratios[il],
            banks_stream=bank > 0 and il % bank == 0,
            n_banked=il // bank + 1 if bank else 0,
            has_rope=rope[il],
            has_deepstack=il < model.integer("n_deepstack_layers", 0),
            thins_gate=family.graph.layer == "altup" and il < THINNED_LAYERS,
            is_rescaled=halved > 0 and (il + 1) % halved == 0,
            clamps_experts=_clamps(model, family, "swiglu_clamp_exp", il),
            clamps_dense=_clamps(model, family, "swiglu_clamp_shexp", il),
        )
        for il in range(n_layer)
    )


def _cache_layer(family: Family, il: int, owned: int, *, is_swa: bool) -> int:
    """The layer whose cache layer `il` reads: its own, the last of its kind that has one, or one of
    the target's last two (below 0)."""
    if family.graph.drafter == "assistant":
        return SHARED_WINDOW if is_swa else SHARED_FULL
    return il if il < owned else owned - (2 if is_swa else 1)


def _block(model: ModelSpec, family: Family, il: int) -> int:
    """The block whose weights layer `il` has: its own, but where two stacks of blocks take turns
    (HRM), the low one several times before the high one."""
    if family.graph.layer != "stacks":
        return il
    n, n_low = stack_layers(model), model.integer("hrm.l_cycles")
    return il % n + (n if il // n % (n_low + 1) == n_low else 0)


def stack_layers(model: ModelSpec) -> int:
    """Layers of each of two stacks that take turns."""
    return max(model.integer("hrm.layers_per_stack"), 1)


def _looped(layers: tuple[LayerShape, ...], n_loops: int) -> tuple[LayerShape, ...]:
    """The layers as often as they are run, each time with caches of their own."""
    n = len(layers)
    return tuple(
        replace(layer, cache_layer=layer.cache_layer + loop * n)
        for loop in range(n_loops)
        for layer in layers
    )


def _clamps(model: ModelSpec, family: Family, key: str, il: int) -> bool:
    """Whether layer `il` clamps a gated activation in nodes of their own."""
    return not family.graph.fuses_clamp and _limit(model, key, il) > SMALLEST_LIMIT


def _limit(model: ModelSpec, key: str, il: int) -> float:
    """What layer `il` clamps at, by a key that lists all layers or has one value for them."""
    limits = model.metadata.get(f"{model.arch}.{key}", 0.0)
    limit = limits[il] if isinstance(limits, tuple) and il < len(limits) else limits
    return limit if isinstance(limit, int | float) else 0.0


def _has(model: ModelSpec, key: str) -> bool:
    return f"{model.arch}.{key}" in model.metadata


def _experts_used(model: ModelSpec, override: int | None) -> tuple[int, ...]:
    if not model.is_moe:
        return (0,) * model.n_layer
    used = (override,) * model.n_layer if override else model.per_layer("expert_used_count")
    if not 1 <= max(used) <= model.n_expert or min(used) < 0:
        raise ModelFileError(
            f"{model.source}: n_expert_used is {max(used)}, and the model has {model.n_expert} "
            f"experts; choose 1 to {model.n_expert}"
        )
    return used


def _said(model: ModelSpec, n_expert_used: int | None) -> int | None:
    """The experts used where they are not what the file says of every layer."""
    if not model.is_moe or not n_expert_used:
        return None
    own = set(model.per_layer("expert_used_count"))
    return None if own == {n_expert_used} else n_expert_used


def _layers_with_own_cache(model: ModelSpec, family: Family, n_layer: int) -> int:
    """The layers before the first that reads another's cache: the last of its kind, with a window
    or without. An assistant has none."""
    if family.graph.drafter == "assistant":
        return 0
    shared = model.integer(
        "attention.shared_kv_layers", max(0, n_layer - (family.graph.shares_kv_from or n_layer))
    )
    if shared and n_layer - shared < 2:
        raise ModelFileError(
            f"{model.source}: {shared} of {n_layer} layers share a KV cache; two must have their "
            "own"
        )
    return n_layer - shared


def _has_sections(model: ModelSpec, family: Family) -> bool:
    """Whether tokens have four positions (M-RoPE): by the architecture, or by the sections that the
    metadata list."""
    sections = model.metadata.get(f"{model.arch}.rope.dimension_sections")
    if family.rope.sections == "any":
        return isinstance(sections, tuple) and any(sections)
    listed = (
        isinstance(sections, tuple)
        and len(sections) > 1
        and all(isinstance(n, int) and n > 0 for n in sections[:2])
    )
    return listed if family.rope.sections == "listed" else family.rope.sections == "always"


def _rotated_layers(model: ModelSpec, family: Family, swa: tuple[bool, ...]) -> tuple[bool, ...]:
    """The layers with rotary embeddings (has_rope, n_no_rope_layer_step)."""
    layers = family.rope.layers if family.has_known_graph else "all"  # the general transformer's
    if layers == "listed" and _has(model, "attention.rope_pattern"):
        return tuple(map(bool, model.per_layer("attention.rope_pattern")[: len(swa)]))
    if layers.startswith("windowed") and any(swa):
        if layers == "windowed":
            return swa
        lead, end = model.integer("leading_dense_block_count", 0), n_decoding(model)
        return tuple(is_swa or il < lead or il >= end for il, is_swa in enumerate(swa))
    if layers == "stepped_first":
        # llama.cpp takes a model of as many layers as the step for one without windows
        rotates_all = not any(swa) or n_decoding(model) == UNROTATED_STEP
        return tuple(rotates_all or il % UNROTATED_STEP != 0 for il in range(len(swa)))
    if layers == "stepped":
        step = UNROTATED_STEP if any(swa) or not family.windows.period else len(swa)
        return tuple((il + 1) % step != 0 for il in range(len(swa)))
    if family.rope.n_layer not in (0, len(swa)):
        layers = "none"
    finetuned = bool(model.metadata.get(f"{model.arch}.rope.scaling.finetuned", True))
    return (layers not in ("none", "learned") and (finetuned or layers != "finetuned"),) * len(swa)


def _ngram_layers(model: ModelSpec) -> tuple[int, ...]:
    listed = model.metadata.get(f"{model.arch}.ple.layers")
    return tuple(int(il) for il in listed) if isinstance(listed, tuple) else ()


def _ngram_state(model: ModelSpec) -> int:
    if not _ngram_layers(model):
        return 0
    width = model.integer("hyper_connection.count") * model.n_embd
    return (model.integer("ple.conv_kernel") - 1) * model.integer("ple.ngram_size") * width


def _ssm(model: ModelSpec) -> SsmShape | None:
    if _has(model, "shortconv.l_cache"):
        return SsmShape(
            conv_kernel=model.integer("shortconv.l_cache"),
            inner=model.n_embd,
            state=0,
            rank=1,
            groups=0,
        )
    if family_of(model.arch).recurrence.part == "lightning":
        n_head = max(model.per_layer("attention.head_count"))
        width = model.integer("attention.key_length", model.n_embd // max(n_head, 1))
        return SsmShape(conv_kernel=1, inner=width * n_head, state=width, rank=n_head, groups=0)
    if _has(model, "wkv.head_size"):
        size = model.integer("wkv.head_size")
        return SsmShape(
            conv_kernel=model.integer("token_shift_count", 2) + 1,
            inner=model.n_embd,
            state=size,
            rank=model.n_embd // max(size, 1),
            groups=0,
        )
    if _has(model, "kda.head_dim"):
        width, n_head = model.integer("kda.head_dim"), model.integer("attention.head_count")
        return SsmShape(
            conv_kernel=model.integer("ssm.conv_kernel"),
            inner=width * n_head,
            state=width,
            rank=n_head,
            groups=n_head,
        )
    if not _has(model, "ssm.inner_size"):
        return None
    shape = SsmShape(
        conv_kernel=model.integer("ssm.conv_kernel"),
        inner=model.integer("ssm.inner_size"),
        state=model.integer("ssm.state_size"),
        rank=model.integer("ssm.time_step_rank"),
        groups=model.integer("ssm.group_count", 0),
    )
    if min(shape.conv_kernel, shape.inner, shape.state, shape.rank) < 1:
        raise ModelFileError(
            f"{model.source}: the ssm widths {shape} cannot be; is the file complete?"
        )
    return shape
