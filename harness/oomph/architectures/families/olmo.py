"""Ai2's OLMoE."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors

FAMILIES: Final = (
    Family(
        name="olmoe",
        tensors=Tensors(attention=(parts.query_key_value, parts.full_width_norm)),
        graph=GraphRules(qk_norm="rows", expert_weights_norm=False),
        hugging_face=HuggingFace(model_types=("olmoe",)),
    ),
)
