"""Preferred Networks' PLaMo 3: norms around each part, gate and up in one matrix."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _bare_post_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The norms after each part, which are named bare."""
    yield "post_attention_norm", (model.n_embd,)
    yield "post_ffw_norm", (model.n_embd,)


FAMILIES: Final = (
    Family(
        name="plamo3",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _bare_post_norms),
            attention=(parts.fused_query_key_value, parts.head_norm),
            dense=(parts.fused_gated,),
        ),
        windows=Windows(period=8, is_optional=True),
        rope=Rope(factors="none"),
        graph=GraphRules(pinned_post_norms="both"),
    ),
)
