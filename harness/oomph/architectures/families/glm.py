"""Z.ai's ChatGLM, GLM-4, GLM-4.5 and GLM-5; GLM-4.7-Flash is DeepSeek's architecture."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families import deepseek
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    Recurrence,
    Rope,
    Tensors,
)
from oomph.architectures.hf_keys import Config, blocks_with_heads, rope_table, rotary_width, table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _translate_moe(config: Config) -> dict[str, Value]:
    found = rotary_width(config) | blocks_with_heads(config)
    return found | {
        "expert_gating_func": 2,
        "expert_weights_norm": bool(config.get("norm_topk_prob")),
    }


def _listed_indexers(config: Config) -> dict[str, Value]:
    """Which layers have an indexer of their own, where they are listed."""
    kinds = config.get("indexer_types")
    if kinds is None:
        return {}
    if len(kinds) < config["num_hidden_layers"]:
        raise ValueError(f"indexer_types = {kinds!r}")
    return {"attention.indexer.types": tuple(int(kind == "full") for kind in kinds)}


def _translate_indexed(config: Config) -> dict[str, Value]:
    share = rope_table(config).get("partial_rotary_factor", 1.0)
    found = deepseek.translate_latent(config) | blocks_with_heads(config)
    found |= deepseek.indexer_keys(config) | _listed_indexers(config)
    return found | {"rope.dimension_count": int(config["qk_rope_head_dim"] * share)}


def _translate_next(config: Config) -> dict[str, Value]:
    linear, blocks = table(config, "linear_attn_config"), blocks_with_heads(config)
    n_more = config.get("num_nextn_predict_layers") or 0
    attends = (int(kind != "linear_attention") for kind in config["layer_types"])
    found = deepseek.translate_latent(config) | blocks | deepseek.indexer_keys(config)
    found |= deepseek.hyper_connection_keys(config) | _listed_indexers(config)
    found |= {
        "attention.head_count_kv": (*attends, *[1] * n_more),
        "attention.indexer.kpool": config["index_kpool"],
        "attention.layer_norm_epsilon": 1e-6,
        "kda.head_dim": linear["head_dim"],
        "ssm.conv_kernel": linear["short_conv_kernel_size"],
    }
    if linear.get("gate_lower_bound") is not None:
        found["kda.gate_lower_bound"] = linear["gate_lower_bound"]
    if config.get("swiglu_limit") is not None:
        limits = (float(config["swiglu_limit"]),) * (config["num_hidden_layers"] + n_more)
        found |= {"swiglu_clamp_exp": limits, "swiglu_clamp_shexp": limits}
    return found


def _of_chatglm(config: Config) -> dict[str, Value]:
    hidden, n_head = config["hidden_size"], config["num_attention_heads"]
    width = config.get("kv_channels") or hidden // n_head
    return {
        "vocab_size": config["padded_vocab_size"],
        "context_length": config["seq_length"],
        "block_count": config.get("num_layers") or config["num_hidden_layers"],
        "feed_forward_length": config.get("ffn_hidden_size") or 4 * hidden,
        "attention.head_count_kv": config.get("multi_query_group_num", n_head),
        "attention.layer_norm_rms_epsilon": config.get("layernorm_epsilon", 1e-5),
        "rope.dimension_count": int(width * config.get("partial_rotary_factor", 0.5)),
    }


def _pooling_indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The indexer of GLM-5.3-Flash, which pools its keys."""
    width = model.integer("attention.indexer.key_length")
    yield from deepseek.indexer(model, il)
    yield "indexer_compressor_gate.weight", (model.n_embd, width)
    yield "indexer_compressor_ape.weight", (width, model.integer("attention.indexer.kpool"))


def _rates(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield "ssm_a", (parts.heads(model, il)[0],)


def _hyper_connections(model: ModelSpec, il: int) -> Iterator[Tensor]:
    if il < model.n_layer - model.integer("nextn_predict_layers", 0):
        yield from deepseek.hyper_connections(model, il)


_HALF_ROTATED: Final = {"partial_rotary_factor": 0.5}

FAMILIES: Final = (
    Family(
        name="chatglm",
        tensors=Tensors(
            attention=(parts.fused_query_key_value, parts.fused_query_key_value_bias),
            dense=(parts.fused_gated,),
        ),
        rope=Rope(factors="none"),
        hugging_face=HuggingFace(model_types=("chatglm",), translate=_of_chatglm),
    ),
    Family(
        name="glm4",
        tensors=Tensors(every=parts.SANDWICH_NORMS, dense=(parts.fused_gated,)),
        rope=Rope(sections="listed"),
        hugging_face=HuggingFace(
            model_types=("glm4",), translate=rotary_width, defaults=_HALF_ROTATED
        ),
    ),
    Family(
        name="glm4moe",
        tensors=Tensors(
            every=parts.POST_ATTENTION_NORM,
            attention=parts.BIASED_ATTENTION,
            experts=parts.BALANCED_EXPERTS,
        ),
        rope=Rope(sections="listed"),
        graph=GraphRules(
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(
            model_types=("glm4_moe",), translate=_translate_moe, defaults=_HALF_ROTATED
        ),
    ),
    Family(
        name="glm-dsa",
        tensors=Tensors(
            attention=(deepseek.latent_attention,),
            indexer=(deepseek.indexer,),
            experts=parts.BALANCED_EXPERTS,
        ),
        graph=GraphRules(
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            indexers="listed_or_spaced",
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(model_types=("glm_moe_dsa",), translate=_translate_indexed),
    ),
    Family(
        name="glm5-next",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _hyper_connections),
            attention=(deepseek.latent_attention,),
            recurrent=(parts.kda, parts.kda_gates, _rates),
            indexer=(_pooling_indexer,),
            experts=parts.BALANCED_EXPERTS,
        ),
        recurrence=Recurrence(
            layers="no_kv_heads", part="kda", gate="metadata_negated", rolls_back=True
        ),
        rope=Rope(layers="none"),
        graph=GraphRules(
            fuses_clamp=True,
            layer="hyper",
            attention="pooled",
            expands_norm=True,
            expert_gating="metadata_or_sigmoid",
            expert_weights_norm=None,
            indexers="listed",
            nodes_per_token=160,
        ),
        hugging_face=HuggingFace(
            model_types=("glm5_next_text", "glm5_next"), translate=_translate_next
        ),
    ),
)
