"""Composes a model's graph from the parts of its layers.

Which part a layer has is read off its tensors first and the architecture's row second; how the parts are wired is one
of `LAYERS`. The result is the graph that llama.cpp reserves, node by node.
"""

from collections.abc import Callable, Sequence
from typing import Final

from oomph.estimate.graph import attention, feed_forward, recurrent
from oomph.estimate.graph.builder import Builder, embed
from oomph.estimate.graph.tensor import Graph, Tensor

Part = Callable[[Builder, Tensor, int], Tensor]

RECURRENT: Final[dict[str, Part]] = {"mamba2": recurrent.mamba2, "delta_net": recurrent.delta_net}
ATTENTION: Final[dict[str, Part]] = {"standard": attention.standard, "gated": attention.gated}


def build_graph(b: Builder, layers: Sequence[int]) -> tuple[Graph, dict[int, Tensor]]:
    """The graph of `b` with these of its layers, and the output of each."""
    cur, ends = embed(b), {}
    for il in layers:
        cur = ends[il] = LAYERS[b.arch.layer](b, cur, il, il == layers[-1] and b.arch.outputs_at == "last_layer")
    _head(b, cur)
    return b.graph, ends


def mix_tokens(b: Builder, x: Tensor, il: int) -> Tensor:
    """The part of a layer that looks at other tokens: a recurrence, latent attention, or the architecture's kind."""
    if b.shape(il).is_recurrent:
        return RECURRENT[b.arch.recurrent_part](b, x, il)
    if b.has("attn_kv_a_mqa.weight", il):
        return attention.latent(b, x, il)
    return ATTENTION[b.arch.attention](b, x, il)


def feed(b: Builder, x: Tensor, il: int) -> Tensor:
    """The feed-forward part of a layer: experts where it has a router."""
    return (feed_forward.routed if b.has("ffn_gate_inp.weight", il) else feed_forward.dense)(b, x, il)


def _sequential(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Norm, tokens mixed, added; norm, feed-forward, added. Norms stand where the file has them.

    `post_attention_norm` follows attention where there is also an `ffn_norm` (Gemma), and is the feed-forward's own
    norm where there is none (gpt-oss, GLM-4.5, Qwen3-Next).
    """
    graph, residual = b.graph, cur
    x = b.norm(cur, "attn_norm", il) if b.has("attn_norm.weight", il) else cur
    if b.arch.expands_norm:
        graph.expand(x)
    y = mix_tokens(b, x, il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
    has_ffn_norm = b.has("ffn_norm.weight", il)
    y = _scaled_residual(b, y)
    if has_ffn_norm and b.has("post_attention_norm.weight", il):
        y = b.norm(y, "post_attention_norm", il)
    middle = graph.add(y, residual)
    y = feed(b, b.norm(middle, "ffn_norm" if has_ffn_norm else "post_attention_norm", il), il)
    y = _scaled_residual(b, y)
    if b.has("post_ffw_norm.weight", il):
        y = b.norm(y, "post_ffw_norm", il, pins=False)
    return graph.add(y, middle) if b.arch.feed_forward_first else graph.add(middle, y)


LAYERS: Final[dict[str, Callable[[Builder, Tensor, int, bool], Tensor]]] = {"sequential": _sequential}
"""How a layer's parts are wired, by `Architecture.layer`; the flag says to pick the output rows in this layer."""


def _scaled_residual(b: Builder, x: Tensor) -> Tensor:
    return b.graph.scale(x) if b.model.hparam("residual_scale", 0.0) else x


def _head(b: Builder, cur: Tensor) -> None:
    """The last norm and the logits; what llama.cpp keeps for the caller is an output and never freed."""
    graph = b.graph
    if b.arch.outputs_at == "before_norm":
        cur.is_output = True
        cur = b.output_rows(cur)
    cur = b.norm(cur, "output_norm")
    cur.is_output = True
    if b.arch.outputs_at == "after_norm":
        cur = b.output_rows(cur)
        cur.is_output = True
    logits = graph.mul_mat(b.output_weight(), cur)
    if b.model.hparam("logit_scale", 0.0):
        logits = graph.scale(logits)
    if b.model.hparam("final_logit_softcapping", 0.0):
        logits = graph.scale(graph.unary("TANH", graph.scale(logits)))
    logits.is_output = True
    graph.expand(logits)
