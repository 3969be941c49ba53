"""IBM's Granite: dense, with experts, with windows, and 4.0's hybrids with Mamba-2."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Recurrence,
    Rope,
    Tensors,
    Windows,
)
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _multipliers(config: Config) -> dict[str, Value]:
    named = {
        "attention.scale": "attention_multiplier",
        "embedding_scale": "embedding_multiplier",
        "residual_scale": "residual_multiplier",
        "logit_scale": "logits_scaling",
    }
    return {key: config[name] for key, name in named.items() if config.get(name)}


def _attends_everywhere(config: Config) -> bool:
    """Whether it is plain Granite: hybrids are published without a recurrent layer too."""
    kinds = config.get("layer_types") or config.get("layers_block_type") or ("attention",)
    return "mamba" not in kinds


def _has_experts(config: Config) -> bool:
    return bool(config.get("num_local_experts"))


def _translate(config: Config) -> dict[str, Value]:
    """Heads are of the width that follows, whatever the config says (GraniteModel)."""
    width = config["hidden_size"] // config["num_attention_heads"]
    widths = ("attention.key_length", "attention.value_length", "rope.dimension_count")
    found = _multipliers(config) | dict.fromkeys(widths, width)
    shared = config.get("shared_intermediate_size")
    if shared and not _has_experts(config):  # a dense hybrid's feed-forward
        found |= {"feed_forward_length": shared, "expert_shared_feed_forward_length": 0}
        found |= {"expert_count": 0, "expert_used_count": 0}
    return found


def _translate_windows(config: Config) -> dict[str, Value]:
    n_layer = config["num_hidden_layers"]
    kinds = config.get("layer_types")
    windows = (
        (kind == "sliding_attention" for kind in kinds)
        if kinds
        else (il % 4 != 0 for il in range(n_layer))
    )
    found = _translate(config) | {
        "attention.sliding_window": config.get("sliding_window", 128),
        "attention.sliding_window_pattern": tuple(map(int, windows)),
    }
    if rotated := config.get("no_rope_layers"):
        found["attention.rope_pattern"] = tuple(int(bool(each)) for each in rotated)
    return found


def _translate_hybrid(config: Config) -> dict[str, Value]:
    n_head_kv, kinds = config["num_key_value_heads"], config["layer_types"]
    found: dict[str, Value] = {
        "attention.head_count_kv": tuple(n_head_kv if kind == "attention" else 0 for kind in kinds),
        "rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
        "rope.scaling.finetuned": config.get("position_embedding_type") == "rope",
        "ssm.conv_kernel": config["mamba_d_conv"],
        "ssm.state_size": config["mamba_d_state"],
        "ssm.group_count": config["mamba_n_groups"],
        "ssm.time_step_rank": config["mamba_n_heads"],
        "ssm.inner_size": config["mamba_n_heads"] * config["mamba_d_head"],
    }
    found |= _multipliers(config)
    if not _has_experts(config):  # a dense one calls its feed-forward the shared expert
        found |= {
            "feed_forward_length": config["shared_intermediate_size"],
            "expert_shared_feed_forward_length": 0,
        }
    return found


def _translate_adapters(config: Config) -> dict[str, Value]:
    """One block fewer than the config says: the last is the switch, which has no weights."""
    return _translate(config) | {
        "block_count": config["num_hidden_layers"] - 1,
        "adapters.count": config["num_adapters"],
        "adapters.lora_rank": config["max_lora_rank"],
        "adapters.token_ids_activate": tuple(config["adapter_token_ids"]),
        "adapters.token_ids_substitute": tuple(config["adapter_substitute_token_ids"]),
        "expert_used_count": 0,
    }


def _fused_shared_expert(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The shared expert with gate and up in one."""
    if n_ff := model.integer("expert_shared_feed_forward_length", 0):
        yield "ffn_up_shexp.weight", (model.n_embd, 2 * n_ff)
        yield "ffn_down_shexp.weight", (n_ff, model.n_embd)


def _adapters(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Low-rank matrices beside each of the layer's, a pair for each adapter and one of zeros."""
    rank, n = model.integer("adapters.lora_rank"), model.integer("adapters.count") + 1
    beside = (*parts.query_key_value(model, il), *parts.gated(model, il))
    for name, (n_in, n_out) in beside:
        stem = name.removesuffix(".weight")
        yield f"{stem}.lora_a", (n_in, rank, n)
        yield f"{stem}.lora_b", (rank, n_out, n)


FAMILIES: Final = (
    Family(
        name="granite",
        tensors=Tensors(),
        rope=Rope(layers="finetuned"),
        hugging_face=HuggingFace(
            model_types=("granite", "granitemoehybrid"),
            applies=lambda config: _attends_everywhere(config) and not _has_experts(config),
            translate=_translate,
        ),
    ),
    Family(
        name="granitemoe",
        tensors=Tensors(),
        rope=Rope(layers="finetuned"),
        hugging_face=HuggingFace(
            model_types=("granitemoe", "granitemoeshared", "granitemoehybrid"),
            applies=lambda config: _attends_everywhere(config) and _has_experts(config),
            translate=_translate,
        ),
    ),
    Family(
        name="granitehybrid",
        tensors=Tensors(recurrent=(parts.mamba2,), experts=parts.SHARED_EXPERTS),
        recurrence=Recurrence(layers="no_kv_heads", part="mamba2"),
        rope=Rope(layers="finetuned"),
        hugging_face=HuggingFace(
            model_types=("granitemoehybrid",),
            applies=lambda config: not _attends_everywhere(config),
            translate=_translate_hybrid,
        ),
    ),
    Family(
        name="granite_swa",
        tensors=Tensors(
            attention=(parts.query_key_value, parts.attention_sinks),
            experts=(parts.fused_experts(parts.dense_width), _fused_shared_expert),
        ),
        windows=Windows(period=4, dense_first=True),
        rope=Rope(layers="listed", is_whole=True),
        hugging_face=HuggingFace(
            model_types=("granite_swa", "granitemoe_swa"), translate=_translate_windows
        ),
    ),
    Family(
        name="graniteswitch",
        tensors=Tensors(attention=(parts.fused_query_key_value, _adapters)),
        rope=Rope(layers="finetuned"),
        graph=GraphRules(layer="switched", inputs="tokens"),
        hugging_face=HuggingFace(
            model_types=("granite_switch", "GraniteSwitchForCausalLM"),
            translate=_translate_adapters,
        ),
        required=("logit_scale", "adapters.count", "adapters.lora_rank"),
    ),
)
