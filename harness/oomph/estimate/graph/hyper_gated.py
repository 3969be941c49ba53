"""Gated hyper-connections: residual streams mixed through a gate of low rank (qwen4exp).

The streams themselves are made as `hyper` makes them; there are no other norms around a layer's
parts, and the last mix stands for the output's (build_hc_mix and build_hc_combine of
src/models/qwen4exp.cpp).
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.hyper import POST, PRE, n_streams
from oomph.estimate.graph.tensor import Tensor


def gather(b: Builder, x: Tensor, part: str, il: int) -> tuple[Tensor, Tensor]:
    """What `part` of the layer is handed of the streams, and how its result goes back."""
    normed, mixed = _mixed(b, x, f"hc_{part}", il)
    return mixed, b.linear(f"hc_{part}_inject", normed, il)


def spread(b: Builder, y: Tensor, streams: Tensor, inject: Tensor, il: int) -> Tensor:
    """The streams, with the part's result `y` added to each."""
    graph, (n_embd, hc, nt, _) = b.graph, streams.ne
    shares = graph.scale(graph.unary("SIGMOID", graph.scale(inject)))
    if POST not in b.unfused:
        mixed = graph.node(POST, streams.ne, y, streams, shares)
        b.fused_layers[mixed] = il
        return mixed
    shares = graph.reshape(shares, 1, hc, nt)
    each = graph.node("REPEAT", (n_embd, hc, nt), graph.reshape(y, n_embd, 1, nt))
    return graph.add(streams, graph.mul(each, shares))


def pick(b: Builder, streams: Tensor) -> Tensor:
    """The streams' rows that logits are wanted for."""
    graph, (n_embd, hc, n, _) = b.graph, streams.ne
    rows = b.output_rows(graph.reshape(streams, n_embd * hc, n))
    return graph.reshape(rows, n_embd, hc, b.n_outputs)


def merge(b: Builder, cur: Tensor) -> Tensor:
    """The streams mixed for the last time."""
    return _mixed(b, cur, "output_hc", None)[1]


def grouped_norm(b: Builder, x: Tensor, name: str, il: int | None) -> Tensor:
    """Each stream of `x` [n_embd, n_streams, n_tokens] normed, with weights of its own."""
    weight = b.weight(name, il, ne=(b.hparams.n_embd, n_streams(b)))
    return b.graph.mul(b.graph.rms_norm(x), weight)


def _mixed(b: Builder, x: Tensor, name: str, il: int | None) -> tuple[Tensor, Tensor]:
    """The normed streams side by side, and their mean behind a gate."""
    graph, (n_embd, hc, nt, _) = b.graph, x.ne
    normed = graph.reshape(grouped_norm(b, x, f"{name}_norm", il), n_embd * hc, nt)
    low = graph.unary("SILU", graph.scale(b.linear(f"{name}_down", normed, il)))
    gate = b.linear(f"{name}_up", low, il)
    if il is not None and PRE not in b.unfused:
        streams, gates = (graph.reshape(each, n_embd, hc, nt) for each in (normed, gate))
        fused = graph.node(PRE, (n_embd, nt), streams, gates)
        b.fused_layers[fused] = il
        return normed, fused
    gated = graph.mul(normed, graph.unary("SIGMOID", gate))
    row = 4 * n_embd
    mixed = graph.cont(graph.view(gated, (n_embd, nt), (row * hc,)))
    for i in range(1, hc):
        mixed = graph.add(mixed, graph.view(gated, (n_embd, nt), (row * hc,), row * i))
    return normed, graph.scale(mixed)
