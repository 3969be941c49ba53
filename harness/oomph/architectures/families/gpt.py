"""GPT-2 and what is built as it: GPT-NeoX (Pythia), Jais, CodeShell."""

from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors
from oomph.architectures.hf_keys import Config, rotary_width
from oomph.gguf.header import Value

NORMS: Final = (parts.layer_norm("attn_norm", "ffn_norm"),)


def of_gpt2(config: Config) -> dict[str, Value]:
    """GPT-2's own keys, by which its followers go too."""
    return {
        "context_length": config.get("n_ctx") or config["n_positions"],
        "block_count": config["n_layer"],
        "embedding_length": config["n_embd"],
        "feed_forward_length": config.get("n_inner") or 4 * config["n_embd"],
        "attention.head_count": config["n_head"],
        "attention.layer_norm_epsilon": config["layer_norm_epsilon"],
    }


def _of_neox(config: Config) -> dict[str, Value]:
    head = config["hidden_size"] // config["num_attention_heads"]
    return {
        "rope.dimension_count": int(config["rotary_pct"] * head),
        "attention.layer_norm_epsilon": config["layer_norm_eps"],
        "use_parallel_residual": bool(config.get("use_parallel_residual", True)),
    }


def _of_jais(config: Config) -> dict[str, Value]:
    return of_gpt2(config) | {"attention.max_alibi_bias": 8.0}


def _of_codeshell(config: Config) -> dict[str, Value]:
    return of_gpt2(config) | {
        "attention.head_count_kv": config["num_query_groups"],
        "feed_forward_length": 4 * config["n_embd"],
        "rope.freq_base": 1e4,
    }


FAMILIES: Final = (
    Family(
        name="gpt2",
        tensors=Tensors(
            every=NORMS,
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=parts.BIASED_UNGATED,
            outside=(parts.output_norm_bias, parts.position_table),
        ),
        rope=Rope(layers="learned"),
        graph=GraphRules(norm="layer", table_first=False),
        hugging_face=HuggingFace(
            model_types=("gpt2",), translate=of_gpt2, defaults={"tie_word_embeddings": True}
        ),
    ),
    Family(
        name="gptneox",
        tensors=Tensors(
            every=NORMS,
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=parts.BIASED_UNGATED,
            outside=(parts.output_norm_bias,),
        ),
        rope=Rope(factors="none"),
        graph=GraphRules(layer="parallel_if_told", norm="layer"),
        required=("use_parallel_residual",),
        hugging_face=HuggingFace(model_types=("gpt_neox",), translate=_of_neox),
    ),
    Family(
        name="jais",
        tensors=Tensors(
            every=NORMS,
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=(parts.gated, parts.gated_bias),
            outside=(parts.output_norm_bias,),
        ),
        rope=Rope(layers="none"),
        graph=GraphRules(norm="layer"),
        hugging_face=HuggingFace(
            model_types=("jais",), translate=_of_jais, defaults={"tie_word_embeddings": True}
        ),
    ),
    Family(
        name="jais2",
        tensors=Tensors(
            every=NORMS,
            attention=(*parts.BIASED_ATTENTION, parts.output_bias),
            dense=parts.BIASED_UNGATED,
            outside=(parts.output_norm_bias,),
        ),
        rope=Rope(factors="none", is_whole=True),
        graph=GraphRules(norm="layer", activation="relu_sqr"),
        hugging_face=HuggingFace(model_types=("jais2",), translate=rotary_width),
    ),
    Family(
        name="codeshell",
        tensors=Tensors(
            every=NORMS,
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=parts.BIASED_UNGATED,
            outside=(parts.output_norm_bias,),
        ),
        rope=Rope(factors="none", is_whole=True),
        graph=GraphRules(norm="layer"),
        hugging_face=HuggingFace(
            model_types=("codeshell", "kclgpt", "CodeShellForCausalLM"), translate=_of_codeshell
        ),
    ),
)
