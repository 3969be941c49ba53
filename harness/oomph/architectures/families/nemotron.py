"""NVIDIA's Nemotron, pruned Llamas (DeciLM), and Nemotron-H, whose layers have one part each."""

from collections.abc import Iterator
from typing import Any, Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Recurrence, Rope, Tensors
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _ungated_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Experts without a gate, on a narrower projection of the tokens where the model has one."""
    n_embd, n_expert, n_ff = model.n_embd, model.n_expert, parts.expert_width(model)
    shared = model.integer("expert_shared_feed_forward_length", 0)
    width = model.integer("moe_latent_size", 0) or n_embd
    if width != n_embd:
        yield "ffn_latent_down.weight", (n_embd, width)
        yield "ffn_latent_up.weight", (width, n_embd)
    yield "ffn_gate_inp.weight", (n_embd, n_expert)
    yield "exp_probs_b.bias", (n_expert,)
    yield "ffn_up_exps.weight", (width, n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, width, n_expert)
    yield "ffn_up_shexp.weight", (n_embd, shared)
    yield "ffn_down_shexp.weight", (shared, n_embd)


def _translate(config: Config) -> dict[str, Value]:
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    share = config.get("partial_rotary_factor", config.get("rope_percent", 0.5))
    return {
        "rope.dimension_count": int(share * head),
        "attention.layer_norm_epsilon": config.get("norm_eps", 1e-5),
    }


_FULL_UNIT: Final = 256
"""What the width of a pruned feed-forward is a multiple of."""


def _translate_pruned(config: Config) -> dict[str, Value]:
    """The heads and widths of each layer, which may have none of either."""
    found, n_head = rotary_width(config), config["num_attention_heads"]
    if "block_configs" not in config:
        counts = config.get("num_key_value_heads_per_layer")
        return found | ({"attention.head_count_kv": tuple(counts)} if counts else {})
    heads, heads_kv, widths = [], [], []
    for block in config["block_configs"]:
        attention, share = block["attention"], block["ffn"]["ffn_mult"] or 0.0
        group = attention["n_heads_in_group"]
        has_heads = group is not None or attention["replace_with_linear"]
        heads.append(n_head if has_heads else 0)
        heads_kv.append(0 if group is None else n_head // group)
        widths.append(-(-int(2 * share * config["hidden_size"] / 3) // _FULL_UNIT) * _FULL_UNIT)
    head = config["hidden_size"] // n_head
    return found | {
        "attention.head_count": tuple(heads),
        "attention.head_count_kv": tuple(heads_kv),
        "attention.key_length": head,
        "attention.value_length": head,
        "feed_forward_length": tuple(widths),
    }


_KINDS: Final = {
    "M": "mamba", "*": "attention", "-": "mlp", "E": "moe",
    "linear_attention": "mamba", "full_attention": "attention",
}  # fmt: skip
"""What a letter, or another word, of the pattern of layers means."""


def _translate_hybrid(config: Config) -> dict[str, Value]:
    """The layers' parts as a pattern lists them: recurrence, attention or a feed-forward."""
    pattern = config.get("hybrid_override_pattern") or config["layers_block_type"]
    kinds = [_KINDS.get(kind, kind) for kind in pattern]
    head = config.get("head_dim") or config["attention_head_dim"]
    n_head_kv, has_experts = config["num_key_value_heads"], _has_experts(config)
    n_ff = config["moe_intermediate_size" if has_experts else "intermediate_size"]
    found: dict[str, Value] = {
        "block_count": len(kinds),
        "attention.head_count_kv": tuple(n_head_kv if k == "attention" else 0 for k in kinds),
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": _first(
            config, "layer_norm_epsilon", "norm_eps", "rms_norm_eps"
        ),
        "feed_forward_length": tuple(n_ff if kind in ("mlp", "moe") else 0 for kind in kinds),
        "ssm.conv_kernel": config["conv_kernel"],
        "ssm.group_count": config["n_groups"],
        "ssm.inner_size": config["mamba_num_heads"] * config["mamba_head_dim"],
        "ssm.state_size": config["ssm_state_size"],
        "ssm.time_step_rank": config["mamba_num_heads"],
    }
    if has_experts:
        found |= {
            "expert_feed_forward_length": n_ff,
            "expert_shared_feed_forward_length": config["moe_shared_expert_intermediate_size"],
            "expert_weights_norm": bool(config["norm_topk_prob"]),
        }
        if config.get("moe_latent_size") is not None:
            found["moe_latent_size"] = config["moe_latent_size"]
    return found


def _first(config: Config, *names: str) -> Any:
    return next(config[name] for name in names if config.get(name) is not None)


def _has_experts(config: Config) -> bool:
    return config.get("num_experts_per_tok") is not None


def _kept_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Attention, an output projection alone, or nothing, by the heads that the layer has."""
    n_head, n_head_kv = parts.heads(model, il)
    if n_head:
        yield "attn_norm.weight", (model.n_embd,)
    if n_head_kv:
        yield from parts.query_key_value(model, il)
    elif n_head:
        yield "attn_output.weight", (model.n_embd, model.n_embd)


def _kept_feed_forward(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated feed-forward and its norm, or nothing where it has no width."""
    if model.per_layer("feed_forward_length")[il]:
        yield "ffn_norm.weight", (model.n_embd,)
        yield from parts.gated(model, il)


_PRUNED: Final = Family(
    name="deci",
    tensors=Tensors(every=(), attention=(_kept_attention,), dense=(_kept_feed_forward,)),
    rope=Rope(is_whole=True),
    graph=GraphRules(layer="partial"),
    hugging_face=HuggingFace(
        model_types=("deci", "nemotron-nas", "DeciLMForCausalLM"), translate=_translate_pruned
    ),
)
_DENSE: Final = Family(
    name="nemotron",
    tensors=Tensors(
        every=(parts.layer_norm("attn_norm", "ffn_norm"),),
        dense=(parts.ungated,),
        outside=(parts.output_norm_bias,),
    ),
    rope=Rope(factors="none"),
    graph=GraphRules(norm="layer", activation="relu_sqr"),
    hugging_face=HuggingFace(model_types=("nemotron",), translate=_translate),
)
_HYBRID: Final = tuple(
    Family(
        name=name,
        tensors=Tensors(
            every=(parts.norm("attn_norm"),),
            recurrent=(parts.mamba2,),
            dense=(parts.ungated,),
            experts=(_ungated_experts,),
            next_token=(parts.next_token_projection, parts.norm("post_attention_norm")),
        ),
        recurrence=Recurrence(layers="no_kv_heads_no_ff", part="mamba2", rolls_back=True),
        rope=Rope(layers="none"),
        graph=GraphRules(
            layer="single",
            activation="relu_sqr",
            expert_gating="sigmoid",
            expert_weights_norm=None,
            outputs_at="after_norm",
            head_outputs_at="last_layer" if name == "nemotron_h_moe" else "none",
            head_layer="cropped_between",
            head_last_norm="layer",
        ),
        hugging_face=HuggingFace(
            model_types=("nemotron_h",), applies=applies, translate=_translate_hybrid
        ),
    )
    for name, applies in (
        ("nemotron_h", lambda config: not _has_experts(config)),
        ("nemotron_h_moe", _has_experts),
    )
)

FAMILIES: Final = (_DENSE, _PRUNED, *_HYBRID)
