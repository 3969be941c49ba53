"""Alibaba's Qwen3-Next and Qwen3.5: gated delta nets between layers of gated attention."""

from collections.abc import Iterator
from dataclasses import replace
from math import isqrt
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import (
    Family,
    GraphRules,
    HuggingFace,
    PublishedYarn,
    Recurrence,
    Rope,
    Tensors,
)
from oomph.architectures.hf_keys import Config, four_sections, rope_table, rotary_width
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.gguf.header import Value


def _gated_query_key_value(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Split projections, with an output gate of the query's width inside attn_q."""
    for name, (n_in, n_out) in parts.query_key_value(model, il):
        yield name, (n_in, 2 * n_out if name == "attn_q.weight" else n_out)


def _gated_delta_net(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Linear attention by the gated delta rule, without its two small input projections."""
    inner, rank = model.integer("ssm.inner_size"), model.integer("ssm.time_step_rank")
    state = model.integer("ssm.state_size")
    conv = inner + 2 * model.integer("ssm.group_count") * state
    yield "attn_qkv.weight", (model.n_embd, conv)
    yield "attn_gate.weight", (model.n_embd, inner)
    yield "ssm_conv1d.weight", (model.integer("ssm.conv_kernel"), conv)
    yield "ssm_dt.bias", (rank,)
    yield "ssm_a", (rank,)
    yield "ssm_norm.weight", (state,)
    yield "ssm_out.weight", (inner, model.n_embd)


def _fused_beta_alpha(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The delta rule's beta and alpha from one projection (Qwen3-Next)."""
    yield "ssm_ba.weight", (model.n_embd, 2 * model.integer("ssm.time_step_rank"))


def _split_beta_alpha(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """The delta rule's beta and alpha from a projection each (Qwen3.5)."""
    yield "ssm_beta.weight", (model.n_embd, model.integer("ssm.time_step_rank"))
    yield "ssm_alpha.weight", (model.n_embd, model.integer("ssm.time_step_rank"))


def _translate(config: Config) -> dict[str, Value]:
    return rotary_width(config) | {
        "full_attention_interval": config.get("full_attention_interval", 4),
        "ssm.conv_kernel": config["linear_conv_kernel_dim"],
        "ssm.state_size": config["linear_key_head_dim"],
        "ssm.group_count": config["linear_num_key_heads"],
        "ssm.time_step_rank": config["linear_num_value_heads"],
        "ssm.inner_size": config["linear_value_head_dim"] * config["linear_num_value_heads"],
    }


def _translate_with_sections(config: Config) -> dict[str, Value]:
    # transformers' default; llama.cpp wants the key
    sections = rope_table(config).get("mrope_section") or (11, 11, 10)
    return _translate(config) | {"rope.dimension_sections": four_sections(sections)}


def _primes_above(number: int, count: int) -> list[int]:
    """The first `count` primes that are larger."""
    found: list[int] = []
    while len(found) < count:
        number += 1
        if all(number % divisor for divisor in range(2, isqrt(number) + 1)):
            found.append(number)
    return found


_MOST_NGRAM_HEADS: Final = 1 << 8
_MOST_NGRAM_ROWS: Final = 1 << 28


def _translate_next(config: Config) -> dict[str, Value]:
    ratio, kinds = config["indexer_compress_ratio"], config["layer_types"]
    found = _translate_with_sections(config) | {
        "attention.compress_ratios": tuple(
            ratio if kind == "full_attention" else 0 for kind in kinds
        ),
        "attention.indexer.head_count": config["indexer_n_heads"],
        "attention.indexer.key_length": config["indexer_head_dim"],
        "attention.indexer.top_k": config["indexer_budget"],
        "hyper_connection.count": config["hc_count"],
        "hyper_connection.low_rank": config["hc_lowrank"],
    }
    listed = config["ple_layer_ids"]  # counted from 1
    if not listed:
        return found
    per_size, size, rows = (
        config[key] for key in ("heads_per_ngram", "ngram_size", "ngram_vocab_size_base")
    )
    n_heads = per_size * (size - 1)
    if not (0 < n_heads <= _MOST_NGRAM_HEADS and 0 < rows <= _MOST_NGRAM_ROWS):
        raise ValueError(f"heads_per_ngram = {per_size!r}")
    sizes = _primes_above(rows, n_heads)  # the checkpoint has them; its makers chose them so
    return found | {
        "embedding_length_per_layer_input": config["ple_embed_dim"] // n_heads,
        "ple.conv_kernel": config["ple_conv_kernel_size"],
        "ple.head_offsets": tuple(sum(sizes[:n]) for n in range(n_heads)),
        "ple.head_vocab_sizes": tuple(sizes),
        "ple.heads_per_ngram": per_size,
        "ple.layers": tuple(il - 1 for il in listed),
        "ple.ngram_size": size,
    }


def _yarn(model: str) -> tuple[PublishedYarn, ...]:
    source = f"https://huggingface.co/Qwen/{model}#processing-ultra-long-texts"
    return (PublishedYarn(context_length=262144, original=262144, factor=4.0, source=source),)


def _hyper_connections(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """How a layer's two parts read and write several residual streams, by gates of low rank."""
    n, rank = model.integer("hyper_connection.count"), model.integer("hyper_connection.low_rank")
    width = n * model.n_embd
    for part in ("attn", "ffn"):
        yield f"hc_{part}_norm.weight", (width,)
        yield f"hc_{part}_down.weight", (width, rank)
        yield f"hc_{part}_up.weight", (rank, width)
        yield f"hc_{part}_inject.weight", (width, n)


def _hyper_head(model: ModelSpec) -> Iterator[Tensor]:
    """How the streams become one."""
    width = model.integer("hyper_connection.count") * model.n_embd
    rank = model.integer("hyper_connection.low_rank")
    yield "output_hc_norm.weight", (width,)
    yield "output_hc_down.weight", (width, rank)
    yield "output_hc_up.weight", (rank, width)


def _ngrams(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What a listed layer adds of the last tokens together."""
    listed = model.metadata.get(f"{model.arch}.ple.layers")
    if not isinstance(listed, tuple) or il not in listed:
        return
    width = model.integer("hyper_connection.count") * model.n_embd
    yield "ple_key.weight", (model.n_embd, width)
    yield "ple_value.weight", (model.n_embd, model.n_embd)
    for name in ("key", "query", "conv"):
        yield f"ple_norm_{name}.weight", (width,)
    yield "ple_conv1d.weight", (model.integer("ple.conv_kernel"), width)


def _ngram_table(model: ModelSpec) -> Iterator[Tensor]:
    """The embeddings of several tokens together, in ranges one after the other."""
    offsets, sizes = (
        model.metadata.get(f"{model.arch}.ple.head_{which}") for which in ("offsets", "vocab_sizes")
    )
    if isinstance(offsets, tuple) and isinstance(sizes, tuple):
        rows = max(int(at) + int(n) for at, n in zip(offsets, sizes, strict=True))
        yield (
            "per_layer_token_embd.weight",
            (
                model.integer("embedding_length_per_layer_input"),
                rows,
            ),
        )


_ATTENTION: Final = (_gated_query_key_value, parts.head_norm)
_EXPERTS: Final = (*parts.SHARED_EXPERTS, parts.shared_expert_gate)
_QWEN35_NET: Final = (_gated_delta_net, _split_beta_alpha)
_HEAD: Final = (parts.next_token_projection,)
_RECURRENCE: Final = Recurrence(layers="interval", part="delta_net")
_QWEN35_RECURRENCE: Final = replace(_RECURRENCE, rolls_back=True)
_GRAPH: Final = GraphRules(
    attention="gated", expands_norm=True, outputs_at="after_norm", head_outputs_at="after_norm"
)
_QUARTER_ROTATED: Final = {"partial_rotary_factor": 0.25}

FAMILIES: Final = (
    Family(
        name="qwen3next",
        tensors=Tensors(
            every=parts.POST_ATTENTION_NORM,
            attention=_ATTENTION,
            recurrent=(_gated_delta_net, _fused_beta_alpha),
            experts=_EXPERTS,
            next_token=_HEAD,
        ),
        recurrence=_RECURRENCE,
        graph=replace(_GRAPH, repeats_keys=True, head_outputs_at="last_layer"),
        yarn=_yarn("Qwen3-Next-80B-A3B-Instruct"),
        hugging_face=HuggingFace(
            model_types=("qwen3_next",), translate=_translate, defaults=_QUARTER_ROTATED
        ),
    ),
    Family(
        name="qwen35",
        tensors=Tensors(
            every=parts.POST_ATTENTION_NORM,
            attention=_ATTENTION,
            recurrent=_QWEN35_NET,
            next_token=_HEAD,
        ),
        recurrence=_QWEN35_RECURRENCE,
        rope=Rope(sections="always"),
        graph=_GRAPH,
        yarn=_yarn("Qwen3.5-9B"),
        hugging_face=HuggingFace(
            model_types=("qwen3_5_text",),
            translate=_translate_with_sections,
            defaults=_QUARTER_ROTATED,
        ),
    ),
    Family(
        name="qwen35moe",
        tensors=Tensors(
            every=parts.POST_ATTENTION_NORM,
            attention=_ATTENTION,
            recurrent=_QWEN35_NET,
            experts=_EXPERTS,
            next_token=_HEAD,
        ),
        recurrence=_QWEN35_RECURRENCE,
        rope=Rope(sections="always"),
        graph=_GRAPH,
        yarn=_yarn("Qwen3.5-35B-A3B"),
        hugging_face=HuggingFace(
            model_types=("qwen3_5_moe_text",),
            translate=_translate_with_sections,
            defaults=_QUARTER_ROTATED,
        ),
    ),
    Family(
        name="qwen4exp",
        tensors=Tensors(
            every=(_hyper_connections, _ngrams),
            attention=_ATTENTION,
            indexer=(parts.block_indexer,),
            recurrent=_QWEN35_NET,
            experts=_EXPERTS,
            outside=(_hyper_head, _ngram_table),
        ),
        output_norm="",
        recurrence=replace(_QWEN35_RECURRENCE, output_gate="SIGMOID", copies_states=True),
        rope=Rope(sections="always"),
        graph=GraphRules(
            layer="hyper_gated", attention="blocks", indexers="each", nodes_per_token=40
        ),
        hugging_face=HuggingFace(
            model_types=("qwen4_exp_text", "qwen4_exp"),
            translate=_translate_next,
            defaults=_QUARTER_ROTATED,
        ),
    ),
)
