"""rednote's dots.llm1."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Tensors

FAMILIES: Final = (
    Family(
        name="dots1",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.BALANCED_EXPERTS),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
    ),
)
