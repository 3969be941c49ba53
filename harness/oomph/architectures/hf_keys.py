"""Hugging Face's config keys as GGUF's: what most families' config.json have in common.

The translation is that of llama.cpp's `conversion/base.py`. A family's own keys stand with the
family (`HuggingFace.translate`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oomph.gguf.header import Value

Config = Mapping[str, Any]
Translation = Callable[[Config], dict[str, Value]]
"""From a config.json to GGUF's keys without the architecture in front. What is raised for a key
that is missing or no number is told as a malformed config."""

SHARED_KEYS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("vocab_size", ("vocab_size",)),
    (
        "context_length",
        ("max_position_embeddings", "n_ctx", "n_positions", "max_length", "max_sequence_length"),
    ),
    ("block_count", ("num_hidden_layers", "n_layers", "n_layer", "num_layers")),
    ("embedding_length", ("hidden_size", "n_embd", "dim")),
    ("feed_forward_length", ("intermediate_size", "n_inner", "hidden_dim")),
    ("attention.head_count", ("num_attention_heads", "n_head", "n_heads")),
    (
        "attention.head_count_kv",
        ("num_key_value_heads", "n_kv_heads", "num_attention_heads", "n_head", "n_heads"),
    ),
    ("attention.key_length", ("head_dim",)),
    ("attention.value_length", ("head_dim",)),
    ("attention.layer_norm_rms_epsilon", ("rms_norm_eps", "norm_eps")),
    (
        "attention.layer_norm_epsilon",
        ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
    ),
    ("expert_count", ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")),
    (
        "expert_used_count",
        ("num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_k"),
    ),
    ("expert_feed_forward_length", ("moe_intermediate_size",)),
    (
        "expert_shared_feed_forward_length",
        ("shared_expert_intermediate_size", "shared_intermediate_size"),
    ),
    ("expert_shared_count", ("n_shared_experts", "moe_num_shared_experts")),
    ("expert_group_count", ("n_group",)),
    ("expert_group_used_count", ("topk_group",)),
    ("expert_weights_scale", ("routed_scaling_factor",)),
    ("leading_dense_block_count", ("first_k_dense_replace", "moe_layer_start_index")),
    ("attn_logit_softcapping", ("attn_logit_softcapping",)),
    ("final_logit_softcapping", ("final_logit_softcapping",)),
)
"""GGUF's key and the config's names for it, the first that is there."""


GATING: Final = {"softmax": 1, "sigmoid": 2, "noaux_tc": 2, "sqrtsoftplus": 4}
"""llama_expert_gating_func_type of a scoring function's name."""
_SCORING: Final = (
    "score_function",
    "scoring_func",
    "score_func",
    "moe_router_activation",
    "moe_router_activation_func",
    "expert_selection_fn",
)


def table(config: Config, key: str) -> dict[str, Any]:
    """The object under `key`, empty where there is none; ValueError where it is something else."""
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} = {value!r}")
    return value


def rope_table(config: Config) -> dict[str, Any]:
    """The rotary parameters, wherever this generation of config.json keeps them."""
    scaling = table(config, "rope_parameters") or table(config, "rope_scaling")
    return table(scaling, "full_attention") or scaling


def rope_kind(config: Config) -> Any:
    """How the rotary frequencies are scaled, as the config calls it."""
    rope = rope_table(config)
    return rope.get("rope_type", rope.get("type"))


def rope_metadata(config: Config) -> dict[str, Value]:
    """The base of the rotary frequencies, their scaling where it is linear or YaRN, and the
    sections of a token's several positions."""
    rope = rope_table(config)
    found: dict[str, Value] = {}
    base = rope.get("rope_theta", config.get("rope_theta"))
    if base is not None:
        found["rope.freq_base"] = base
    kind = rope_kind(config)
    if kind in ("linear", "yarn") and rope.get("factor"):
        found |= {"rope.scaling.type": kind, "rope.scaling.factor": rope["factor"]}
    if kind == "yarn":
        original = rope.get("original_max_position_embeddings")
        found["rope.scaling.original_context_length"] = (
            config["original_max_position_embeddings"] if original is None else original
        )
        for key, name in (("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")):
            if rope.get(name) is not None:
                found[f"rope.scaling.{key}"] = float(rope[name])
    if sections := rope.get("mrope_section", config.get("mrope_section")):
        found["rope.dimension_sections"] = four_sections(sections)
    return found


def four_sections(sections: Sequence[int]) -> Value:
    """The widths of a token's positions as GGUF has them, filled up to four."""
    return (*sections, 0, 0, 0, 0)[:4]


def routing(config: Config) -> dict[str, Value]:
    """How the router scores experts, where the config names it."""
    named = next((config[name] for name in _SCORING if config.get(name) is not None), None)
    return {} if named is None else {"expert_gating_func": GATING[named]}


def blocks_with_heads(config: Config) -> dict[str, Value]:
    """The blocks of a file that has the multi-token-prediction heads in it."""
    n_next = config.get("num_nextn_predict_layers") or 0
    return {
        "block_count": config["num_hidden_layers"] + n_next,
        "nextn_predict_layers": n_next,
    }


def listed_windows(config: Config) -> dict[str, Value]:
    """The layers with a sliding window, as `layer_types` lists them."""
    kinds = config["layer_types"]
    return {"attention.sliding_window_pattern": tuple(int(k == "sliding_attention") for k in kinds)}


def rotary_width(config: Config) -> dict[str, Value]:
    """The part of a head that is rotated."""
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    partial = config.get(
        "partial_rotary_factor", rope_table(config).get("partial_rotary_factor", 1.0)
    )
    return {"rope.dimension_count": int(head * partial)}
