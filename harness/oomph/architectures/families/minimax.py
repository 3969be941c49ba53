"""MiniMax: Text-01 with lightning attention, M2, and M3, whose attention chooses blocks."""

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
)
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    return {
        "expert_feed_forward_length": config["intermediate_size"],
        "rope.dimension_count": config["rotary_dim"],
    }


def _translate_blocks(config: Config) -> dict[str, Value]:
    sparse, width = config["sparse_attention_config"], config["intermediate_size"]
    sparse_from = next((il for il, each in enumerate(config["moe_layer_freq"]) if each), None)
    return _translate(config) | {
        "attention.indexer.block_size": sparse["sparse_block_size"],
        "attention.indexer.head_count": sparse["sparse_num_index_heads"],
        "attention.indexer.key_length": sparse["sparse_index_dim"],
        "attention.indexer.local_blocks": sparse["sparse_local_block"],
        "attention.indexer.top_k": sparse["sparse_topk_blocks"],
        "expert_weights_norm": True,
        "feed_forward_length": config.get("dense_intermediate_size", width),
        "leading_dense_block_count": config["num_hidden_layers"]
        if sparse_from is None
        else sparse_from,
    }


def _translate_lightning(config: Config) -> dict[str, Value]:
    return {
        "residual_scale": config["layernorm_full_attention_alpha"],
        "rope.dimension_count": config["rotary_dim"],
    }


def _lightning(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Lightning attention: q, k and v of as many heads each, a norm and a gate on the result."""
    inner = parts.heads(model, il)[0] * parts.head_size(model)[0]
    yield "attn_norm_2.weight", (inner,)
    yield "attn_qkv.weight", (model.n_embd, 3 * inner)
    yield "attn_gate.weight", (model.n_embd, inner)
    yield "attn_output.weight", (inner, model.n_embd)


FAMILIES: Final = (
    Family(
        name="minimax-01",
        tensors=Tensors(recurrent=(_lightning,), experts=(parts.dense_experts,)),
        recurrence=Recurrence(layers="interval", interval=8, part="lightning", reserves_one=True),
        rope=Rope(factors="none"),
        graph=GraphRules(layer="normed_residual", nodes_per_token=40),
        hugging_face=HuggingFace(
            model_types=(
                "minimax_text_01",
                "minimax_m1",
                "MiniMaxText01ForCausalLM",
                "MiniMaxM1ForCausalLM",
            ),
            translate=_translate_lightning,
        ),
        required=("residual_scale",),
    ),
    Family(
        name="minimax-m2",
        tensors=Tensors(
            attention=(parts.query_key_value, parts.full_width_norm),
            experts=(parts.experts, parts.selection_bias),
        ),
        graph=GraphRules(qk_norm="rows", expert_gating="metadata"),
        hugging_face=HuggingFace(
            model_types=("minimax_m2", "MiniMaxM2ForCausalLM"), translate=_translate
        ),
    ),
    Family(
        name="minimax-m3",
        tensors=Tensors(
            attention=parts.NORMED_ATTENTION,
            indexer=(parts.block_indexer,),
            experts=parts.BALANCED_EXPERTS,
        ),
        rope=Rope(factors="none"),
        graph=GraphRules(
            attention="position_blocks",
            indexers="past_dense",
            expert_gating="metadata",
            expert_weights_norm=None,
            nodes_per_token=40,
        ),
        hugging_face=HuggingFace(
            model_types=(
                "minimax_m3",
                "MiniMaxM3SparseForCausalLM",
                "MiniMaxM3SparseForConditionalGeneration",
            ),
            translate=_translate_blocks,
        ),
        required=(
            "expert_shared_count",
            "expert_gating_func",
            *(f"attention.indexer.{key}" for key in ("head_count", "key_length", "top_k")),
            *(f"attention.indexer.{key}" for key in ("block_size", "local_blocks")),
        ),
    ),
)
