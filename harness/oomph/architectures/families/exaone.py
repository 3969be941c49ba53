"""LG AI Research's EXAONE 4: norms after each part, windows in its larger model alone."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, Rope, Tensors, Windows

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
)
