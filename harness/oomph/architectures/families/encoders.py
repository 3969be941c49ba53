"""Encoders, which see a whole input at once and make embeddings or scores: BERT and what followed.

None keeps a KV cache and none makes logits; EmbeddingGemma alone loads an output head.
"""

from collections.abc import Callable, Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, GraphRules, Rope, Tensors, Windows
from oomph.architectures.spec import TOKEN_TYPES, ModelSpec
from oomph.architectures.tensor_parts import Part, Tensor

Outside = Callable[[ModelSpec], Iterator[Tensor]]

_NO_FACTORS: Final = Rope(factors="none")


def _norms(*names: str) -> Part:
    """Layer norms, each with a weight and a bias."""

    def part(model: ModelSpec, il: int) -> Iterator[Tensor]:
        for name in names:
            yield f"{name}.weight", (model.n_embd,)
            yield f"{name}.bias", (model.n_embd,)

    return part


def _fused_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    (n_head, n_head_kv), (head_k, head_v) = parts.heads(model, il), parts.head_size(model)
    yield "attn_qkv.bias", (n_head * head_k + n_head_kv * (head_k + head_v),)


def _ungated_bias(model: ModelSpec, il: int) -> Iterator[Tensor]:
    yield "ffn_up.bias", (model.per_layer("feed_forward_length")[il],)
    yield "ffn_down.bias", (model.n_embd,)


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


def _position_table(model: ModelSpec) -> Iterator[Tensor]:
    yield "position_embd.weight", (model.n_embd, model.n_ctx_train)


def _embedding_norm(model: ModelSpec) -> Iterator[Tensor]:
    yield "token_embd_norm.weight", (model.n_embd,)


def _embedding_norm_bias(model: ModelSpec) -> Iterator[Tensor]:
    yield "token_embd_norm.bias", (model.n_embd,)


def _classifier(model: ModelSpec) -> Iterator[Tensor]:
    yield "cls.weight", (model.n_embd, model.n_embd)


def _classifier_bias(model: ModelSpec) -> Iterator[Tensor]:
    yield "cls.bias", (model.n_embd,)


def _classifier_norm(model: ModelSpec) -> Iterator[Tensor]:
    yield "cls.norm.weight", (model.n_embd,)


def _together(*of: Outside) -> Outside:
    def part(model: ModelSpec) -> Iterator[Tensor]:
        for each in of:
            yield from each(model)

    return part


_AFTER: Final = (_norms("attn_output_norm", "layer_output_norm"),)
_BIASED: Final = (*parts.BIASED_ATTENTION, parts.output_bias)
_FUSED_BIASED: Final = (parts.fused_query_key_value, _fused_bias, parts.output_bias)
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
            dense=(parts.ungated, _ungated_bias),
            outside=(*_TYPES_AND_NORM, _position_table),
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
    ),
    Family(
        name="nomic-bert-moe",
        tensors=Tensors(
            every=_AFTER,
            attention=_FUSED_BIASED,
            dense=(parts.ungated, _ungated_bias),
            experts=(_ungated_experts,),
            outside=_TYPES_AND_NORM,
        ),
        rope=_NO_FACTORS,
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
    ),
    Family(
        name="jina-bert-v2",
        tensors=Tensors(
            every=_AFTER,
            attention=_BIASED,
            dense=(parts.fused_gated, _down_bias),
            outside=_TYPES_AND_NORM,
        ),
        rope=Rope(layers="none"),
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
    ),
    Family(
        name="jina-bert-v3",
        tensors=Tensors(
            every=_AFTER,
            attention=_FUSED_BIASED,
            dense=(parts.ungated, _ungated_bias),
            outside=_TYPES_AND_NORM,
        ),
        rope=_NO_FACTORS,
        graph=_NORMED_AFTER,
        output_norm="",
        has_cache=False,
        head="none",
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
        graph=GraphRules(norm="layer"),
        has_cache=False,
        head="none",
    ),
    Family(
        name="neo-bert",
        tensors=Tensors(attention=(parts.fused_query_key_value,), dense=(parts.fused_gated,)),
        rope=_NO_FACTORS,
        output_norm="enc.output_norm",
        has_cache=False,
        head="none",
    ),
    Family(
        name="eurobert",
        tensors=Tensors(),
        rope=_NO_FACTORS,
        has_cache=False,
        head="none",
    ),
    Family(
        name="gemma-embedding",
        tensors=Tensors(every=parts.SANDWICH_NORMS, attention=parts.NORMED_ATTENTION),
        windows=Windows(period=6),
        rope=_NO_FACTORS,
        graph=GraphRules(scales_q=True, scales_embedding=True),
        has_cache=False,
        head="idle",
    ),
)
