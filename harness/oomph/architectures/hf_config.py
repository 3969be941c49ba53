"""A model's spec from its Hugging Face config.json: before anyone has made a GGUF of it.

Stands apart from the catalogue because the figures come from a file that a user names, in another
project's words. The translation is that of llama.cpp's `conversion/*.py`; what it yields goes
through the same shapes and types as a catalogue entry. Weights that are stored in 4 bits (AWQ,
GPTQ, compressed-tensors) are left to `oomph.architectures.hf_formats`.
"""

import json
from collections.abc import Callable, Mapping
from math import isfinite, log, sqrt
from pathlib import Path
from typing import Any, Final

from oomph.architectures.catalogue import build_model
from oomph.architectures.hf_formats import as_stored_in_4_bits, packed_format
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError, UnknownNameError
from oomph.gguf.header import Value

MAX_CONFIG_BYTES: Final = 1 << 20
MAX_BLOCKS: Final = 512
"""Blocks that llama.cpp has room for (LLAMA_MAX_LAYERS)."""
MAX_WIDTH: Final = 1 << 31

ARCHITECTURES: Final[dict[str, str]] = {
    "llama": "llama",
    "mistral": "llama",
    "mixtral": "llama",
    "qwen2": "qwen2",
    "qwen2_moe": "qwen2moe",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3moe",
    "qwen3_next": "qwen3next",
    "qwen3_5_text": "qwen35",
    "qwen3_5_moe_text": "qwen35moe",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
    "gpt_oss": "gpt-oss",
    "olmoe": "olmoe",
    "deepseek_v2": "deepseek2",
    "deepseek_v3": "deepseek2",
    "glm4_moe_lite": "deepseek2",
    "glm4": "glm4",
    "glm4_moe": "glm4moe",
    "ernie4_5_moe": "ernie4_5-moe",
    "granitemoehybrid": "granitehybrid",
}
"""llama.cpp's architecture for a config's `model_type` (of its `text_config`, where it has one)."""

_KEYS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("vocab_size", ("vocab_size",)),
    ("context_length", ("max_position_embeddings",)),
    ("block_count", ("num_hidden_layers",)),
    ("embedding_length", ("hidden_size",)),
    ("feed_forward_length", ("intermediate_size",)),
    ("attention.head_count", ("num_attention_heads",)),
    ("attention.head_count_kv", ("num_key_value_heads", "num_attention_heads")),
    ("attention.key_length", ("head_dim",)),
    ("attention.value_length", ("head_dim",)),
    ("attention.layer_norm_rms_epsilon", ("rms_norm_eps",)),
    ("expert_count", ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")),
    ("expert_used_count", ("num_experts_per_tok", "moe_k")),
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

_SHAPE: Final = (
    "vocab_size",
    "context_length",
    "block_count",
    "embedding_length",
    "attention.head_count",
)
_FRACTIONS: Final = (
    "attention.layer_norm_rms_epsilon",
    "attention.scale",
    "attn_logit_softcapping",
    "embedding_scale",
    "expert_weights_scale",
    "final_logit_softcapping",
    "logit_scale",
    "residual_scale",
    "rope.freq_base",
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
    "rope.scaling.yarn_log_multiplier",
)
_WORDS: Final = ("expert_weights_norm", "rope.scaling.finetuned", "rope.scaling.type")
_SLIDING: Final = ("gemma2", "gemma3", "gpt-oss")
_TIED_BY_DEFAULT: Final = ("gemma2", "gemma3")
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "gemma2": {"head_dim": 256, "rms_norm_eps": 1e-6},
    "gemma3": {
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
    },
    "qwen35": {"partial_rotary_factor": 0.25},
    "qwen35moe": {"partial_rotary_factor": 0.25},
    "qwen3next": {"partial_rotary_factor": 0.25},
    "glm4": {"partial_rotary_factor": 0.5},
    "glm4moe": {"partial_rotary_factor": 0.5},
}
"""What transformers assumes where a config.json is silent."""

GEMMA3_TEXT_TOKENS: Final = 262144
"""The rows that the converter keeps of Gemma 3's embedding; the further ones are for images."""

_FLOAT_TYPES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

Config = Mapping[str, Any]
_Part = Callable[[Config], dict[str, Value]]


def _table(config: Config, key: str) -> dict[str, Any]:
    """The object under `key`, empty where there is none; ValueError where it is something else."""
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} = {value!r}")
    return value


def _rope(config: Config) -> dict[str, Any]:
    """The rotary parameters, wherever this generation of config.json keeps them."""
    scaling = _table(config, "rope_parameters") or _table(config, "rope_scaling")
    return _table(scaling, "full_attention") or scaling


def _rope_metadata(config: Config) -> dict[str, Value]:
    rope = _rope(config)
    found: dict[str, Value] = {}
    base = rope.get("rope_theta", config.get("rope_theta"))
    if base is not None:
        found["rope.freq_base"] = base
    kind = rope.get("rope_type", rope.get("type"))
    if kind in ("linear", "yarn") and rope.get("factor"):
        found |= {"rope.scaling.type": kind, "rope.scaling.factor": rope["factor"]}
    if kind == "yarn":
        found["rope.scaling.original_context_length"] = rope["original_max_position_embeddings"]
    return found


def _rotary_width(config: Config) -> dict[str, Value]:
    """The part of a head that is rotated."""
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    partial = config.get("partial_rotary_factor", _rope(config).get("partial_rotary_factor", 1.0))
    return {"rope.dimension_count": int(head * partial)}


def _phi(config: Config) -> dict[str, Value]:
    trained, original = (
        config["max_position_embeddings"],
        config["original_max_position_embeddings"],
    )
    found = _rotary_width(config) | {
        "attention.sliding_window": config.get("sliding_window") or 0,
        "rope.scaling.original_context_length": original,
    }
    if trained > original:  # LongRoPE's length correction
        found["rope.scaling.attn_factor"] = sqrt(1 + log(trained / original) / log(original))
    return found


def _delta_net(config: Config) -> dict[str, Value]:
    return _rotary_width(config) | {
        "full_attention_interval": config.get("full_attention_interval", 4),
        "ssm.conv_kernel": config["linear_conv_kernel_dim"],
        "ssm.state_size": config["linear_key_head_dim"],
        "ssm.group_count": config["linear_num_key_heads"],
        "ssm.time_step_rank": config["linear_num_value_heads"],
        "ssm.inner_size": config["linear_value_head_dim"] * config["linear_num_value_heads"],
    }


def _rotated_delta_net(config: Config) -> dict[str, Value]:
    sections = _rope(config).get("mrope_section") or (
        11,
        11,
        10,
    )  # transformers' default; llama.cpp wants the key
    return _delta_net(config) | {"rope.dimension_sections": (*sections, 0)[:4]}


def _latent(config: Config) -> dict[str, Value]:
    rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
    sigmoid = (
        config.get(
            "scoring_func", "sigmoid" if config["model_type"] != "deepseek_v2" else "softmax"
        )
        == "sigmoid"
    )
    found: dict[str, Value] = {
        "attention.head_count_kv": 1,
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + rope,
        "attention.value_length": rank,
        "attention.key_length_mla": config["qk_nope_head_dim"] + rope,
        "attention.value_length_mla": config["v_head_dim"],
        "rope.dimension_count": rope,
        "expert_gating_func": 2 if sigmoid else 1,
        "expert_weights_norm": bool(config.get("norm_topk_prob")),
    }
    if config.get("q_lora_rank"):
        found["attention.q_lora_rank"] = config["q_lora_rank"]
    if mscale := _rope(config).get("mscale_all_dim"):
        found["rope.scaling.yarn_log_multiplier"] = 0.1 * mscale
    return found


def _glm_moe(config: Config) -> dict[str, Value]:
    n_next = config.get("num_nextn_predict_layers", 0)
    return _rotary_width(config) | {
        "block_count": config["num_hidden_layers"] + n_next,
        "nextn_predict_layers": n_next,
        "expert_gating_func": 2,
        "expert_weights_norm": bool(config.get("norm_topk_prob")),
    }


def _granite(config: Config) -> dict[str, Value]:
    n_head_kv, kinds = config["num_key_value_heads"], config["layer_types"]
    found: dict[str, Value] = {
        "attention.head_count_kv": tuple(n_head_kv if kind == "attention" else 0 for kind in kinds),
        "attention.scale": config["attention_multiplier"],
        "embedding_scale": config["embedding_multiplier"],
        "residual_scale": config["residual_multiplier"],
        "logit_scale": config["logits_scaling"],
        "rope.dimension_count": config["hidden_size"] // config["num_attention_heads"],
        "rope.scaling.finetuned": config.get("position_embedding_type") == "rope",
        "ssm.conv_kernel": config["mamba_d_conv"],
        "ssm.state_size": config["mamba_d_state"],
        "ssm.group_count": config["mamba_n_groups"],
        "ssm.time_step_rank": config["mamba_n_heads"],
        "ssm.inner_size": config["mamba_n_heads"] * config["mamba_d_head"],
    }
    if not config.get("num_local_experts"):  # a dense one calls its feed-forward the shared expert
        found |= {
            "feed_forward_length": config["shared_intermediate_size"],
            "expert_shared_feed_forward_length": 0,
        }
    return found


def _gemma(config: Config) -> dict[str, Value]:
    return {"vocab_size": min(int(config["vocab_size"]), GEMMA3_TEXT_TOKENS)}


def _ernie(config: Config) -> dict[str, Value]:
    shared: int = (
        config["intermediate_size"] // config["num_key_value_heads"]
    )  # the converter's own rule
    return {
        "interleave_moe_layer_step": config["moe_layer_interval"],
        "expert_shared_feed_forward_length": shared,
    }


_PARTS: Final[dict[str, _Part]] = {
    "llama": _rotary_width,
    "phi3": _phi,
    "glm4": _rotary_width,
    "qwen3next": _delta_net,
    "qwen35": _rotated_delta_net,
    "qwen35moe": _rotated_delta_net,
    "deepseek2": _latent,
    "glm4moe": _glm_moe,
    "granitehybrid": _granite,
    "ernie4_5-moe": _ernie,
    "gpt-oss": lambda config: {"expert_feed_forward_length": config["intermediate_size"]},
    "gemma3": _gemma,
}
"""What each architecture translates beyond the keys that all have."""


def _text_config(config: Config, source: str) -> tuple[str, dict[str, Any]]:
    """The architecture and the language model's part of a config, with transformers' defaults."""
    text = {**config, **_table(config, "text_config")}
    arch = ARCHITECTURES.get(str(text.get("model_type")))
    if arch is None:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UnknownNameError(
            f"{source}: model_type {text.get('model_type')!r} is not known; known are {known}"
        )
    return arch, _DEFAULTS.get(arch, {}) | text


def _plausible(key: str, value: Value) -> Value:
    """`value` as GGUF stores it; ValueError where no model has it: what follows loops and
    multiplies."""
    if isinstance(value, tuple):
        for item in value:
            _plausible(key, item)
        return value
    if key in _FRACTIONS and isinstance(value, int | float) and isfinite(value):
        return float(value)
    least, most = int(key in _SHAPE), MAX_BLOCKS if key == "block_count" else MAX_WIDTH
    if key not in _WORDS and (type(value) is not int or not least <= value <= most):
        raise ValueError(f"{key} = {value!r}")
    return value


def _metadata(arch: str, config: Config) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key, names in _KEYS:
        value = next((config[name] for name in names if config.get(name) is not None), None)
        if value is not None:
            found[key] = value
    if arch in _SLIDING and config.get("sliding_window"):
        found["attention.sliding_window"] = config["sliding_window"]
    found |= _rope_metadata(config)
    if part := _PARTS.get(arch):
        found |= part(config)
    if missing := [key for key in _SHAPE if key not in found]:
        raise ValueError(missing[0])
    return {f"{arch}.{key}": _plausible(key, value) for key, value in found.items()}


def _extras(arch: str, config: Config) -> tuple[str, ...]:
    rope = _rope(config)
    there = {
        "tied_output": config.get("tie_word_embeddings", arch in _TIED_BY_DEFAULT),
        "rope_freqs": rope.get("rope_type", rope.get("type")) == "llama3",
        "rope_factors": rope.get("long_factor"),
    }
    return tuple(name for name, is_there in there.items() if is_there)


def spec_from_hf_config(
    config: Config, quantization: str | None = None, *, source: str = "config.json"
) -> ModelSpec:
    """The spec of the model that a parsed config.json describes.

    `quantization` is llama.cpp's, as for a catalogue entry. None is the model as published: in 4
    bits where its `quantization_config` says so (a note then says that llama.cpp does not run it),
    else in its own float type. UnknownNameError for a model_type without a translation,
    ModelFileError naming a key that is missing.
    """
    try:
        arch, text = _text_config(config, source)
        metadata, extras = _metadata(arch, text), _extras(arch, text)
        own_format = _table(text, "quantization_config")
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ModelFileError(
            f"{source}: {error} is missing or malformed; is this a whole config.json?"
        ) from None
    name = str(config.get("_name_or_path") or Path(source).parent.name or arch)
    stored = _FLOAT_TYPES.get(str(text.get("dtype", text.get("torch_dtype"))), "BF16")
    method = own_format.get("quant_method")
    kept = {"_exps": "MXFP4"} if method == "mxfp4" else {}
    packed = None if quantization else packed_format(own_format, source)
    notes = (
        ()
        if quantization or packed or not method or kept
        else (f"quantization by {method!r} is not counted",)
    )
    spec = build_model(
        name,
        arch,
        metadata,
        quantization or stored,
        source=source,
        extras=extras,
        kept_types=kept,
        notes=notes,
    )
    return as_stored_in_4_bits(spec, packed, stored) if packed else spec


def read_hf_config(path: Path | str, quantization: str | None = None) -> ModelSpec:
    """The spec of the config.json at `path`; as `spec_from_hf_config`, ModelFileError where it
    cannot be read."""
    path = Path(path)
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ModelFileError(f"{path} is larger than any config.json; give the model's own")
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); check the path") from None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is no JSON ({error}); download it again") from None
    if not isinstance(config, dict):
        raise ModelFileError(f"{path} holds no JSON object; is it a model's config.json?")
    return spec_from_hf_config(config, quantization, source=str(path))
