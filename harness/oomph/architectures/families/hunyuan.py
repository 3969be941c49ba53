"""Tencent's Hunyuan-A13B: q and k are normed after RoPE."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Tensors

FAMILIES: Final = (
    Family(
        name="hunyuan-moe",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.SHARED_EXPERTS),
        graph=GraphRules(qk_norm="rotated"),
    ),
)
