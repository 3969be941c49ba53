"""Tencent's Hunyuan, dense, with images and A13B: q and k are normed after RoPE."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors

_DENSE: Final = Tensors(attention=parts.NORMED_ATTENTION)
_ROTATED_FIRST: Final = GraphRules(qk_norm="rotated")

FAMILIES: Final = (
    Family(
        name="hunyuan-dense",
        tensors=_DENSE,
        rope=Rope(is_whole=True),
        graph=_ROTATED_FIRST,
        hugging_face=HuggingFace(model_types=("hunyuan_v1_dense",)),
    ),
    Family(
        name="hunyuan_vl",
        tensors=_DENSE,
        rope=Rope(sections="listed", is_whole=True),
        graph=_ROTATED_FIRST,
    ),
    Family(
        name="hunyuan-moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.SHARED_EXPERTS),
        graph=_ROTATED_FIRST,
    ),
)
