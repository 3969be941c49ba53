"""DeepSeek, and whose latent attention is DeepSeek's (Kimi-K2, GLM-4.7-Flash, Mistral 4)."""

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
from oomph.architectures.hf_keys import Config, blocks_with_heads, rope_table, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def latent_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Multi-head latent attention: low-rank query and a compressed KV stream.

    Older files have full heads (no `key_length_mla`), and K and V out of one matrix.
    """
    n_head, n_embd = parts.heads(model, il)[0], model.n_embd
    rank, rope = model.integer("attention.kv_lora_rank"), model.integer("rope.dimension_count")
    full_k, full_v = parts.head_size(model)
    is_absorbed = model.integer("attention.key_length_mla", 0) > 0
    head_k = model.integer("attention.key_length_mla") if is_absorbed else full_k
    head_v = model.integer("attention.value_length_mla") if is_absorbed else full_v
    if rank_q := model.integer("attention.q_lora_rank", 0):
        yield "attn_q_a.weight", (n_embd, rank_q)
        yield "attn_q_a_norm.weight", (rank_q,)
        yield "attn_q_b.weight", (rank_q, n_head * head_k)
    else:
        yield "attn_q.weight", (n_embd, n_head * head_k)
    yield "attn_kv_a_mqa.weight", (n_embd, rank + rope)
    yield "attn_kv_a_norm.weight", (rank,)
    if is_absorbed:
        yield "attn_k_b.weight", (head_k - rope, rank, n_head)
        yield "attn_v_b.weight", (rank, head_v, n_head)
    else:
        yield "attn_kv_b.weight", (rank, n_head * (head_k - rope + head_v))
    yield "attn_output.weight", (n_head * head_v, n_embd)


def indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The small attention that chooses which cells latent attention looks at (V3.2)."""
    width = model.integer("attention.indexer.key_length")
    n_head = model.integer("attention.indexer.head_count")
    yield "indexer.k_norm.weight", (width,)
    yield "indexer.k_norm.bias", (width,)
    yield "indexer.proj.weight", (model.n_embd, n_head)
    yield "indexer.attn_k.weight", (model.n_embd, width)
    yield "indexer.attn_q_b.weight", (model.integer("attention.q_lora_rank"), n_head * width)


def translate_latent(config: Config) -> dict[str, Value]:
    """The keys of latent attention and of the experts beside it."""
    rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
    unsaid = "softmax" if config.get("model_type") == "deepseek_v2" else "sigmoid"
    found: dict[str, Value] = {
        "attention.head_count_kv": 1,
        "attention.kv_lora_rank": rank,
        "attention.key_length": rank + rope,
        "attention.value_length": rank,
        "attention.key_length_mla": config["qk_nope_head_dim"] + rope,
        "attention.value_length_mla": config["v_head_dim"],
        "rope.dimension_count": rope,
        "expert_gating_func": 2 if config.get("scoring_func", unsaid) == "sigmoid" else 1,
        "expert_weights_norm": bool(config.get("norm_topk_prob")),
    }
    if config.get("q_lora_rank"):
        found["attention.q_lora_rank"] = config["q_lora_rank"]
    if mscale := rope_table(config).get("mscale_all_dim"):
        found["rope.scaling.yarn_log_multiplier"] = 0.1 * mscale
    return found


def indexer_keys(config: Config) -> dict[str, Value]:
    """The keys of the indexer."""
    return {
        "attention.indexer.head_count": config["index_n_heads"],
        "attention.indexer.key_length": config["index_head_dim"],
        "attention.indexer.top_k": config["index_topk"],
    }


def hyper_connection_keys(config: Config) -> dict[str, Value]:
    """The keys of residual streams that each layer mixes."""
    return {
        "hyper_connection.count": config["hc_mult"],
        "hyper_connection.sinkhorn_iterations": config["hc_sinkhorn_iters"],
        "hyper_connection.epsilon": config["hc_eps"],
    }


def _translate_indexed(config: Config) -> dict[str, Value]:
    return translate_latent(config) | blocks_with_heads(config) | indexer_keys(config)


def _translate_first(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {"expert_weights_scale": 1.0}


def _translate_ocr(config: Config) -> dict[str, Value]:
    return {
        "attention.layer_norm_rms_epsilon": config.get("rms_norm_eps", 1e-6),
        "expert_weights_norm": bool(config.get("norm_topk_prob")),
        "rope.freq_base": config.get("rope_theta", 10000.0),
    }


def _translate_compressed(config: Config) -> dict[str, Value]:
    limits = (float(config["swiglu_limit"]),) * config["num_hidden_layers"]
    found: dict[str, Value] = {
        "attention.compress_ratios": tuple(config["compress_ratios"]),
        "attention.compress_rope_freq_base": config["compress_rope_theta"],
        "attention.output_group_count": config["o_groups"],
        "attention.output_lora_rank": config["o_lora_rank"],
        "attention.q_lora_rank": config["q_lora_rank"],
        "attention.sliding_window": config["sliding_window"],
        "embedding_length_out": config["hidden_size"] * config["hc_mult"],
        "expert_weights_norm": bool(config["norm_topk_prob"]),
        "hash_layer_count": config["num_hash_layers"],
        "rope.dimension_count": config["qk_rope_head_dim"],
        "swiglu_clamp_exp": limits,
        "swiglu_clamp_shexp": limits,
    }
    return found | indexer_keys(config) | hyper_connection_keys(config)


_OVERLAPPING: Final = 4
_ALL_BUT_ONE_OF: Final = 1 << 10
"""More layers than a model has: each has a window."""


def _ratio(model: ModelSpec, il: int) -> int:
    return model.per_layer("attention.compress_ratios")[il]


def _compressed_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Low-rank q, one vector for K and V, an output by groups of heads, and what compresses old
    cells (V4)."""
    n_embd, n_head, (width, _) = model.n_embd, parts.heads(model, il)[0], parts.head_size(model)
    rank_q, rank = (model.integer(f"attention.{which}_lora_rank") for which in ("q", "output"))
    n_groups, ratio = model.integer("attention.output_group_count"), _ratio(model, il)
    yield "attn_sinks.weight", (n_head,)
    yield "attn_q_a.weight", (n_embd, rank_q)
    yield "attn_q_a_norm.weight", (rank_q,)
    yield "attn_q_b.weight", (rank_q, n_head * width)
    yield "attn_kv.weight", (n_embd, width)
    yield "attn_kv_a_norm.weight", (width,)
    yield "attn_output_a.weight", (n_head * width // n_groups, n_groups * rank)
    yield "attn_output_b.weight", (n_groups * rank, n_embd)
    if ratio:
        both = 2 * width if ratio == _OVERLAPPING else width
        yield "attn_compressor_kv.weight", (n_embd, both)
        yield "attn_compressor_gate.weight", (n_embd, both)
        yield "attn_compressor_ape.weight", (both, ratio)
        yield "attn_compressor_norm.weight", (width,)


def _compressed_indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The indexer of layers that compress by 4, whose keys are compressed too."""
    if _ratio(model, il) != _OVERLAPPING:
        return
    width, n_embd = model.integer("attention.indexer.key_length"), model.n_embd
    n_head = model.integer("attention.indexer.head_count")
    yield "indexer.proj.weight", (n_embd, n_head)
    yield "indexer.attn_q_b.weight", (model.integer("attention.q_lora_rank"), n_head * width)
    yield "indexer_compressor_kv.weight", (n_embd, 2 * width)
    yield "indexer_compressor_gate.weight", (n_embd, 2 * width)
    yield "indexer_compressor_ape.weight", (2 * width, _OVERLAPPING)
    yield "indexer_compressor_norm.weight", (width,)


def hyper_connections(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """How a layer's two parts read and write several residual streams."""
    n = model.integer("hyper_connection.count")
    for part in ("attn", "ffn"):
        yield f"hc_{part}_fn.weight", (n * model.n_embd, (2 + n) * n)
        yield f"hc_{part}_base.weight", ((2 + n) * n,)
        yield f"hc_{part}_scale.weight", (3,)


def hyper_head(model: ModelSpec) -> Iterator[Tensor]:
    """How the streams become one."""
    n = model.integer("hyper_connection.count")
    yield "output_hc_fn.weight", (n * model.n_embd, n)
    yield "output_hc_base.weight", (n,)
    yield "output_hc_scale.weight", (1,)


def _hashed_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Experts that a table chooses by the token in the first layers, a biased router elsewhere."""
    yield from parts.experts(model, il)
    yield from parts.shared_expert(model, il)
    if il < model.integer("hash_layer_count", 0):
        used, n_vocab = model.integer("expert_used_count"), model.integer("vocab_size")
        yield "ffn_gate_tid2eid.weight", (used, n_vocab)
    else:
        yield "exp_probs_b.bias", (model.n_expert,)


FAMILIES: Final = (
    Family(
        name="deepseek",
        tensors=Tensors(experts=parts.SHARED_EXPERTS),
        graph=GraphRules(expert_weights_norm=False),
        hugging_face=HuggingFace(model_types=("deepseek",), translate=_translate_first),
    ),
    Family(
        name="deepseek2-ocr",
        tensors=Tensors(experts=parts.SHARED_EXPERTS),
        rope=Rope(factors="none"),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
        hugging_face=HuggingFace(
            model_types=("deepseek_vl_v2", "DeepseekOCRForCausalLM", "DeepseekOCR2ForCausalLM"),
            applies=lambda config: not config.get("use_mla", True),
            translate=_translate_ocr,
        ),
    ),
    Family(
        name="deepseek2",
        tensors=Tensors(attention=(latent_attention,), experts=parts.BALANCED_EXPERTS),
        graph=GraphRules(
            temperature="metadata",
            expert_gating="metadata",
            expert_weights_norm=None,
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(
            model_types=("deepseek_v2", "deepseek_v3", "kimi_k2", "glm4_moe_lite"),
            translate=translate_latent,
        ),
    ),
    Family(
        name="mistral4",
        tensors=Tensors(
            attention=(latent_attention,), experts=(parts.fused_experts(), parts.shared_expert)
        ),
        graph=GraphRules(
            temperature="metadata",
            expert_gating="metadata",
            expert_weights_norm=None,
            exact_down=True,
        ),
        hugging_face=HuggingFace(model_types=("mistral4",), translate=translate_latent),
    ),
    Family(
        name="deepseek32",
        tensors=Tensors(
            attention=(latent_attention,), indexer=(indexer,), experts=parts.BALANCED_EXPERTS
        ),
        graph=GraphRules(
            expert_gating="metadata",
            expert_weights_norm=None,
            indexers="each",
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(model_types=("deepseek_v32",), translate=_translate_indexed),
    ),
    Family(
        name="deepseek4",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), hyper_connections),
            attention=(_compressed_attention,),
            indexer=(_compressed_indexer,),
            experts=(_hashed_experts,),
            outside=(hyper_head,),
        ),
        windows=Windows(period=_ALL_BUT_ONE_OF),
        recurrence=Recurrence(rolls_back=True),
        shares_streams=False,
        caches_idle=True,
        graph=GraphRules(
            inputs="apart",
            fuses_clamp=True,
            layer="hyper",
            attention="compressed",
            holds_streams=True,
            nodes_per_token=40,
            expert_gating="metadata",
            expert_weights_norm=None,
            indexers="overlapping",
        ),
        hugging_face=HuggingFace(model_types=("deepseek_v4",), translate=_translate_compressed),
    ),
)
