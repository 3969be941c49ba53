"""Encoders, which see an input at once and make embeddings or scores: BERT and its followers.

None keeps a KV cache and none makes logits; EmbeddingGemma alone loads an output head.
"""

from collections.abc import Callable, Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.families.gemma import GEMMA_3_DEFAULTS
from oomph.architectures.family import Family, GraphRules, HuggingFace, Rope, Tensors, Windows
from oomph.architectures.hf_keys import Config
from oomph.architectures.spec import TOKEN_TYPES, ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.config import POOLINGS
from oomph.gguf.header import Value

Outside = Callable[[ModelSpec], Iterator[Tensor]]

_NO_FACTORS: Final = Rope(factors="none")


def _down_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield "ffn_down.bias", (model.n_embd,)


def _ungated_experts(model: ModelSpec, il: int) -> Iterator[Tensor]:
    n_ff, n_expert = parts.expert_width(model), model.n_expert
    yield "ffn_gate_inp.weight", (model.n_embd, n_expert)
    yield "ffn_up_exps.weight", (model.n_embd, n_ff, n_expert)
    yield "ffn_down_exps.weight", (n_ff, model.n_embd, n_expert)


def _norm_past_the_first(model: ModelSpec, il: int) -> Iterator[Tensor]:
    if il:
        yield "attn_norm.weight", (model.n_embd,)


def _token_types(model: ModelSpec) -> Iterator[Tensor]:
    count = model.metadata.get(TOKEN_TYPES, 1)
    yield "token_types.weight", (model.n_embd, int(count) if isinstance(count, int) else 1)


def _embedding_norm(model: ModelSpec) -> Iterator[Tensor]:
    yield "token_embd_norm.weight", (model.n_embd,)


def _embedding_norm_bias(model: ModelSpec) -> Iterator[Tensor]:
    yield "token_embd_norm.bias", (model.n_embd,)


def _classifier(model: ModelSpec) -> Iterator[Tensor]:
    yield "cls.weight", (model.n_embd, model.n_embd)


def _one_score(model: ModelSpec) -> Iterator[Tensor]:
    yield "cls.weight", (model.n_embd, 1)


def _classifier_bias(model: ModelSpec) -> Iterator[Tensor]:
    yield "cls.bias", (model.n_embd,)


def _classifier_norm(model: ModelSpec) -> Iterator[Tensor]:
    yield "cls.norm.weight", (model.n_embd,)


def _dense(model: ModelSpec) -> Iterator[Tensor]:
    yield "dense_2.weight", (model.n_embd, model.integer("dense_2_feat_out"))
    yield "dense_3.weight", (model.integer("dense_3_feat_in"), model.n_embd)


def _together(*of: Outside) -> Outside:
    def part(model: ModelSpec) -> Iterator[Tensor]:
        for each in of:
            yield from each(model)

    return part


def _of_bert(config: Config) -> dict[str, Value]:
    """BERT's keys; RoBERTa's positions begin past its padding (conversion/bert.py)."""
    padding = config.get("pad_token_id")
    skipped = 0 if padding is None or config.get("model_type") == "bert" else 1 + int(padding)
    return {
        "context_length": int(config["max_position_embeddings"]) - skipped,
        "attention.layer_norm_epsilon": config.get("layer_norm_eps", 1e-12),
        "attention.causal": False,
        TOKEN_TYPES: config.get("type_vocab_size", 1),
    }


def _of_jina_3(config: Config) -> dict[str, Value]:
    return _of_bert(config) | {"rope.freq_base": config.get("rotary_emb_base", 1e4)}


def _of_neo_bert(config: Config) -> dict[str, Value]:
    return {
        "feed_forward_length": int(2 * config["intermediate_size"] / 3),
        "attention.layer_norm_rms_epsilon": config.get("norm_eps", 1e-6),
        "attention.causal": False,
        "pooling_type": POOLINGS["cls"],
        "rope.freq_base": 1e4,
        TOKEN_TYPES: config.get("type_vocab_size", 1),
    }


def _has_biases_for_distance(config: Config) -> bool:
    return config.get("position_embedding_type") == "alibi"


_TRAINED: Final = {8192: 2048, 2048: 512}
"""The tokens that Nomic's models were trained for, by those that their configs say."""


def _of_nomic(config: Config) -> dict[str, Value]:
    found: dict[str, Value] = {
        "context_length": _TRAINED[config["n_positions"]],
        "block_count": config["n_layer"],
        "embedding_length": config["n_embd"],
        "feed_forward_length": config["n_inner"],
        "attention.head_count": config["n_head"],
        "attention.layer_norm_epsilon": config["layer_norm_epsilon"],
        "attention.causal": False,
        "rope.freq_base": config["rotary_emb_base"],
        TOKEN_TYPES: config.get("type_vocab_size", 1),
    }
    if _is_nomic_moe(config):
        found |= {
            "moe_every_n_layers": config["moe_every_n_layers"],
            "expert_used_count": config["moe_top_k"],
        }
    return found


def _is_nomic_moe(config: Config) -> bool:
    return bool(config.get("moe_every_n_layers"))


def _of_modern_bert(config: Config) -> dict[str, Value]:
    found: dict[str, Value] = {
        "attention.layer_norm_epsilon": config.get("norm_eps", 1e-5),
        "attention.sliding_window": config["local_attention"],
        "attention.causal": False,
        "rope.freq_base": config.get("global_rope_theta", 1.6e5),
        "rope.freq_base_swa": config.get("local_rope_theta", 1e4),
    }
    if period := config.get("global_attn_every_n_layers"):
        found["attention.sliding_window_pattern"] = period
    if pooling := config.get("classifier_pooling"):
        found["classifier.pooling_type"] = POOLINGS[pooling]
    return found


def _of_euro_bert(config: Config) -> dict[str, Value]:
    return {"attention.causal": False}


def _looks_both_ways(config: Config) -> bool:
    return bool(config.get("use_bidirectional_attention"))


_AFTER: Final = (parts.layer_norm("attn_output_norm", "layer_output_norm"),)
_BIASED: Final = (*parts.BIASED_ATTENTION, parts.output_bias)
_TYPES_AND_NORM: Final = (_token_types, _embedding_norm, _embedding_norm_bias)
_NORMED_AFTER: Final = GraphRules(
    layer="normed_after", norm="layer", qk_norm="rows", expert_weights_norm=False
)

FAMILIES: Final = (
    Family(
        name="bert",
        tensors=Tensors(
            every=_AFTER,
            attention=_BIASED,
            dense=parts.BIASED_UNGATED,
            outside=(*_TYPES_AND_NORM, parts.position_table),
            heads={
                "classifier": _together(_classifier, _classifier_bias),
                "score": _together(parts.score, parts.score_bias),
            },
        ),
        rope=Rope(layers="learned"),
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(
            model_types=("bert", "camembert", "roberta", "xlm-roberta"),
            applies=lambda config: (
                not (_has_biases_for_distance(config) or config.get("lora_adaptations"))
            ),
            translate=_of_bert,
        ),
    ),
    Family(
        name="nomic-bert",
        tensors=Tensors(
            every=_AFTER, attention=(parts.fused_query_key_value,), outside=_TYPES_AND_NORM
        ),
        rope=_NO_FACTORS,
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(
            model_types=("nomic_bert",),
            applies=lambda config: not _is_nomic_moe(config),
            translate=_of_nomic,
        ),
    ),
    Family(
        name="nomic-bert-moe",
        tensors=Tensors(
            every=_AFTER,
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=parts.BIASED_UNGATED,
            experts=(_ungated_experts,),
            outside=_TYPES_AND_NORM,
        ),
        rope=_NO_FACTORS,
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(
            model_types=("nomic_bert",), applies=_is_nomic_moe, translate=_of_nomic
        ),
    ),
    Family(
        name="jina-bert-v2",
        tensors=Tensors(
            every=_AFTER,
            attention=_BIASED,
            dense=(parts.fused_gated, _down_bias),
            outside=_TYPES_AND_NORM,
            heads={"classifier": _one_score},
        ),
        rope=Rope(layers="none"),
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(
            model_types=("bert",), applies=_has_biases_for_distance, translate=_of_bert
        ),
    ),
    Family(
        name="jina-bert-v3",
        tensors=Tensors(
            every=_AFTER,
            attention=parts.FUSED_BIASED_ATTENTION,
            dense=parts.BIASED_UNGATED,
            outside=_TYPES_AND_NORM,
        ),
        rope=_NO_FACTORS,
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(
            model_types=("xlm-roberta",),
            applies=lambda config: bool(config.get("lora_adaptations")),
            translate=_of_jina_3,
        ),
    ),
    Family(
        name="modern-bert",
        tensors=Tensors(
            every=(parts.norm("ffn_norm"), _norm_past_the_first),
            attention=(parts.fused_query_key_value,),
            dense=(parts.fused_gated,),
            outside=(_embedding_norm,),
            heads={
                "classifier": _together(_classifier, _classifier_norm),
                "score": _together(parts.score, parts.score_bias),
            },
        ),
        windows=Windows(period=3, dense_first=True),
        rope=_NO_FACTORS,
        graph=GraphRules(norm="layer", score_activation="gelu", scores_mean=True),
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(model_types=("modernbert",), translate=_of_modern_bert),
    ),
    Family(
        name="neo-bert",
        tensors=Tensors(attention=(parts.fused_query_key_value,), dense=(parts.fused_gated,)),
        rope=_NO_FACTORS,
        output_norm="enc.output_norm",
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(model_types=("neobert",), translate=_of_neo_bert),
    ),
    Family(
        name="eurobert",
        tensors=Tensors(),
        rope=_NO_FACTORS,
        has_cache=False,
        head="none",
        hugging_face=HuggingFace(model_types=("eurobert",), translate=_of_euro_bert),
    ),
    Family(
        name="gemma-embedding",
        tensors=Tensors(
            every=parts.SANDWICH_NORMS,
            attention=parts.NORMED_ATTENTION,
            heads={"dense": _dense},
        ),
        windows=Windows(period=6),
        rope=_NO_FACTORS,
        graph=GraphRules(scales_q=True, scales_embedding=True, scales_tokens_alone=True),
        has_cache=False,
        head="idle",
        hugging_face=HuggingFace(
            model_types=("gemma3_text",), applies=_looks_both_ways, defaults=GEMMA_3_DEFAULTS
        ),
    ),
)
