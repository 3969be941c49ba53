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
    crossed,
    feed_forward,
    hyper,
    hyper_gated,
    independent_hyper,
    kda,
    latent,
    lightning,
    mamba,
    ngrams,
    per_layer,
    pooled,
    pooling,
    position_blocks,
    recurrent,
    rwkv,
    switched,
)
from oomph.estimate.graph.builder import Builder, embed
from oomph.estimate.graph.hparams import stack_layers
from oomph.estimate.graph.tensor import F32, Graph, Tensor

Part = Callable[[Builder, Tensor, int], Tensor]
Whole = Callable[[Builder, Tensor], Tensor]

RECURRENT: Final[dict[str, Part]] = {
    "mamba": mamba.mamba,
    "mamba2": recurrent.mamba2,
    "mamba_by_head": mamba.by_head,
    "delta_net": recurrent.delta_net,
    "short_conv": recurrent.short_conv,
    "kda": kda.kda,
    "lightning": lightning.attend,
}
ATTENTION: Final[dict[str, Part]] = {
    "standard": attention.standard,
    "gated": attention.gated,
    "compressed": compressed.attend,
    "pooled": pooled.attend,
    "blocks": blocks.attend,
    "position_blocks": position_blocks.attend,
}


def _alone(b: Builder, x: Tensor) -> Tensor:
    return x


STREAMS: Final[dict[str, tuple[Whole, Whole]]] = {
    "altup": (altup.stack, altup.merge),
    "hyper": (hyper.stack, hyper.merge),
    "banked": (_alone, banked.merge),
    "hyper_gated": (hyper.stack, hyper_gated.merge),
    "independent_hyper": (hyper.stack, independent_hyper.merge),
}
"""How several residual streams are made of the embedding and become one again, by
`GraphRules.layer`."""


IMAGE_TOKENS: Final = 8192
"""Tokens of images in Chameleon's vocabulary."""
MAX_NODES: Final = 32_768
"""Nodes at which composing ends, twice as many as count for anything (`oomph.estimate.compute`)."""


def build_graph(b: Builder, layers: Sequence[int]) -> tuple[Graph, dict[int, Tensor]]:
    """The graph of `b` with these of its layers, and the output of each; layers past MAX_NODES
    nodes are left out."""
    if b.looks_up_layers_first:
        b.graph.expand(per_layer.look_up(b))
    tokens = embed(b)
    ends: dict[int, Tensor] = {}
    _embed_for_layers(b, tokens)
    if b.rules.adds_embedding:
        tokens = b.norm(tokens, None)
    if b.rules.layer == "stacks":
        _finish(b, b.output_rows(_stacks(b, tokens)))
        return b.graph, ends
    stack, merge = STREAMS.get(b.rules.layer, (_alone, _alone))
    cur = stack(b, tokens)
    for il in layers:
        if len(b.graph.nodes) > MAX_NODES:
            break
        picks_outputs = il == layers[-1] and b.outputs_at == "last_layer"
        cur = LAYERS[b.rules.layer](b, cur, il, picks_outputs)
        if b.rules.adds_embedding:
            shown = b.output_rows(tokens) if picks_outputs else tokens
            cur = b.graph.add(cur, b.graph.mul(shown, b.weight("layer_output_scale", il)))
        if _ends_loop(b, il):
            cur = b.norm(cur, b.family.output_norm, pins_to=il)
        if b.shape(il).has_deepstack:
            cur = _deepstack(b, cur, tokens, il)
        cur.is_output = cur.is_output or b.shape(il).is_read
        ends[il] = cur
    _head(b, merge(b, cur))
    return b.graph, ends


def _embed_for_layers(b: Builder, tokens: Tensor) -> None:
    """The embeddings that layers add to their streams, of tokens or of the last ones together; or
    what tells their adapters."""
    if b.has("per_layer_model_proj.weight"):
        per_layer.project(b, tokens)
    elif b.has("per_layer_token_embd.weight"):
        ngrams.embed(b)
    elif b.hparams.router:
        switched.route(b)


def _stacks(b: Builder, high: Tensor) -> Tensor:
    """Two stacks of layers over the same tokens: the low one several times over the sum of both
    states, then the high one, and all of it again (HRM)."""
    graph, n, n_low = b.graph, stack_layers(b.model), b.model.integer("hrm.l_cycles")
    low = b.weight("hrm.z_l_init")
    for first in range(0, len(b.hparams.layers), n):
        cur = graph.add(high, low)
        for il in range(first, first + n):
            cur = _sequential(b, cur, il, False)
        cur = b.norm(cur, None)
        if first // n % (n_low + 1) == n_low:
            high = cur
        else:
            low = cur
    return high


def _ends_loop(b: Builder, il: int) -> bool:
    """Whether the blocks begin anew after layer `il`, on a norm of what it gives."""
    n_blocks = len(b.hparams.layers) // b.hparams.n_loops
    skips = b.model.metadata.get(f"{b.model.arch}.skip_loop_final_norm", False)
    return not skips and (il + 1) % n_blocks == 0 and il + 1 < len(b.hparams.layers)


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
    if not b.has("ffn_gate_inp.weight", il):
        return feed_forward.dense(b, x, il)
    return (feed_forward.averaged if b.has("ffn_up.weight", il) else feed_forward.routed)(b, x, il)


def _sequential(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Norm, tokens mixed, added; norm, feed-forward, added. Norms stand where the file has them.

    `post_attention_norm` follows attention where another norm stands around the feed-forward
    (Gemma, EXAONE 4), and is the feed-forward's own norm where there is none (gpt-oss, GLM-4.5,
    Qwen3-Next).
    """
    graph, residual = b.graph, cur
    x = _normed(b, cur, "attn_norm", il)
    if b.rules.expands_norm:
        graph.expand(x)
    y, logits = mix_tokens(b, x, il), None
    if b.rules.routes_input:
        logits = b.linear("ffn_gate_inp", cur, il)
    before = b.has_weight("ffn_norm", il) or not b.rules.has_norm_weights
    middle_norm, last_norm = (_first_there(b, names, il) for names in (_MIDDLE, _LAST))
    norms_mixed = middle_norm and (before or last_norm)
    if norms_mixed and b.rules.norms_before_picking:
        y = _post_norm(b, y, middle_norm, il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
        logits = b.output_rows(logits) if logits else None
    y = _scaled_residual(b, y)
    if norms_mixed and not b.rules.norms_before_picking:
        y = _post_norm(b, y, middle_norm, il)
    middle = graph.add(y, residual) if b.rules.mixing_first else graph.add(residual, y)
    if b.has("pre_ffw_norm_2.weight", il):
        y = feed_forward.beside_dense(b, middle, il)
    else:
        x = middle
        if before or not last_norm:
            x = _normed(b, middle, "ffn_norm" if before else middle_norm, il)
        y = feed(b, x, il) if logits is None else feed_forward.experts(b, x, il, logits=logits)
    y = _scaled_residual(b, y)
    if last_norm:
        y = _post_norm(b, y, last_norm, il)
    cur = graph.add(y, middle) if b.rules.feed_forward_first else graph.add(middle, y)
    if b.has("inp_gate.weight", il):
        cur = graph.add(cur, per_layer.gate(b, cur, il))
    scale = None if b.rules.adds_embedding else b.weight_if("layer_output_scale.weight", il)
    return graph.mul(cur, scale) if scale else cur


def _post_norm(b: Builder, y: Tensor, name: str, il: int) -> Tensor:
    """The norm of what a part gives, before it is added."""
    pinned = b.rules.pinned_post_norms
    is_pinned = pinned == "both" or (pinned == "attention" and name in _MIDDLE)
    return b.norm(y, name, il, pins=is_pinned)


def _parallel(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention and feed-forward side by side on one norm (Cohere, Falcon, Phi-2), or each on its
    own (GPT-NeoX)."""
    graph, residual = b.graph, cur
    x = b.norm(cur, "attn_norm", il)
    y = mix_tokens(b, b.norm(cur, "attn_norm_2", il) if b.has("attn_norm_2.weight", il) else x, il)
    has_own = b.has("ffn_norm.weight", il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
        x = x if has_own else b.output_rows(x)
    fed = feed(b, b.norm(residual, "ffn_norm", il) if has_own else x, il)
    if b.rules.parallel_sum == "residual_then_attention":
        return graph.add(graph.add(fed, residual), y)
    return graph.add(
        graph.add(y, fed) if b.rules.parallel_sum == "onto_attention" else graph.add(fed, y),
        residual,
    )


def _parallel_if_told(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Side by side or one after the other, as the metadata say (GPT-NeoX)."""
    told = b.model.metadata.get(f"{b.model.arch}.use_parallel_residual", False)
    return (_parallel if told else _sequential)(b, cur, il, picks_outputs)


def _normed_after_if_told(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Norms before each part, or after it where the metadata say `swin_norm` (Chameleon)."""
    if not b.model.metadata.get(f"{b.model.arch}.swin_norm", False):
        return _sequential(b, cur, il, picks_outputs)
    graph, residual = b.graph, cur
    y = mix_tokens(b, cur, il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
    y = b.norm(y, "attn_norm", il)  # which the feed-forward sees without the residual
    middle = graph.add(y, residual)
    return graph.add(b.norm(feed(b, y, il), "ffn_norm", il), middle)


def _beside_experts(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention and a feed-forward, and beside both experts on the layer's own input (Arctic)."""
    graph, residual = b.graph, cur
    y = mix_tokens(b, b.norm(cur, "attn_norm", il), il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
    middle = graph.add(y, residual)
    fed = graph.add(feed_forward.dense(b, b.norm(middle, "ffn_norm", il), il), middle)
    return graph.add(feed_forward.experts(b, b.norm(residual, "ffn_norm_exps", il), il), fed)


def _partial(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """What pruning left of attention and feed-forward; what has no feed-forward goes nowhere
    (DeciLM)."""
    graph, shape, residual, y = b.graph, b.shape(il), cur, cur
    if shape.n_head:
        x = b.norm(cur, "attn_norm", il)
        y = mix_tokens(b, x, il) if shape.n_head_kv else b.linear("attn_output", x, il)
    if not b.has("ffn_norm.weight", il):
        return cur
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
    middle = graph.add(y, residual) if shape.n_head else y
    return graph.add(feed(b, b.norm(middle, "ffn_norm", il), il), middle)


def _normed_residual(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention and feed-forward, each added to what it saw, which is scaled (MiniMax-Text-01)."""
    graph, x = b.graph, b.norm(cur, "attn_norm", il)
    y = mix_tokens(b, x, il)
    if picks_outputs:
        y, x = b.output_rows(y), b.output_rows(x)
    x = b.norm(graph.add(y, graph.scale(x)), "ffn_norm", il)
    return graph.add(feed(b, x, il), graph.scale(x))


def _cropped_between(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention, added; the feed-forward of the rows that are wanted, added (Nemotron-H's head)."""
    graph = b.graph
    middle = graph.add(mix_tokens(b, b.norm(cur, "attn_norm", il), il), cur)
    if picks_outputs:
        middle = b.output_rows(middle)
    return graph.add(feed(b, b.norm(middle, "post_attention_norm", il), il), middle)


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


def _independent_hyper(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """The same without mixing: each stream is kept as it is (Hy4)."""
    x, after = independent_hyper.gather(b, cur, "attn", il)
    y = mix_tokens(b, b.norm(x, "attn_norm", il), il)
    cur = independent_hyper.spread(b, y, cur, after)
    x, after = independent_hyper.gather(b, cur, "ffn", il)
    y = feed(b, b.norm(x, "ffn_norm", il), il)
    return independent_hyper.spread(b, y, cur, after)


def _deepstack(b: Builder, cur: Tensor, tokens: Tensor, il: int) -> Tensor:
    """`cur` plus the part of the embedding that belongs to layer `il` (qwen3vl)."""
    graph, n_embd = b.graph, b.hparams.n_embd
    return graph.add(
        cur, graph.view(tokens, (n_embd, b.n_tokens), (tokens.nb[1],), (il + 1) * n_embd * 4)
    )


LAYERS: Final[dict[str, Callable[[Builder, Tensor, int, bool], Tensor]]] = {
    "sequential": _sequential,
    "parallel": _parallel,
    "parallel_if_told": _parallel_if_told,
    "single": _single,
    "twin": _twin,
    "altup": altup.layer,
    "normed_after": _normed_after,
    "normed_after_if_told": _normed_after_if_told,
    "beside_experts": _beside_experts,
    "partial": _partial,
    "normed_residual": _normed_residual,
    "cropped_between": _cropped_between,
    "hyper": _hyper,
    "banked": _banked,
    "rwkv": rwkv.layer,
    "crossed": crossed.layer,
    "switched": switched.layer,
    "hyper_gated": _hyper_gated,
    "independent_hyper": _independent_hyper,
}
"""How a layer's parts are wired, by `GraphRules.layer`; the flag says to pick the output rows in
this layer."""


def _scaled_residual(b: Builder, x: Tensor) -> Tensor:
    return b.graph.scale(x) if b.is_scaled("residual_scale") else x


_MIDDLE: Final = ("post_attention_norm", "attn_output_norm")
_LAST: Final = ("layer_output_norm", "post_ffw_norm")


def _first_there(b: Builder, names: tuple[str, ...], il: int) -> str:
    """The first of the names that the layer has a norm of; empty for none."""
    return next((name for name in names if b.has_weight(name, il)), "")


def _normed(b: Builder, x: Tensor, name: str, il: int) -> Tensor:
    """`x` normed where the layer has that norm, or where norms have no weights."""
    if not b.rules.has_norm_weights:
        return b.norm(x, None)
    return b.norm(x, name, il) if b.has_weight(name, il) else x


def _head(b: Builder, cur: Tensor) -> None:
    """The last norm, the logits and the embeddings; what llama.cpp keeps for the caller is an
    output and never freed."""
    if b.outputs_at == "before_norm":
        cur.is_output = True
        cur = b.output_rows(cur)
    if b.family.output_norm or not b.rules.has_norm_weights:
        cur = b.norm(cur, b.family.output_norm or None)
    cur.is_output = True
    if b.outputs_at == "after_norm":
        cur = b.output_rows(cur)
    _finish(b, cur)


def _finish(b: Builder, cur: Tensor) -> None:
    """The logits and embeddings of what is normed and picked."""
    cur.is_output = True
    if b.makes_logits:
        _logits(b, cur)
    b.graph.expand(cur)
    if b.pooling:
        pooling.pool(b, cur)


def _logits(b: Builder, cur: Tensor) -> None:
    graph, output = b.graph, b.output_weight()
    if b.rules.scales_head_input:
        cur = graph.scale(cur)
    logits = b.adapted(graph.mul_mat(output, cur), output, cur)
    if b.is_scaled("logit_scale"):
        logits = graph.scale(logits)
    if bias := b.weight_if("output.bias"):
        logits = graph.add(logits, bias)
    if b.model.hparam("final_logit_softcapping", 30.0 if b.rules.softcaps_logits else 0.0):
        logits = graph.scale(graph.unary("TANH", graph.scale(logits)))
    if b.rules.hides_images:
        none = graph.like("CLAMP", graph.leaf(F32, IMAGE_TOKENS, name="img_logits"))
        logits = graph.like("SET", logits, none)
    logits.is_output = True
    graph.expand(logits)
