"""LG AI Research's EXAONE 4, with norms after each part, and K-EXAONE with experts."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows

FAMILIES: Final = (
    Family(
        name="exaone4",
        tensors=Tensors(
            every=(parts.norm("post_attention_norm", "post_ffw_norm"),),
            attention=parts.NORMED_ATTENTION,
        ),
        windows=Windows(period=4, n_tokens=4096, n_layer=64),
        rope=Rope(layers="windowed"),
    ),
    Family(
        name="exaone-moe",
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION,
            experts=parts.BALANCED_EXPERTS,
            feeds_heads_densely=True,
        ),
        windows=Windows(period=4, n_tokens=128),
        rope=Rope(layers="windowed", is_whole=True),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
    ),
)
