"""inclusionAI's Ling, Ling 2.0 and Ring 2.0."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Tensors
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return {
        "rope.dimension_count": width,
        "expert_shared_count": config["num_shared_experts"],
        "expert_weights_scale": 1.0,
        "expert_weights_norm": bool(config["norm_topk_prob"]),
    }


FAMILIES: Final = (
    Family(
        name="bailingmoe",
        tensors=Tensors(experts=parts.SHARED_EXPERTS),
        graph=GraphRules(expert_weights_norm=None),
        hugging_face=HuggingFace(model_types=("bailing_moe",), translate=_translate),
    ),
    Family(
        name="bailingmoe2",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, parts.head_norm),
            experts=parts.BALANCED_EXPERTS,
        ),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
    ),
)
