"""rednote's dots.llm1, and dots3-note with latent attention, windowed or sparse."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.deepseek import indexer, indexer_keys, translate_latent
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _translate(config: Config) -> dict[str, Value]:
    return {"expert_weights_norm": bool(config["norm_topk_prob"])}


def _translate_windows(config: Config) -> dict[str, Value]:
    """Without a head for multi-token prediction, of which the config says nothing."""
    windows = tuple(kind == "sliding_attention" for kind in config["layer_types"])
    if len(windows) < config["num_hidden_layers"]:
        raise ValueError(f"layer_types = {config['layer_types']!r}")
    rank, rope = config["swa_kv_lora_rank"], config["swa_qk_rope_head_dim"]
    n_head, n_head_swa = config["num_attention_heads"], config["swa_num_attention_heads"]
    return (
        translate_latent(config)
        | indexer_keys(config)
        | {
            "attention.head_count": tuple(n_head_swa if each else n_head for each in windows),
            "attention.indexer.types": tuple(int(not each) for each in windows),
            "attention.key_length_mla_swa": config["swa_qk_nope_head_dim"] + rope,
            "attention.key_length_swa": rank + rope,
            "attention.kv_lora_rank_swa": rank,
            "attention.sliding_window": config["sliding_window_size"],
            "attention.sliding_window_pattern": tuple(map(int, windows)),
            "attention.value_length_mla_swa": config["swa_v_head_dim"],
            "attention.value_length_swa": rank,
        }
    )


def _latent_attention(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Latent attention of other widths beside a window, as blocks for multi-token prediction have
    it; a norm of the rotated key, and a gate a head."""
    n_head, n_embd = parts.heads(model, il)[0], model.n_embd
    tag = "_swa" if _has_window(model, il) else ""
    rank_q, rank = (
        model.integer("attention.q_lora_rank"),
        model.integer(f"attention.kv_lora_rank{tag}"),
    )
    head_k, head_v = (
        model.integer(f"attention.{which}_length_mla{tag}") for which in ("key", "value")
    )
    rope = model.integer("rope.dimension_count")
    yield "attn_q_a.weight", (n_embd, rank_q)
    yield "attn_q_a_norm.weight", (rank_q,)
    yield "attn_q_b.weight", (rank_q, n_head * head_k)
    yield "attn_kv_a_mqa.weight", (n_embd, rank + rope)
    yield "attn_kv_a_norm.weight", (rank,)
    yield "attn_k_norm.weight", (rope,)
    yield "attn_k_b.weight", (head_k - rope, rank, n_head)
    yield "attn_v_b.weight", (rank, head_v, n_head)
    yield "attn_gate.weight", (n_embd, n_head)
    yield "attn_output.weight", (n_head * head_v, n_embd)


def _has_window(model: ModelSpec, il: int) -> bool:
    listed = model.metadata[f"{model.arch}.attention.sliding_window_pattern"]
    return not isinstance(listed, tuple) or il >= len(listed) or bool(listed[il])


def _indexer(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """None of a block for multi-token prediction."""
    if not _has_window(model, il):
        yield from indexer(model, il)


def _table(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """An embedding of such a block's own."""
    yield "nextn.embed_tokens.weight", (model.n_embd, model.integer("vocab_size"))


FAMILIES: Final = (
    Family(
        name="dots1",
        tensors=Tensors(attention=parts.NORMED_ATTENTION, experts=parts.BALANCED_EXPERTS),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None),
        hugging_face=HuggingFace(model_types=("dots1",), translate=_translate),
    ),
    Family(
        name="dots3note",
        tensors=Tensors(
            attention=(_latent_attention,),
            indexer=(_indexer,),
            experts=parts.BALANCED_EXPERTS,
            next_token=(parts.next_token_projection, _table),
            feeds_heads_densely=True,
        ),
        windows=Windows(period=4),
        rope=Rope(factors="none"),
        graph=GraphRules(expert_gating="metadata", expert_weights_norm=None, indexers="listed"),
        hugging_face=HuggingFace(
            model_types=(
                "dots3_note",
                "Dots3NoteForCausalLM",
                "Dots3NoteForConditionalGeneration",
                "Dots3NoteTextForCausalLM",
            ),
            translate=_translate_windows,
        ),
        required=(
            "expert_shared_count",
            "expert_gating_func",
            "leading_dense_block_count",
            "attention.sliding_window",
            "attention.sliding_window_pattern",
            "attention.indexer.types",
            "attention.q_lora_rank",
            *(f"attention.{key}" for key in ("kv_lora_rank", "kv_lora_rank_swa")),
            *(f"attention.{which}_length_mla" for which in ("key", "value")),
            *(f"attention.{which}_length_mla_swa" for which in ("key", "value")),
            *(f"attention.indexer.{key}" for key in ("head_count", "key_length", "top_k")),
        ),
    ),
)
