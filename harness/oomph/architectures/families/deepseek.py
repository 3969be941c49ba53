"""DeepSeek, and whose latent attention is DeepSeek's (Kimi-K2, GLM-4.7-Flash, Mistral 4)."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rope_table
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _latent_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
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


def _indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The small attention that chooses which cells latent attention looks at (V3.2)."""
    width = model.integer("attention.indexer.key_length")
    n_head = model.integer("attention.indexer.head_count")
    yield "indexer.k_norm.weight", (width,)
    yield "indexer.k_norm.bias", (width,)
    yield "indexer.proj.weight", (model.n_embd, n_head)
    yield "indexer.attn_k.weight", (model.n_embd, width)
    yield "indexer.attn_q_b.weight", (model.integer("attention.q_lora_rank"), n_head * width)


def _translate_latent(config: Config) -> dict[str, Value]:
    rank, rope = config["kv_lora_rank"], config["qk_rope_head_dim"]
    unsaid = "softmax" if config["model_type"] == "deepseek_v2" else "sigmoid"
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


FAMILIES: Final = (
    Family(
        name="deepseek",
        tensors=Tensors(experts=parts.SHARED_EXPERTS),
        graph=GraphRules(expert_weights_norm=False),
    ),
    Family(
        name="deepseek2-ocr",
        tensors=Tensors(experts=parts.SHARED_EXPERTS),
        rope=Rope(factors="none"),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
    ),
    Family(
        name="deepseek2",
        tensors=Tensors(attention=(_latent_attention,), experts=parts.BALANCED_EXPERTS),
        graph=GraphRules(
            temperature="metadata",
            expert_gating="metadata",
            expert_weights_norm=None,
            head_outputs_at="after_norm",
        ),
        hugging_face=HuggingFace(
            model_types=("deepseek_v2", "deepseek_v3", "glm4_moe_lite"),
            translate=_translate_latent,
        ),
    ),
    Family(
        name="mistral4",
        tensors=Tensors(
            attention=(_latent_attention,), experts=(parts.fused_experts(), parts.shared_expert)
        ),
        graph=GraphRules(
            temperature="metadata",
            expert_gating="metadata",
            expert_weights_norm=None,
            exact_down=True,
        ),
        hugging_face=HuggingFace(model_types=("mistral4",), translate=_translate_latent),
    ),
    Family(
        name="deepseek32",
        tensors=Tensors(attention=(_latent_attention, _indexer), experts=parts.BALANCED_EXPERTS),
        graph=GraphRules(
            expert_gating="metadata",
            expert_weights_norm=None,
            has_indexer=True,
            head_outputs_at="after_norm",
        ),
    ),
)
