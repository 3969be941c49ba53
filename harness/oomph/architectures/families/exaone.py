"""LG AI Research's EXAONE 3.5, a Llama, EXAONE 4 with norms after each part, and K-EXAONE."""

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
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    n_layer: int = config["num_layers"] if "num_layers" in config else config["num_hidden_layers"]
    return rotary_width(config) | {
        "block_count": n_layer,
        "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
    }


def _translate_moe(config: Config) -> dict[str, Value]:
    n_next, shared = config.get("num_nextn_predict_layers", 0), config["num_shared_experts"]
    dense = config.get("first_last_k_dense_replace", 0)
    return rotary_width(config) | {
        "block_count": config["num_hidden_layers"] + n_next,
        "nextn_predict_layers": n_next,
        "expert_gating_func": 2,
        "expert_shared_count": shared,
        "expert_shared_feed_forward_length": config["moe_intermediate_size"] * shared,
        "expert_weights_norm": bool(config["norm_topk_prob"]),
        "leading_dense_block_count": config.get("first_k_dense_replace", dense),
    }


FAMILIES: Final = (
    Family(
        name="exaone",
        tensors=Tensors(),
        rope=Rope(is_whole=True),
        hugging_face=HuggingFace(model_types=("exaone",), translate=_translate),
    ),
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
        hugging_face=HuggingFace(model_types=("exaone_moe",), translate=_translate_moe),
    ),
)
