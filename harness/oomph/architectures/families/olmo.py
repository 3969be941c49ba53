"""Ai2's OLMoE, OLMo 2 and Olmo 3: norms after each part, of whole rows of q and k."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Rope,
    Tensors,
    Windows,
)

FAMILIES: Final = (
    Family(
        name="olmoe",
        tensors=Tensors(attention=(parts.query_key_value, parts.full_width_norm)),
        graph=GraphRules(qk_norm="rows", expert_weights_norm=False),
        hugging_face=HuggingFace(model_types=("olmoe",)),
    ),
    Family(
        name="olmo2",
        tensors=Tensors(
            every=(parts.norm("post_attention_norm", "post_ffw_norm"),),
            attention=(parts.query_key_value, parts.full_width_norm),
        ),
        windows=Windows(period=4),
        rope=Rope(factors="none"),
        graph=GraphRules(qk_norm="rows"),
        hugging_face=HuggingFace(model_types=("olmo2", "olmo3")),
    ),
)
