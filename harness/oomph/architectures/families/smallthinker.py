"""SJTU's SmallThinker: the router sees a layer's input, before attention."""

from typing import Final

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
    width = config["moe_ffn_hidden_size"]
    found = rotary_width(config) | {
        "expert_count": config["moe_num_primary_experts"],
        "expert_used_count": config["moe_num_active_primary_experts"],
        "expert_feed_forward_length": width,
        "feed_forward_length": width,
        "expert_gating_func": 1 if config.get("moe_primary_router_apply_softmax") else 2,
    }
    if any(config.get("sliding_window_layout") or ()) and config.get("sliding_window_size"):
        found["attention.sliding_window"] = config["sliding_window_size"]
    return found


FAMILIES: Final = (
    Family(
        name="smallthinker",
        tensors=Tensors(),
        windows=Windows(period=4, dense_first=True, n_tokens=4096, is_fixed=True, is_optional=True),
        rope=Rope(layers="stepped_first", factors="none", is_whole=True),
        graph=GraphRules(routes_input=True, expert_gating="metadata"),
        hugging_face=HuggingFace(model_types=("smallthinker",), translate=_translate),
    ),
)
