"""Ai2's OLMo, OLMoE, OLMo 2 and Olmo 3; since OLMo 2 norms follow each part."""

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
from oomph.architectures.hf_keys import Config
from oomph.gguf.header import Value


def _of_olmo(config: Config) -> dict[str, Value]:
    limit = config.get("clip_qkv")
    found: dict[str, Value] = {"attention.layer_norm_epsilon": 1e-5}
    return found | ({} if limit is None else {"attention.clamp_kqv": float(limit)})


FAMILIES: Final = (
    Family(
        name="olmo",
        tensors=Tensors(every=()),
        rope=Rope(factors="none", is_whole=True),
        graph=GraphRules(norm="layer", has_norm_weights=False, clamps_projections=True),
        output_norm="",
        hugging_face=HuggingFace(model_types=("olmo",), translate=_of_olmo),
    ),
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
