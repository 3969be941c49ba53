"""Decoders with experts of makers with one or two: DBRX, Grok, Mellum, Arctic, Maple."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor

_WHOLE: Final = Rope(factors="none", is_whole=True)


def _dense_beside(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated feed-forward as wide as the metadata say beside experts of their own width (Grok 2).

    Grok 1 has none: its experts are as wide as the metadata say."""
    if model.integer("expert_feed_forward_length", 0):
        yield from parts.gated(model, il)


def _square(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated feed-forward as wide as the embedding (Arctic)."""
    for name in ("gate", "up", "down"):
        yield f"ffn_{name}.weight", (model.n_embd, model.n_embd)


FAMILIES: Final = (
    Family(
        name="mellum",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        windows=Windows(period=4),
        rope=_WHOLE,
    ),
    Family(
        name="dbrx",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "attn_output_norm"),),
            attention=(parts.fused_query_key_value,),
        ),
        rope=_WHOLE,
        graph=GraphRules(norm="layer", clamps_projections=True),
        required=("attention.clamp_kqv",),
    ),
    Family(
        name="grok",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "attn_output_norm", "ffn_norm", "post_ffw_norm"),),
            experts=(parts.experts, _dense_beside),
        ),
        rope=_WHOLE,
        graph=GraphRules(
            softcaps_scores=True,
            fuses_attention="never",
            scaled=("embedding_scale", "logit_scale"),
        ),
    ),
    Family(
        name="arctic",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm", "ffn_norm_exps"),),
            experts=(parts.experts, _square),
        ),
        rope=_WHOLE,
        graph=GraphRules(layer="beside_experts"),
    ),
    Family(
        name="maple",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        windows=Windows(period=4),
        rope=Rope(layers="windowed", factors="none"),
        graph=GraphRules(fuses_clamp=True),
        required=(
            "attention.sliding_window",
            "attention.sliding_window_pattern",
            "expert_feed_forward_length",
            "swiglu_clamp_exp",
        ),
    ),
)
