"""Decoders with experts of makers with one or two: DBRX, Grok, Mellum, Arctic, Maple."""

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
from oomph.architectures.hf_keys import Config, listed_windows, rotary_width, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value

_WHOLE: Final = Rope(factors="none", is_whole=True)


def _dense_beside(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated feed-forward as wide as the metadata say beside experts of their own width (Grok 2).

    Grok 1 has none: its experts are as wide as the metadata say."""
    if model.integer("expert_feed_forward_length", 0):
        yield from parts.gated(model, il)


def _square(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """A gated feed-forward as wide as the embedding (Arctic)."""
    for name in ("gate", "up", "down"):
        yield f"ffn_{name}.weight", (model.n_embd, model.n_embd)


def _of_mellum(config: Config) -> dict[str, Value]:
    return {} if config.get("use_sliding_window") is False else listed_windows(config)


def _of_dbrx(config: Config) -> dict[str, Value]:
    attention, experts = table(config, "attn_config"), table(config, "ffn_config")
    return {
        "context_length": config["max_seq_len"],
        "embedding_length": config["d_model"],
        "feed_forward_length": experts["ffn_hidden_size"],
        "expert_count": experts["moe_num_experts"],
        "expert_used_count": experts["moe_top_k"],
        "attention.clamp_kqv": attention["clip_qkv"],
        "attention.head_count_kv": attention["kv_n_heads"],
        "attention.layer_norm_epsilon": 1e-5,
        "rope.freq_base": attention["rope_theta"],
    }


def _of_grok(config: Config) -> dict[str, Value]:
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    found: dict[str, Value] = {
        "attention.output_scale": config.get("attn_output_multiplier", width**-0.5),
        "attn_logit_softcapping": config.get("attn_logit_softcapping", 30.0),
        "embedding_scale": config["embedding_multiplier_scale"],
        "logit_scale": config["output_multiplier_scale"],
    }
    if config.get("rope_type") in ("yarn", "original"):
        found |= {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": config["scaling_factor"],
            "rope.scaling.original_context_length": config["original_max_position_embeddings"],
            "rope.scaling.attn_factor": config["attn_factor"],
            "rope.scaling.yarn_beta_fast": config["beta_fast"],
            "rope.scaling.yarn_beta_slow": config["beta_slow"],
        }
    return found


def _of_arctic(config: Config) -> dict[str, Value]:
    return {"rope.dimension_count": config["hidden_size"] // config["num_attention_heads"]}


_LIMIT: Final = 7.0
"""At which Maple's experts are cut, which its config does not say."""


def _of_maple(config: Config) -> dict[str, Value]:
    limits = (_LIMIT,) * config["num_hidden_layers"]
    return rotary_width(config) | listed_windows(config) | {"swiglu_clamp_exp": limits}


FAMILIES: Final = (
    Family(
        name="mellum",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        windows=Windows(period=4),
        rope=_WHOLE,
        hugging_face=HuggingFace(model_types=("mellum",), translate=_of_mellum),
    ),
    Family(
        name="dbrx",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "attn_output_norm"),),
            attention=(parts.fused_query_key_value,),
        ),
        rope=_WHOLE,
        graph=GraphRules(norm="layer", clamps_projections=True),
        required=("attention.clamp_kqv",),
        hugging_face=HuggingFace(model_types=("dbrx",), translate=_of_dbrx),
    ),
    Family(
        name="grok",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "attn_output_norm", "ffn_norm", "post_ffw_norm"),),
            experts=(parts.experts, _dense_beside),
        ),
        rope=_WHOLE,
        graph=GraphRules(
            softcaps_scores=True,
            fuses_attention="never",
            scaled=("embedding_scale", "logit_scale"),
        ),
        hugging_face=HuggingFace(
            model_types=("grok-1", "git", "GrokForCausalLM", "Grok1ForCausalLM"),
            translate=_of_grok,
        ),
    ),
    Family(
        name="arctic",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm", "ffn_norm_exps"),),
            experts=(parts.experts, _square),
        ),
        rope=_WHOLE,
        graph=GraphRules(layer="beside_experts"),
        hugging_face=HuggingFace(model_types=("arctic",), translate=_of_arctic),
    ),
    Family(
        name="maple",
        tensors=Tensors(attention=parts.NORMED_ATTENTION),
        windows=Windows(period=4),
        rope=Rope(layers="windowed", factors="none"),
        graph=GraphRules(fuses_clamp=True),
        required=(
            "attention.sliding_window",
            "attention.sliding_window_pattern",
            "expert_feed_forward_length",
            "swiglu_clamp_exp",
        ),
        hugging_face=HuggingFace(model_types=("maple", "MapleForCausalLM"), translate=_of_maple),
    ),
)
