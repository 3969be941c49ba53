"""Embeddings of the last tokens together (n-grams), which one layer adds to its streams.

A host computes which rows of a table a token and those before it mean; a dilated convolution over
them keeps a state of its own (build_inp_ple and build_ple of src/models/qwen4exp.cpp).
"""

from typing import Final

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.hyper_gated import grouped_norm
from oomph.estimate.graph.recurrent import kept, states
from oomph.estimate.graph.tensor import F32, I32, Tensor

_EMBEDDED: Final = "ngrams"


def embed(b: Builder) -> None:
    """Each token's rows of the table, side by side."""
    n_heads = (b.model.integer("ple.ngram_size") - 1) * b.model.integer("ple.heads_per_ngram")
    ids = b.input("ple_rows", I32, n_heads * b.n_tokens)
    rows = b.graph.get_rows(b.weight("per_layer_token_embd"), ids)
    rows = b.graph.reshape(rows, rows.ne[0] * n_heads, b.n_tokens)
    b.graph.expand(b.once(_EMBEDDED, None, lambda: rows))


def add(b: Builder, streams: Tensor, il: int) -> Tensor:
    """The streams, and on each the n-grams' value behind a gate, with its convolution."""
    graph, (n_embd, hc, n, _) = b.graph, streams.ne
    rows = b.once(_EMBEDDED, None, lambda: streams)
    key, value = b.linear("ple_key", rows, il), b.linear("ple_value", rows, il)
    key = grouped_norm(b, graph.reshape(key, n_embd, hc, n), "ple_norm_key", il)
    query = grouped_norm(b, graph.reshape(streams, n_embd, hc, n), "ple_norm_query", il)
    s = graph.scale(graph.node("SUM_ROWS", (1, hc, n), graph.mul(key, query)))
    size = graph.like("SQRT", graph.like("CLAMP", graph.unary("ABS", s)))
    gate = graph.unary("SIGMOID", graph.mul(graph.unary("SGN", s), size))
    value = graph.node("REPEAT", (n_embd, hc, n), graph.reshape(value, n_embd, 1, n))
    value = graph.mul(value, gate)
    convolved = _convolved(b, value, il)
    return graph.add(streams, graph.add(value, convolved))


def _convolved(b: Builder, value: Tensor, il: int) -> Tensor:
    """A sum of shifted copies behind those of the batch before."""
    graph, (n_embd, hc, n, _), n_seqs = b.graph, value.ne, b.n_seqs
    t, width, kernel = n // n_seqs, n_embd * hc, b.model.integer("ple.conv_kernel")
    step = b.model.integer("ple.ngram_size")
    past = (kernel - 1) * step
    flat = graph.reshape(value, width, n)
    normed = grouped_norm(b, graph.reshape(flat, n_embd, hc, n), "ple_norm_conv", il)
    x = graph.reshape(graph.reshape(normed, width, n), width, t, n_seqs)
    cache = kept(b, "ple_r", il, past * width)
    before = graph.reshape(states(b, cache), past, width, n_seqs)
    padded = graph.concat(before, graph.transpose(x))
    for back in range(b.sizes.n_states):
        start = max(padded.ne[0] - past - back, 0) * 4
        tail = graph.cont(graph.view(padded, (past, width, n_seqs), padded.nb[1:3], start))
        slot = back * b.sizes.n_seqs * cache.nb[1]
        target = graph.view(cache, (past * width, n_seqs), (cache.nb[1],), slot)
        graph.expand(graph.cpy(tail, target))
    weight, total = b.weight("ple_conv1d", il), None
    for k in range(kernel):
        start = (past - (kernel - 1 - k) * step) * 4
        shifted = graph.view(padded, (t, width, n_seqs), padded.nb[1:3], start)
        shifted = graph.cont(graph.transpose(shifted))
        column = graph.view(weight, (1, width), (weight.nb[1],), k * weight.nb[0])
        column = graph.reshape(graph.cont(column), width)
        if column.quant is not F32:
            column = graph.node("CPY", column.ne, column)
        term = graph.mul(shifted, column)
        total = graph.add(total, term) if total else term
    y = graph.unary("SILU", total or x)
    return graph.reshape(graph.cont(y), n_embd, hc, n)
