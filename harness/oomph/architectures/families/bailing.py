"""inclusionAI's Ling and Ring: 1, 2.0, and 3.0 with Kimi delta and latent attention."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.deepseek import latent_attention
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Recurrence,
    Rope,
    Tensors,
)
from oomph.architectures.hf_keys import (
    Config,
    blocks_with_heads,
    rope_table,
    rotary_width,
)
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return {
        "rope.dimension_count": width,
        "expert_shared_count": config["num_shared_experts"],
        "expert_weights_scale": 1.0,
        "expert_weights_norm": bool(config["norm_topk_prob"]),
    }


def _translate_2(config: Config) -> dict[str, Value]:
    half = {"partial_rotary_factor": 0.5, **rope_table(config), **config}
    shared, width = config["num_shared_experts"], config["moe_intermediate_size"]
    found = rotary_width(half) | blocks_with_heads(config)
    return found | {
        "expert_shared_count": shared,
        "expert_shared_feed_forward_length": config.get(
            "moe_shared_expert_intermediate_size", width * shared
        ),
        "expert_weights_norm": bool(config["norm_topk_prob"]),
    }


def _is_second(config: Config) -> bool:
    is_named = "BailingMoeV2ForCausalLM" in (config.get("architectures") or ())
    return is_named or config.get("model_type") == "bailing_moe_v2"


def _limits(config: Config, name: str, n_layer: int) -> tuple[float, ...]:
    listed = [float(limit or 0.0) for limit in config[name][:n_layer]]
    return (*listed, *[0.0] * (n_layer - len(listed)))


def _translate_3(config: Config) -> dict[str, Value]:
    found = blocks_with_heads(config)
    n_layer, n_all = (
        config["num_hidden_layers"],
        config["num_hidden_layers"] + int(config.get("num_nextn_predict_layers") or 0),
    )
    period, rank, rope = (
        config[key] for key in ("layer_group_size", "kv_lora_rank", "qk_rope_head_dim")
    )
    attends = (il >= n_layer // period * period or (il + 1) % period == 0 for il in range(n_all))
    found |= {
        "attention.head_count_kv": tuple(int(each) for each in attends),
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + rope,
        "attention.key_length_mla": config["qk_nope_head_dim"] + rope,
        "attention.value_length_mla": config["v_head_dim"],
        "expert_shared_count": config.get("num_shared_experts", 1),
        "expert_shared_feed_forward_length": config["moe_shared_expert_intermediate_size"],
        "expert_weights_norm": bool(config["norm_topk_prob"]),
        "kda.gate_lower_bound": config["kda_lower_bound"],
        "kda.head_dim": config["head_dim"],
        "rope.dimension_count": rope,
        "ssm.conv_kernel": config["short_conv_kernel_size"],
    }
    if config.get("q_lora_rank") is not None:
        found["attention.q_lora_rank"] = config["q_lora_rank"]
    for key, name in (
        ("swiglu_clamp_exp", "expert_swiglu_limit_list"),
        ("swiglu_clamp_shexp", "share_expert_swiglu_limit_list"),
    ):
        if config.get(name) is not None:
            found[key] = _limits(config, name, n_all)
    return found


def _head_gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate for each head of attention."""
    yield "attn_gate.weight", (model.n_embd, parts.heads(model, il)[0])


def _whole_gates(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Kimi delta attention's gates of full rank."""
    inner = model.integer("kda.head_dim") * parts.heads(model, il)[0]
    for which in "fg":
        yield f"ssm_{which}_a.weight", (model.n_embd, inner)


def _next_token(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The block that predicts further tokens, whose last norm has another name than elsewhere."""
    for name, ne in parts.next_token_projection(model, il):
        renamed = "layer_output_norm.weight" if "shared_head_norm" in name else name
        yield renamed, ne


FAMILIES: Final = (
    Family(
        name="bailingmoe",
        tensors=Tensors(experts=parts.SHARED_EXPERTS),
        graph=GraphRules(expert_weights_norm=None),
        hugging_face=HuggingFace(
            model_types=("bailing_moe",),
            applies=lambda config: not _is_second(config),
            translate=_translate,
        ),
    ),
    Family(
        name="bailingmoe2",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, parts.head_norm),
            experts=parts.BALANCED_EXPERTS,
        ),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
        hugging_face=HuggingFace(
            model_types=("bailing_moe", "bailing_moe_v2"),
            applies=_is_second,
            translate=_translate_2,
        ),
    ),
    Family(
        name="bailingmoe3",
        tensors=Tensors(
            attention=(latent_attention, _head_gate),
            recurrent=(parts.kda, _whole_gates, parts.kda_rates),
            experts=parts.BALANCED_EXPERTS,
            next_token=(_next_token,),
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="kda", gate="bounded", rolls_back=True),
        rope=Rope(sections="listed"),
        caches_idle=True,
        graph=GraphRules(
            copies_gated=True,
            expert_gating="metadata",
            expert_weights_norm=None,
            outputs_at="after_norm",
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(
            model_types=("bailing_hybrid", "BailingMoeV3ForCausalLM"),
            applies=lambda config: bool(config.get("no_kda_lora") and config.get("kda_safe_gate")),
            translate=_translate_3,
        ),
    ),
)
