"""State-space models without attention: Mamba-2."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Recurrence, Rope, Tensors

FAMILIES: Final = (
    Family(
        name="mamba2",
        tensors=Tensors(every=(parts.norm("attn_norm"),), recurrent=(parts.mamba2,)),
        recurrence=Recurrence(layers="all", part="mamba2"),
        rope=Rope(layers="none"),
        graph=GraphRules(layer="single"),
    ),
)
