"""Every tensor of a published model: which family is built of which parts.

Stands apart from the parts (`oomph.architectures.tensor_parts`) so that a family is one row: what
every block has, what an attention block has, what a recurrent one has instead, what a dense and
what an expert feed-forward has. To add a family: add its row to `FAMILIES` (and a part where it has
tensors that no other has), then its models to `catalogue.toml` under llama.cpp's own metadata keys;
everything else follows.

The list is in llama.cpp's order (`llama_model_loader::weight_name_comparer`: by block, then by
name), which is the order in which llama-quantize counts and writes.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from oomph.architectures import family_parts as own
from oomph.architectures import tensor_parts as parts
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Part, Tensor
from oomph.errors import UnknownNameError


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The parts of one architecture's blocks.

    `every` is in each block. A block has `attention`, or `recurrent` where `is_recurrent` says so;
    it has `experts` where `is_expert_block` says so, `dense` elsewhere; with `one_part` it has only
    one of the four. `next_token` is added to the blocks past the last one that decodes (multi-token
    prediction). `outside` is in no block.
    """

    every: tuple[Part, ...] = (parts.norm("attn_norm", "ffn_norm"),)
    attention: tuple[Part, ...] = (parts.query_key_value,)
    recurrent: tuple[Part, ...] = ()
    dense: tuple[Part, ...] = (parts.gated,)
    experts: tuple[Part, ...] = (parts.experts,)
    next_token: tuple[Part, ...] = (parts.next_token_head,)
    outside: tuple[Callable[[ModelSpec], Iterator[Tensor]], ...] = ()
    output_norm: str = "output_norm"
    one_part: bool = False


_BIASED: Final = (parts.query_key_value, parts.query_key_value_bias)
_NORMED: Final = (parts.query_key_value, parts.head_norm)
_POST_NORM: Final = (parts.norm("attn_norm", "post_attention_norm"),)
_SANDWICH: Final = (parts.norm("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),)
_SHARED: Final = (parts.experts, parts.shared_expert)
_GATED_SHARED: Final = (*_SHARED, parts.shared_expert_gate)
_BALANCED_SHARED: Final = (*_SHARED, parts.selection_bias)

_WIDE_SHARED: Final = (parts.experts, own.shared_as_wide_as_routed)
_LFM2: Final = Family(
    attention=_NORMED,
    recurrent=(own.short_convolution,),
    experts=(parts.experts, parts.selection_bias),
    output_norm="token_embd_norm",
)
_NEMOTRON_H: Final = Family(
    every=(parts.norm("attn_norm"),),
    recurrent=(parts.mamba2,),
    dense=(own.plain,),
    experts=(own.ungated_experts,),
    one_part=True,
)


def _output_norm_bias(model: ModelSpec) -> Iterator[Tensor]:
    yield "output_norm.bias", (model.n_embd,)


FAMILIES: Final[dict[str, Family]] = {
    "llama": Family(),
    "llama4": Family(experts=_WIDE_SHARED),
    "mistral3": Family(),
    "granite": Family(),
    "granitemoe": Family(),
    "internlm2": Family(),
    "ernie4_5": Family(),
    "smollm3": Family(),
    "arcee": Family(dense=(own.plain,)),
    "seed_oss": Family(every=_POST_NORM, attention=_BIASED),
    "starcoder2": Family(
        every=(parts.norm("attn_norm", "ffn_norm"), own.biases("attn_norm", "ffn_norm")),
        attention=(*_BIASED, parts.output_bias),
        dense=(own.plain, own.plain_bias),
        outside=(_output_norm_bias,),
    ),
    "command-r": Family(every=(parts.norm("attn_norm"),)),
    "cohere2": Family(every=(parts.norm("attn_norm"),)),
    "exaone4": Family(
        every=(parts.norm("post_attention_norm", "post_ffw_norm"),), attention=_NORMED
    ),
    "hunyuan-moe": Family(attention=_NORMED, experts=_SHARED),
    "minimax-m2": Family(
        attention=(parts.query_key_value, parts.full_width_norm),
        experts=(parts.experts, parts.selection_bias),
    ),
    "dots1": Family(attention=_NORMED, experts=_BALANCED_SHARED),
    "bailingmoe2": Family(
        attention=(parts.fused_query_key_value, parts.head_norm), experts=_BALANCED_SHARED
    ),
    "deepseek": Family(experts=_SHARED),
    "deepseek32": Family(attention=(parts.latent_attention, own.indexer), experts=_BALANCED_SHARED),
    "qwen2": Family(attention=_BIASED),
    "qwen2moe": Family(attention=_BIASED, experts=_GATED_SHARED),
    "qwen3": Family(attention=_NORMED),
    "qwen3moe": Family(attention=_NORMED),
    "qwen2vl": Family(attention=_BIASED),
    "qwen3vl": Family(attention=_NORMED),
    "qwen3vlmoe": Family(attention=_NORMED),
    "qwen3next": Family(
        every=_POST_NORM,
        attention=(parts.gated_query_key_value, parts.head_norm),
        recurrent=(parts.gated_delta_net, parts.fused_beta_alpha),
        experts=_GATED_SHARED,
    ),
    "qwen35": Family(
        every=_POST_NORM,
        attention=(parts.gated_query_key_value, parts.head_norm),
        recurrent=(parts.gated_delta_net, parts.split_beta_alpha),
    ),
    "qwen35moe": Family(
        every=_POST_NORM,
        attention=(parts.gated_query_key_value, parts.head_norm),
        recurrent=(parts.gated_delta_net, parts.split_beta_alpha),
        experts=_GATED_SHARED,
    ),
    "gemma2": Family(every=_SANDWICH),
    "gemma3": Family(every=_SANDWICH, attention=_NORMED),
    "gemma3n": Family(
        every=(*_SANDWICH, own.altup, own.per_layer_gate),
        attention=_NORMED,
        outside=(own.per_layer_table, own.altup_projections),
    ),
    "gemma4": Family(
        every=(*_SANDWICH, own.per_layer_gate),
        attention=(own.windowed_attention,),
        experts=(parts.gated, own.experts_beside_dense),
        outside=(own.per_layer_table,),
    ),
    "phi3": Family(attention=(parts.fused_query_key_value,), dense=(parts.fused_gated,)),
    "gpt-oss": Family(
        every=_POST_NORM,
        attention=(*_BIASED, parts.output_bias, parts.attention_sinks),
        experts=(parts.experts, parts.experts_bias),
    ),
    "olmoe": Family(attention=(parts.query_key_value, parts.full_width_norm)),
    "deepseek2": Family(attention=(parts.latent_attention,), experts=_BALANCED_SHARED),
    "glm4": Family(every=_SANDWICH, dense=(parts.fused_gated,)),
    "glm4moe": Family(every=_POST_NORM, attention=_BIASED, experts=_BALANCED_SHARED),
    "ernie4_5-moe": Family(experts=_BALANCED_SHARED),
    "granitehybrid": Family(recurrent=(parts.mamba2,), experts=_SHARED),
    "lfm2": _LFM2,
    "lfm2moe": _LFM2,
    "mamba2": Family(every=(parts.norm("attn_norm"),), recurrent=(parts.mamba2,), one_part=True),
    "falcon-h1": Family(
        every=(parts.norm("attn_norm"),), attention=(parts.query_key_value, own.unnormed_mamba2)
    ),
    "nemotron_h": _NEMOTRON_H,
    "nemotron_h_moe": _NEMOTRON_H,
}
"""The families whose tensors are known here, by llama.cpp's architecture name."""

EXTRAS: Final = ("tied_output", "rope_freqs", "rope_factors")
"""What a file may have or lack without its metadata saying so; a catalogue entry lists them under
`extras`."""


def is_recurrent(model: ModelSpec, il: int) -> bool:
    """Whether block `il` keeps a state instead of a KV cache."""
    if not FAMILIES[model.arch].recurrent or il >= n_decoding(model):
        return False
    if interval := model.integer("full_attention_interval", 0):
        return (il + 1) % interval != 0
    return parts.heads(model, il)[1] == 0 and not _only_feeds(model, il)


def _only_feeds(model: ModelSpec, il: int) -> bool:
    """Whether block `il` is a feed-forward alone, in a family that has one part a block."""
    return FAMILIES[model.arch].one_part and model.per_layer("feed_forward_length", 0)[il] > 0


def is_expert_block(model: ModelSpec, il: int) -> bool:
    """Whether block `il` routes its tokens: past the leading dense blocks, and then every n-th of
    them."""
    step = max(model.integer("interleave_moe_layer_step", 1), 1)
    return (
        model.is_moe
        and il >= model.integer("leading_dense_block_count", 0)
        and (il + 1) % step == 0
    )


def n_decoding(model: ModelSpec) -> int:
    """Blocks that decode: all but those for multi-token prediction."""
    return model.n_layer - model.integer("nextn_predict_layers", 0)


def _block(model: ModelSpec, il: int) -> Iterator[Tensor]:
    family = FAMILIES[model.arch]
    mixing = family.recurrent if is_recurrent(model, il) else family.attention
    feeding = family.experts if is_expert_block(model, il) else family.dense
    if family.one_part:
        chosen = family.every + (feeding if _only_feeds(model, il) else mixing)
    else:
        chosen = family.every + mixing + feeding
    chosen += family.next_token if il >= n_decoding(model) else ()
    for part in chosen:
        yield from part(model, il)


def _outside_blocks(model: ModelSpec, extras: Collection[str]) -> Iterator[Tensor]:
    n_embd, n_vocab = model.n_embd, model.integer("vocab_size")
    if "tied_output" not in extras:
        yield "output.weight", (n_embd, n_vocab)
    yield f"{FAMILIES[model.arch].output_norm}.weight", (n_embd,)
    for part in FAMILIES[model.arch].outside:
        yield from part(model)
    half_rope = model.integer("rope.dimension_count", parts.head_size(model)[0]) // 2
    if "rope_factors" in extras:
        yield "rope_factors_long.weight", (half_rope,)
        yield "rope_factors_short.weight", (half_rope,)
    if "rope_freqs" in extras:
        yield "rope_freqs.weight", (half_rope,)
    yield "token_embd.weight", (n_embd, n_vocab)


def tensor_shapes(model: ModelSpec, *, extras: Collection[str] = ()) -> tuple[Tensor, ...]:
    """Name and dimensions of every tensor of `model`, whose own `tensors` need not be known.

    `extras` (of `EXTRAS`) says what the metadata does not: `tied_output` (no output.weight),
    `rope_freqs` and `rope_factors` (tables of rotary frequencies). UnknownNameError for an
    architecture without a row in `FAMILIES`.
    """
    if model.arch not in FAMILIES:
        raise UnknownNameError(
            f"{model.source}: the tensors of architecture {model.arch!r} are not known without a "
            "file;"
            f" those of {', '.join(sorted(FAMILIES))} are"
        )
    found = sorted(_outside_blocks(model, extras))
    for il in range(model.n_layer):
        found += sorted((f"blk.{il}.{name}", ne) for name, ne in _block(model, il))
    return tuple(found)
