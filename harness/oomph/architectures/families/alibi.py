"""What knows positions by a bias on attention's scores alone (ALiBi): BLOOM, MPT, Refact."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _embedding_norm(model: ModelSpec) -> Iterator[Tensor]:
    yield "token_embd_norm.weight", (model.n_embd,)
    yield "token_embd_norm.bias", (model.n_embd,)


def _of_bloom(config: Config) -> dict[str, Value]:
    """BLOOM's keys, of which older configs have other names (conversion/bloom.py)."""
    width = config.get("hidden_size") or config["n_embed"]
    n_head = config.get("n_head") or config["num_attention_heads"]
    return {
        "context_length": config.get("seq_length") or width,
        "block_count": config.get("n_layer") or config["num_hidden_layers"],
        "embedding_length": width,
        "feed_forward_length": 4 * width,
        "attention.head_count": n_head,
        "attention.head_count_kv": n_head,
        "attention.layer_norm_epsilon": config["layer_norm_epsilon"],
    }


def _of_mpt(config: Config) -> dict[str, Value]:
    attention = config["attn_config"]
    found: dict[str, Value] = {
        "context_length": config["max_seq_len"],
        "block_count": config["n_layers"],
        "embedding_length": config["d_model"],
        "feed_forward_length": 4 * config["d_model"],
        "attention.head_count": config["n_heads"],
        "attention.layer_norm_epsilon": 1e-5,
    }
    if n_head_kv := attention.get("kv_n_heads"):
        found["attention.head_count_kv"] = n_head_kv
    if limit := attention.get("clip_qkv"):
        found["attention.clamp_kqv"] = limit
    return found


def _of_refact(config: Config) -> dict[str, Value]:
    """Gated, at two thirds of four times the width, in whole 256s (conversion/refact.py)."""
    return {
        "attention.head_count_kv": 1,
        "attention.layer_norm_rms_epsilon": config["layer_norm_epsilon"],
        "feed_forward_length": -(-(8 * config["n_embd"] // 3) // 256) * 256,
    }


FAMILIES: Final = (
    Family(
        name="bloom",
        tensors=Tensors(
            every=(parts.layer_norm("attn_norm", "ffn_norm"),),
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=parts.BIASED_UNGATED,
            outside=(_embedding_norm, parts.output_norm_bias),
        ),
        rope=Rope(layers="none"),
        graph=GraphRules(norm="layer"),
        hugging_face=HuggingFace(
            model_types=("bloom",), translate=_of_bloom, defaults={"tie_word_embeddings": True}
        ),
    ),
    Family(
        name="mpt",
        tensors=Tensors(attention=(parts.fused_query_key_value,), dense=(parts.ungated,)),
        rope=Rope(layers="none"),
        graph=GraphRules(norm="layer", clamps_projections=True, table_first=False),
        hugging_face=HuggingFace(
            model_types=("mpt",), translate=_of_mpt, defaults={"tie_word_embeddings": True}
        ),
    ),
    Family(
        name="refact",
        tensors=Tensors(),
        rope=Rope(layers="none"),
        hugging_face=HuggingFace(model_types=("gpt_refact",), translate=_of_refact),
    ),
)
