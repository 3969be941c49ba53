"""Z.ai's GLM-4 and GLM-4.5; GLM-4.7-Flash is DeepSeek's architecture."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.gguf.header import Value


def _translate_moe(config: Config) -> dict[str, Value]:
    n_next = config.get("num_nextn_predict_layers", 0)
    return rotary_width(config) | {
        "block_count": config["num_hidden_layers"] + n_next,
        "nextn_predict_layers": n_next,
        "expert_gating_func": 2,
        "expert_weights_norm": bool(config.get("norm_topk_prob")),
    }


_HALF_ROTATED: Final = {"partial_rotary_factor": 0.5}

FAMILIES: Final = (
    Family(
        name="glm4",
        tensors=Tensors(every=parts.SANDWICH_NORMS, dense=(parts.fused_gated,)),
        rope=Rope(sections="listed"),
        hugging_face=HuggingFace(
            model_types=("glm4",), translate=rotary_width, defaults=_HALF_ROTATED
        ),
    ),
    Family(
        name="glm4moe",
        tensors=Tensors(
            every=parts.POST_ATTENTION_NORM,
            attention=parts.BIASED_ATTENTION,
            experts=parts.BALANCED_EXPERTS,
        ),
        rope=Rope(sections="listed"),
        graph=GraphRules(
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(
            model_types=("glm4_moe",), translate=_translate_moe, defaults=_HALF_ROTATED
        ),
    ),
)
