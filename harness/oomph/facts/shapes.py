"""Every tensor of a published model, from its metadata: which family is built of which parts.

Stands apart from the parts (`oomph.facts.tensor_parts`) so that a family is one row: what every block has, what
an attention block has, what a recurrent one has instead, what a dense and what an expert feed-forward has. To
add a family: add its row to `FAMILIES` (and a part where it has tensors that no other has), then its models to
`catalogue.toml` under llama.cpp's own metadata keys; everything else follows.

The list is in llama.cpp's order (`llama_model_loader::weight_name_comparer`: by block, then by name), which is
the order in which llama-quantize counts and writes.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from oomph.errors import UnknownNameError
from oomph.facts import tensor_parts as parts
from oomph.facts.modelspec import ModelSpec
from oomph.facts.tensor_parts import Part, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The parts of one architecture's blocks.

    `every` is in each block. A block has `attention`, or `recurrent` where `is_recurrent` says so; it has
    `experts` where `is_expert_block` says so, `dense` elsewhere. `next_token` is added to the blocks past the
    last one that decodes (multi-token prediction).
    """

    every: tuple[Part, ...] = (parts.norm("attn_norm", "ffn_norm"),)
    attention: tuple[Part, ...] = (parts.query_key_value,)
    recurrent: tuple[Part, ...] = ()
    dense: tuple[Part, ...] = (parts.gated,)
    experts: tuple[Part, ...] = (parts.experts,)
    next_token: tuple[Part, ...] = (parts.next_token_head,)


_BIASED: Final = (parts.query_key_value, parts.query_key_value_bias)
_NORMED: Final = (parts.query_key_value, parts.head_norm)
_POST_NORM: Final = (parts.norm("attn_norm", "post_attention_norm"),)
_SANDWICH: Final = (parts.norm("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"),)
_SHARED: Final = (parts.experts, parts.shared_expert)
_GATED_SHARED: Final = (*_SHARED, parts.shared_expert_gate)
_BALANCED_SHARED: Final = (*_SHARED, parts.selection_bias)

FAMILIES: Final[dict[str, Family]] = {
    "llama": Family(),
    "mistral3": Family(),
    "qwen2": Family(attention=_BIASED),
    "qwen2moe": Family(attention=_BIASED, experts=_GATED_SHARED),
    "qwen3": Family(attention=_NORMED),
    "qwen3moe": Family(attention=_NORMED),
    "qwen3next": Family(
        every=_POST_NORM, attention=(parts.gated_query_key_value, parts.head_norm),
        recurrent=(parts.gated_delta_net, parts.fused_beta_alpha), experts=_GATED_SHARED,
    ),
    "qwen35": Family(
        every=_POST_NORM, attention=(parts.gated_query_key_value, parts.head_norm),
        recurrent=(parts.gated_delta_net, parts.split_beta_alpha),
    ),
    "qwen35moe": Family(
        every=_POST_NORM, attention=(parts.gated_query_key_value, parts.head_norm),
        recurrent=(parts.gated_delta_net, parts.split_beta_alpha), experts=_GATED_SHARED,
    ),
    "gemma2": Family(every=_SANDWICH),
    "gemma3": Family(every=_SANDWICH, attention=_NORMED),
    "phi3": Family(attention=(parts.fused_query_key_value,), dense=(parts.fused_gated,)),
    "gpt-oss": Family(
        every=_POST_NORM, attention=(*_BIASED, parts.output_bias, parts.attention_sinks),
        experts=(parts.experts, parts.experts_bias),
    ),
    "olmoe": Family(attention=(parts.query_key_value, parts.full_width_norm)),
    "deepseek2": Family(attention=(parts.latent_attention,), experts=_BALANCED_SHARED),
    "glm4": Family(every=_SANDWICH, dense=(parts.fused_gated,)),
    "glm4moe": Family(every=_POST_NORM, attention=_BIASED, experts=_BALANCED_SHARED),
    "ernie4_5-moe": Family(experts=_BALANCED_SHARED),
    "granitehybrid": Family(recurrent=(parts.mamba2,), experts=_SHARED),
}  # fmt: skip
"""The families whose tensors are known here, by llama.cpp's architecture name."""

EXTRAS: Final = ("tied_output", "rope_freqs", "rope_factors")
"""What a file may have or lack without its metadata saying so; a catalogue entry lists them under `extras`."""


def is_recurrent(model: ModelSpec, il: int) -> bool:
    """Whether block `il` keeps a state instead of a KV cache."""
    if not FAMILIES[model.arch].recurrent or il >= n_decoding(model):
        return False
    if interval := model.integer("full_attention_interval", 0):
        return (il + 1) % interval != 0
    return parts.heads(model, il)[1] == 0


def is_expert_block(model: ModelSpec, il: int) -> bool:
    """Whether block `il` routes its tokens: past the leading dense blocks of a model with experts."""
    return model.is_moe and il >= model.integer("leading_dense_block_count", 0)


def n_decoding(model: ModelSpec) -> int:
    """Blocks that decode: all but those for multi-token prediction."""
    return model.n_layer - model.integer("nextn_predict_layers", 0)


def _block(model: ModelSpec, il: int) -> Iterator[Tensor]:
    family = FAMILIES[model.arch]
    chosen = family.every + (family.recurrent if is_recurrent(model, il) else family.attention)
    chosen += family.experts if is_expert_block(model, il) else family.dense
    chosen += family.next_token if il >= n_decoding(model) else ()
    for part in chosen:
        yield from part(model, il)


def _outside_blocks(model: ModelSpec, extras: Collection[str]) -> Iterator[Tensor]:
    n_embd, n_vocab = model.n_embd, model.integer("vocab_size")
    if "tied_output" not in extras:
        yield "output.weight", (n_embd, n_vocab)
    yield "output_norm.weight", (n_embd,)
    half_rope = model.integer("rope.dimension_count", parts.head_size(model)[0]) // 2
    if "rope_factors" in extras:
        yield "rope_factors_long.weight", (half_rope,)
        yield "rope_factors_short.weight", (half_rope,)
    if "rope_freqs" in extras:
        yield "rope_freqs.weight", (half_rope,)
    yield "token_embd.weight", (n_embd, n_vocab)


def tensor_shapes(model: ModelSpec, *, extras: Collection[str] = ()) -> tuple[Tensor, ...]:
    """Name and dimensions of every tensor of `model`, whose own `tensors` need not be known.

    `extras` (of `EXTRAS`) says what the metadata does not: `tied_output` (no output.weight), `rope_freqs` and
    `rope_factors` (tables of rotary frequencies). UnknownNameError for an architecture without a row in
    `FAMILIES`.
    """
    if model.arch not in FAMILIES:
        raise UnknownNameError(
            f"{model.source}: the tensors of architecture {model.arch!r} are not known without a file;"
            f" those of {', '.join(sorted(FAMILIES))} are"
        )
    found = sorted(_outside_blocks(model, extras))
    for il in range(model.n_layer):
        found += sorted((f"blk.{il}.{name}", ne) for name, ne in _block(model, il))
    return tuple(found)
