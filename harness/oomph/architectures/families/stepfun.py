"""StepFun's Step 3.5 Flash: a gate a head on attention's output, more heads beside windows."""

from collections.abc import Iterator
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
from oomph.architectures.hf_keys import Config, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _head_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate on each head's output."""
    yield "attn_gate.weight", (model.n_embd, parts.heads(model, il)[0])


def _translate(config: Config) -> dict[str, Value]:
    """The trunk alone: what a checkpoint lists past its layers is of its prediction heads."""
    n_layer, other = config["num_hidden_layers"], table(config, "attention_other_setting")
    windows = tuple(int(k == "sliding_attention") for k in config["layer_types"][:n_layer])
    heads, groups = (
        tuple(int(({**config, **other} if kind else config)[key]) for kind in windows)
        for key in ("num_attention_heads", "num_attention_groups")
    )
    routed = sorted(int(il) for il in config["moe_layers_enum"].split(","))
    found: dict[str, Value] = {
        "attention.head_count": heads,
        "attention.head_count_kv": groups,
        "attention.sliding_window_pattern": windows,
        "expert_used_count": config["moe_top_k"],
        "expert_shared_feed_forward_length": config["share_expert_dim"],
        "expert_weights_norm": bool(config.get("norm_expert_weight")),
        "expert_weights_scale": config.get("moe_router_scaling_factor", 1.0),
        "leading_dense_block_count": routed[0],
        "rope.dimension_count": config["head_dim"],
        "rope.freq_base": config["rope_theta"][0],
    }
    for key, name in (("exp", "swiglu_limits"), ("shexp", "swiglu_limits_shared")):
        if limits := config.get(name):
            found[f"swiglu_clamp_{key}"] = tuple(float(x or 0.0) for x in limits[:n_layer])
    return found


FAMILIES: Final = (
    Family(
        name="step35",
        tensors=Tensors(
            attention=(*parts.NORMED_ATTENTION, _head_gate), experts=parts.BALANCED_EXPERTS
        ),
        windows=Windows(period=4),
        rope=Rope(factors="full"),
        graph=GraphRules(
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            outputs_at="before_norm",
            head_outputs_at="before_norm",
        ),
        hugging_face=HuggingFace(model_types=("step3p5",), translate=_translate),
        loaded_of_heads=(
            "attn_q_norm",
            "attn_k_norm",
            "attn_gate",
            *parts.FEED_FORWARD_NAMES,
            *parts.NEXT_TOKEN_NAMES,
        ),
    ),
)
