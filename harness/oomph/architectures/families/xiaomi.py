"""Xiaomi's MiMo-V2: windows with attention sinks, a V narrower than K."""

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
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _windowed_sinks(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Sinks in the layers with a window alone."""
    if model.per_layer("attention.sliding_window_pattern")[il]:
        yield from parts.attention_sinks(model, il)


def _translate(config: Config) -> dict[str, Value]:
    windows = tuple(int(kind) for kind in config["hybrid_layer_pattern"])
    counts = config["num_key_value_heads"], config["swa_num_key_value_heads"]
    return rotary_width(config) | {
        "attention.head_count_kv": tuple(counts[kind] for kind in windows),
        "attention.layer_norm_rms_epsilon": config["layernorm_epsilon"],
        "attention.sliding_window_pattern": windows,
        "attention.value_length": config["v_head_dim"],
        "attention.value_scale": config.get("attention_value_scale") or 1.0,
        "leading_dense_block_count": sum(not kind for kind in config["moe_layer_freq"]),
    }


FAMILIES: Final = (
    Family(
        name="mimo2",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, _windowed_sinks),
            experts=(parts.experts, parts.selection_bias),
            feeds_heads_densely=True,
        ),
        windows=Windows(period=6),
        rope=Rope(factors="none"),
        graph=GraphRules(expert_gating="sigmoid", head_outputs_at="before_norm"),
        hugging_face=HuggingFace(model_types=("mimo_v2", "mimo_v2_flash"), translate=_translate),
    ),
)
