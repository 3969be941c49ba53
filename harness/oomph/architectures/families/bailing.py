"""inclusionAI's Ling 2.0 and Ring 2.0."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Tensors

FAMILIES: Final = (
    Family(
        name="bailingmoe2",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, parts.head_norm),
            experts=parts.BALANCED_EXPERTS,
        ),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
    ),
)
