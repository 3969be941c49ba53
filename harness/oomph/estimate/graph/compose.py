"""Composes a model's graph from the parts of its layers.

Which part a layer has is read off its tensors first and the family's rules second; how the
parts are wired is one of `LAYERS`. The result is the graph that llama.cpp reserves, node by node.
"""

from collections.abc import Callable, Sequence
from typing import Final

from oomph.estimate.graph import (
    altup,
    attention,
    banked,
    blocks,
    compressed,
    feed_forward,
    hyper,
    hyper_gated,
    kda,
    latent,
    mamba,
    ngrams,
    per_layer,
    pooled,
    pooling,
    recurrent,
    rwkv,
)
from oomph.estimate.graph.builder import Builder, embed
from oomph.estimate.graph.tensor import Graph, Tensor

Part = Callable[[Builder, Tensor, int], Tensor]
Whole = Callable[[Builder, Tensor], Tensor]

RECURRENT: Final[dict[str, Part]] = {
    "mamba": mamba.mamba,
    "mamba2": recurrent.mamba2,
    "delta_net": recurrent.delta_net,
    "short_conv": recurrent.short_conv,
    "kda": kda.kda,
}
ATTENTION: Final[dict[str, Part]] = {
    "standard": attention.standard,
    "gated": attention.gated,
    "compressed": compressed.attend,
    "pooled": pooled.attend,
    "blocks": blocks.attend,
}


def _alone(b: Builder, x: Tensor) -> Tensor:
    return x


STREAMS: Final[dict[str, tuple[Whole, Whole]]] = {
    "altup": (altup.stack, altup.merge),
    "hyper": (hyper.stack, hyper.merge),
    "banked": (_alone, banked.merge),
    "hyper_gated": (hyper.stack, hyper_gated.merge),
}
"""How several residual streams are made of the embedding and become one again, by
`GraphRules.layer`."""


MAX_NODES: Final = 32_768
"""Nodes at which composing ends, twice as many as count for anything (`oomph.estimate.compute`)."""


def build_graph(b: Builder, layers: Sequence[int]) -> tuple[Graph, dict[int, Tensor]]:
    """The graph of `b` with these of its layers, and the output of each; layers past MAX_NODES
    nodes are left out."""
    tokens, ends = embed(b), {}
    if b.has("per_layer_model_proj.weight"):
        per_layer.project(b, tokens)
    elif b.has("per_layer_token_embd.weight"):
        ngrams.embed(b)
    stack, merge = STREAMS.get(b.rules.layer, (_alone, _alone))
    cur = stack(b, tokens)
    for il in layers:
        if len(b.graph.nodes) > MAX_NODES:
            break
        cur = LAYERS[b.rules.layer](b, cur, il, il == layers[-1] and b.outputs_at == "last_layer")
        if b.shape(il).has_deepstack:
            cur = _deepstack(b, cur, tokens, il)
        ends[il] = cur
    _head(b, merge(b, cur))
    return b.graph, ends


def mix_tokens(b: Builder, x: Tensor, il: int) -> Tensor:
    """The part of a layer that looks at other tokens: a recurrence, latent attention, or the
    architecture's kind."""
    if b.shape(il).is_recurrent:
        return RECURRENT[b.family.recurrence.part](b, x, il)
    if b.has("attn_kv_a_mqa.weight", il) and b.rules.attention == "standard":
        return (latent.sparse if b.shape(il).is_sparse else latent.dense)(b, x, il)
    return ATTENTION[b.rules.attention](b, x, il)


def feed(b: Builder, x: Tensor, il: int) -> Tensor:
    """The feed-forward part of a layer: experts where it has a router."""
    return (feed_forward.routed if b.has("ffn_gate_inp.weight", il) else feed_forward.dense)(
        b, x, il
    )


def _sequential(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Norm, tokens mixed, added; norm, feed-forward, added. Norms stand where the file has them.

    `post_attention_norm` follows attention where another norm stands around the feed-forward
    (Gemma, EXAONE 4), and is the feed-forward's own norm where there is none (gpt-oss, GLM-4.5,
    Qwen3-Next).
    """
    graph, residual = b.graph, cur
    x = b.norm(cur, "attn_norm", il) if b.has("attn_norm.weight", il) else cur
    if b.rules.expands_norm:
        graph.expand(x)
    y = mix_tokens(b, x, il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
    before, after = (b.has(f"{name}.weight", il) for name in ("ffn_norm", "post_ffw_norm"))
    y = _scaled_residual(b, y)
    if (before or after) and b.has("post_attention_norm.weight", il):
        y = b.norm(y, "post_attention_norm", il)
    middle = graph.add(y, residual) if b.rules.mixing_first else graph.add(residual, y)
    if b.has("pre_ffw_norm_2.weight", il):
        y = feed_forward.beside_dense(b, middle, il)
    elif before or not after:
        y = feed(b, b.norm(middle, "ffn_norm" if before else "post_attention_norm", il), il)
    else:
        y = feed(b, middle, il)
    y = _scaled_residual(b, y)
    if after:
        y = b.norm(y, "post_ffw_norm", il, pins=False)
    cur = graph.add(y, middle) if b.rules.feed_forward_first else graph.add(middle, y)
    if b.has("inp_gate.weight", il):
        cur = graph.add(cur, per_layer.gate(b, cur, il))
    scale = b.weight_if("layer_output_scale.weight", il)
    return graph.mul(cur, scale) if scale else cur


def _parallel(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention and feed-forward side by side on one norm (Cohere, Falcon, Phi-2)."""
    graph, residual = b.graph, cur
    x = b.norm(cur, "attn_norm", il)
    y = mix_tokens(b, b.norm(cur, "attn_norm_2", il) if b.has("attn_norm_2.weight", il) else x, il)
    if picks_outputs:
        y, residual, x = b.output_rows(y), b.output_rows(residual), b.output_rows(x)
    fed = feed(b, x, il)
    if b.rules.parallel_sum == "residual_then_attention":
        return graph.add(graph.add(fed, residual), y)
    return graph.add(
        graph.add(y, fed) if b.rules.parallel_sum == "onto_attention" else graph.add(fed, y),
        residual,
    )


def _single(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """One part a layer: a recurrence, attention or a feed-forward (Mamba-2, Nemotron-H)."""
    shape = b.shape(il)
    part = mix_tokens if shape.is_recurrent or shape.has_attention else feed
    y = part(b, b.norm(cur, "attn_norm", il), il)
    if picks_outputs:
        y, cur = b.output_rows(y), b.output_rows(cur)
    return b.graph.add(y, cur)


def _twin(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention and a recurrence side by side, then the feed-forward (Falcon-H1)."""
    graph = b.graph
    attended = attention.standard(b, b.norm(cur, "attn_norm", il), il)
    scanned = RECURRENT[b.family.recurrence.part](b, b.norm(cur, "attn_norm", il), il)
    middle = graph.add(graph.add(attended, scanned), cur)
    if picks_outputs:
        middle = b.output_rows(middle)
    return graph.add(feed(b, b.norm(middle, "ffn_norm", il), il), middle)


def _normed_after(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention, added, normed; feed-forward, added, normed (BERT)."""
    graph, residual = b.graph, cur
    y = mix_tokens(b, cur, il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
    middle = b.norm(graph.add(y, residual), "attn_output_norm", il)
    if b.has("attn_norm_2.weight", il):
        middle = b.norm(graph.add(middle, residual), "attn_norm_2", il)
    return b.norm(graph.add(feed(b, middle, il), middle), "layer_output_norm", il)


def _hyper(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention, then the feed-forward, each between hyper-connections (DeepSeek-V4)."""
    graph = b.graph
    x, after, mixing = hyper.gather(b, cur, "attn", il)
    x = b.norm(x, "attn_norm", il)
    if b.rules.expands_norm:
        graph.expand(x)
    middle = hyper.spread(b, mix_tokens(b, x, il), cur, after, mixing, il)
    x, after, mixing = hyper.gather(b, middle, "ffn", il)
    if b.rules.holds_streams:
        for each in (middle, after, mixing):
            graph.expand(each)
    y = feed(b, b.norm(x, "ffn_norm", il), il)
    cur = hyper.spread(b, y, middle, after, mixing, il)
    return b.pin(cur, il) if b.rules.holds_streams else cur


def _banked(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention, then the feed-forward, each over the residual streams banked so far (Kimi K3)."""
    graph, stream = b.graph, cur
    x = banked.mix(b, stream, "attn_res_score", il)
    if b.shape(il).banks_stream:
        banked.bank(b, stream)
    y = mix_tokens(b, graph.expand(b.norm(x, "attn_norm", il)), il)
    stream = y if b.shape(il).banks_stream else graph.add(stream, y)
    x = b.norm(banked.mix(b, stream, "ffn_res_score", il), "ffn_norm", il)
    return graph.add(stream, feed(b, x, il))


def _hyper_gated(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """The same with gated hyper-connections (Qwen3.8-Flash-Next)."""
    if il in b.hparams.ngram_layers:
        cur = ngrams.add(b, cur, il)
    x, inject = hyper_gated.gather(b, cur, "attn", il)
    y = mix_tokens(b, b.graph.expand(x), il)
    if picks_outputs:
        y, inject, cur = b.output_rows(y), b.output_rows(inject), hyper_gated.pick(b, cur)
    cur = hyper_gated.spread(b, y, cur, inject, il)
    x, inject = hyper_gated.gather(b, cur, "ffn", il)
    return b.pin(hyper_gated.spread(b, feed(b, x, il), cur, inject, il), il)


def _deepstack(b: Builder, cur: Tensor, tokens: Tensor, il: int) -> Tensor:
    """`cur` plus the part of the embedding that belongs to layer `il` (qwen3vl)."""
    graph, n_embd = b.graph, b.hparams.n_embd
    return graph.add(
        cur, graph.view(tokens, (n_embd, b.n_tokens), (tokens.nb[1],), (il + 1) * n_embd * 4)
    )


LAYERS: Final[dict[str, Callable[[Builder, Tensor, int, bool], Tensor]]] = {
    "sequential": _sequential,
    "parallel": _parallel,
    "single": _single,
    "twin": _twin,
    "altup": altup.layer,
    "normed_after": _normed_after,
    "hyper": _hyper,
    "banked": _banked,
    "rwkv7": rwkv.layer,
    "hyper_gated": _hyper_gated,
}
"""How a layer's parts are wired, by `GraphRules.layer`; the flag says to pick the output rows in
this layer."""


def _scaled_residual(b: Builder, x: Tensor) -> Tensor:
    return b.graph.scale(x) if b.model.hparam("residual_scale", 0.0) else x


def _head(b: Builder, cur: Tensor) -> None:
    """The last norm, the logits and the embeddings; what llama.cpp keeps for the caller is an
    output and never freed."""
    graph = b.graph
    if b.outputs_at == "before_norm":
        cur.is_output = True
        cur = b.output_rows(cur)
    if b.family.output_norm:
        cur = b.norm(cur, b.family.output_norm)
    cur.is_output = True
    if b.outputs_at == "after_norm":
        cur = b.output_rows(cur)
        cur.is_output = True
    if b.makes_logits:
        _logits(b, cur)
    graph.expand(cur)
    if b.pooling:
        pooling.pool(b, cur)


def _logits(b: Builder, cur: Tensor) -> None:
    graph, output = b.graph, b.output_weight()
    logits = b.adapted(graph.mul_mat(output, cur), output, cur)
    if b.model.hparam("logit_scale", 0.0):
        logits = graph.scale(logits)
    if bias := b.weight_if("output.bias"):
        logits = graph.add(logits, bias)
    if b.model.hparam("final_logit_softcapping", 30.0 if b.rules.softcaps_logits else 0.0):
        logits = graph.scale(graph.unary("TANH", graph.scale(logits)))
    logits.is_output = True
    graph.expand(logits)
