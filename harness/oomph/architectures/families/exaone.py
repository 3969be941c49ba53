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
from oomph.architectures.hf_keys import Config, blocks_with_heads, listed_windows, rotary_width
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    n_layer: int = config["num_layers"] if "num_layers" in config else config["num_hidden_layers"]
    return rotary_width(config) | {
        "block_count": n_layer,
        "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
    }


def _windows(config: Config) -> dict[str, Value]:
    """The windows as layers list them, as a word (LLLG) repeats them, or all but every n-th."""
    n_layer, pattern = config["num_hidden_layers"], config.get("sliding_window_pattern")
    if config.get("sliding_window") is None:
        return {}
    if config.get("layer_types"):
        return listed_windows(config)
    if isinstance(pattern, str):
        listed = tuple(int(pattern[il % len(pattern)] == "L") for il in range(n_layer))
        return {"attention.sliding_window_pattern": listed}
    if isinstance(pattern, int):
        listed = tuple(int((il + 1) % pattern != 0) for il in range(n_layer))
        return {"attention.sliding_window_pattern": listed}
    return {}


def _translate_4(config: Config) -> dict[str, Value]:
    return _windows(config) | blocks_with_heads(config)


def _translate_moe(config: Config) -> dict[str, Value]:
    shared = config["num_shared_experts"]
    dense = config.get("first_last_k_dense_replace", 0)
    found = rotary_width(config) | blocks_with_heads(config)
    return found | {
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
        hugging_face=HuggingFace(model_types=("exaone4", "exaone4_5_text"), translate=_translate_4),
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
