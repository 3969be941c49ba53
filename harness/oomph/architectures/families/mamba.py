"""State-space models: Mamba, Mamba-2, and AI21's Jamba with attention between."""

from collections.abc import Iterator
from typing import Any, Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Recurrence,
    Rope,
    Tensors,
)
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _scan_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms of what the scan is steered by."""
    yield "ssm_dt_norm.weight", (model.integer("ssm.time_step_rank"),)
    for which in "bc":
        yield f"ssm_{which}_norm.weight", (model.integer("ssm.state_size"),)


_ENDLESS: Final = 1 << 20
"""Tokens that the converter says of a model without positions."""


def _first(config: Config, *names: str) -> Any:
    """What the first of the names says that the config has."""
    return next((config[name] for name in names if config.get(name) is not None), None)


def _of_state_space(config: Config, padding: int) -> dict[str, Value]:
    """What the first Mamba and Mamba-2 have in common; `padding` is that of the vocabulary."""
    width, unit = _first(config, "hidden_size", "d_model"), config.get("pad_vocab_size_multiple")
    unit = padding if unit is None else unit
    return {
        "vocab_size": -(-config["vocab_size"] // unit) * unit,
        "context_length": _ENDLESS,
        "embedding_length": width,
        "feed_forward_length": 0,
        "attention.head_count": 0,
        "attention.layer_norm_rms_epsilon": _first(config, "layer_norm_epsilon", "rms_norm_eps")
        or 1e-5,
        "ssm.conv_kernel": _first(config, "conv_kernel", "d_conv") or 4,
        "ssm.inner_size": _first(config, "intermediate_size", "d_inner") or 2 * width,
    }


def _translate(config: Config) -> dict[str, Value]:
    found, width = _of_state_space(config, 8), _first(config, "hidden_size", "d_model")
    return found | {
        "ssm.state_size": _first(config, "state_size", "d_state") or 16,
        "ssm.time_step_rank": _first(config, "time_step_rank", "dt_rank") or -(width // -16),
        "ssm.dt_b_c_rms": config.get("model_type") == "falcon_mamba",
    }


def _translate_2(config: Config) -> dict[str, Value]:
    found, width = _of_state_space(config, 16), _first(config, "hidden_size", "d_model")
    inner = _first(config, "intermediate_size", "d_inner") or (config.get("expand") or 2) * width
    return found | {
        "ssm.inner_size": inner,
        "ssm.state_size": _first(config, "state_size", "d_state") or 128,
        "ssm.time_step_rank": inner // (_first(config, "mamba_d_head", "head_dim") or 64),
        "ssm.group_count": config.get("n_groups") or 1,
    }


def _translate_jamba(config: Config) -> dict[str, Value]:
    width, n_head_kv = config["hidden_size"], config["num_key_value_heads"]
    first, period = config["attn_layer_offset"], config["attn_layer_period"]
    layers = range(config["num_hidden_layers"])
    step, last = config["expert_layer_period"], config["expert_layer_offset"] + 1
    if step != last:
        raise ValueError(f"expert_layer_offset = {last - 1!r}")
    return {
        "interleave_moe_layer_step": step,  # files have no key: their tensors tell
        "attention.head_count_kv": tuple(
            n_head_kv if il >= first and (il - first) % period == 0 else 0 for il in layers
        ),
        "ssm.conv_kernel": config.get("mamba_d_conv") or 4,
        "ssm.inner_size": config["mamba_expand"] * width,
        "ssm.state_size": config.get("mamba_d_state") or 16,
        "ssm.time_step_rank": config.get("mamba_dt_rank") or -(width // -16),
    }


_TIED: Final = {"tie_word_embeddings": True}

FAMILIES: Final = (
    Family(
        name="mamba",
        tensors=Tensors(every=(parts.norm("attn_norm"),), recurrent=(parts.mamba,)),
        recurrence=Recurrence(layers="all", part="mamba"),
        rope=Rope(layers="none"),
        graph=GraphRules(layer="single"),
        hugging_face=HuggingFace(
            model_types=("mamba", "falcon_mamba", "MambaForCausalLM", "MambaLMHeadModel"),
            translate=_translate,
            defaults=_TIED,
        ),
    ),
    Family(
        name="mamba2",
        tensors=Tensors(every=(parts.norm("attn_norm"),), recurrent=(parts.mamba2,)),
        recurrence=Recurrence(layers="all", part="mamba2"),
        rope=Rope(layers="none"),
        graph=GraphRules(layer="single"),
        hugging_face=HuggingFace(
            model_types=("mamba2", "Mamba2ForCausalLM"), translate=_translate_2, defaults=_TIED
        ),
    ),
    Family(
        name="jamba",
        tensors=Tensors(recurrent=(parts.mamba, _scan_norms)),
        recurrence=Recurrence(layers="no_kv_heads", part="mamba"),
        rope=Rope(layers="none"),
        graph=GraphRules(expert_weights_norm=False, mixing_first=False, feed_forward_first=False),
        hugging_face=HuggingFace(model_types=("jamba",), translate=_translate_jamba),
    ),
)
