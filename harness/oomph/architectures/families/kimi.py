"""Moonshot AI's Kimi Linear and K3: Kimi delta attention between layers of latent attention."""

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
from oomph.architectures.hf_keys import Config, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _bank_scores(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What weighs the residual streams that are banked."""
    if model.integer("attn_res.block_size", 0):
        yield "attn_res_score.weight", (model.n_embd,)
        yield "ffn_res_score.weight", (model.n_embd,)


def _last_score(model: ModelSpec) -> Iterator[Tensor]:
    if model.integer("attn_res.block_size", 0):
        yield "output_res_score.weight", (model.n_embd,)


def _gate(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gate for each element of attention's result."""
    width = parts.heads(model, il)[0] * model.integer("attention.value_length_mla")
    yield "attn_gate.weight", (model.n_embd, width)


def _kda_gates(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """K3's gates: one of low rank, one whole."""
    n_head, head = parts.heads(model, il)[0], model.integer("kda.head_dim")
    yield "ssm_f_a.weight", (model.n_embd, head)
    yield "ssm_f_b.weight", (head, head * n_head)
    yield "ssm_g.weight", (model.n_embd, head * n_head)
    yield "ssm_a", (n_head,)


def _latent_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Experts on a narrower projection of the tokens, which the router does not see."""
    n_embd, n_ff, n_expert = model.n_embd, parts.expert_width(model), model.n_expert
    width = model.integer("expert_latent_length", 0)
    if width:
        yield "ffn_routed_down.weight", (n_embd, width)
        yield "ffn_routed_up.weight", (width, n_embd)
        yield "ffn_routed_norm.weight", (width,)
    yield "ffn_gate_inp.weight", (n_embd, n_expert)
    yield "exp_probs_b.bias", (n_expert,)
    yield "ffn_gate_exps.weight", (width or n_embd, n_ff, n_expert)
    yield "ffn_up_exps.weight", (width or n_embd, n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, width or n_embd, n_expert)


def _translate(config: Config) -> dict[str, Value]:
    """What Kimi Linear and K3 have in common; layers are counted from 1 in their configs."""
    linear, rank = table(config, "linear_attn_config"), config["kv_lora_rank"]
    rope = config["qk_rope_head_dim"]
    layers = range(1, config["num_hidden_layers"] + 1)
    found: dict[str, Value] = {
        "attention.head_count_kv": tuple(int(il in linear["full_attn_layers"]) for il in layers),
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + rope,
        "attention.key_length_mla": config["qk_nope_head_dim"] + rope,
        "attention.value_length_mla": config["v_head_dim"],
        "expert_shared_count": config["num_shared_experts"],
        "kda.head_dim": linear["head_dim"],
        "rope.dimension_count": rope,
        "ssm.conv_kernel": linear["short_conv_kernel_size"],
    }
    if config.get("q_lora_rank") is not None:
        found["attention.q_lora_rank"] = config["q_lora_rank"]
    return found


def _is_third(config: Config) -> bool:
    return config.get("hidden_act") == "situ"


def _translate_3(config: Config) -> dict[str, Value]:
    linear, found = table(config, "linear_attn_config"), _translate(config)
    found |= {
        "activation.situ_beta": config["activation_situ_beta"],
        "activation.situ_linear_beta": config["activation_situ_linear_beta"],
        "attention.value_length": config["kv_lora_rank"],
        "attn_res.block_size": config["attn_res_block_size"],
        "expert_gating_func": 2,
        "expert_weights_norm": bool(config["moe_renormalize"]),
    }
    if linear.get("gate_lower_bound") is not None:
        found["kda.gate_lower_bound"] = linear["gate_lower_bound"]
    if config.get("routed_expert_hidden_size") is not None:
        found["expert_latent_length"] = config["routed_expert_hidden_size"]
    return found


FAMILIES: Final = (
    Family(
        name="kimi-linear",
        tensors=Tensors(
            attention=(latent_attention,),
            recurrent=(parts.kda, parts.kda_gates, parts.kda_rates),
            experts=parts.BALANCED_EXPERTS,
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="kda", reserves_one=True),
        rope=Rope(layers="none"),
        graph=GraphRules(expands_norm=True, expert_gating="metadata"),
        hugging_face=HuggingFace(
            model_types=("kimi_linear",),
            applies=lambda config: not _is_third(config),
            translate=_translate,
        ),
    ),
    Family(
        name="kimi-k3",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _bank_scores),
            attention=(latent_attention, _gate),
            recurrent=(parts.kda, _kda_gates),
            experts=(_latent_experts, parts.shared_expert),
            outside=(_last_score,),
        ),
        recurrence=Recurrence(
            layers="no_kv_heads", part="kda", gate="metadata_negated", rolls_back=True
        ),
        rope=Rope(layers="none"),
        graph=GraphRules(
            layer="banked",
            gated_activation="situ",
            expert_gating="metadata",
            expert_weights_norm=None,
            nodes_per_token=160,
        ),
        hugging_face=HuggingFace(
            model_types=("kimi_linear", "kimi_k3"), applies=_is_third, translate=_translate_3
        ),
    ),
)
