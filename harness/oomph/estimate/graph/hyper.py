"""Hyper-connections: residual streams, mixed anew before and after each part of a layer.

`stack` makes the streams [n_embd, n_streams, n_tokens], `layer` is one decoder layer between them,
`merge` weighs them into one again (build_hc_pre, build_hc_post and build_hc_head of
src/models/deepseek4.cpp).
"""

from typing import Final

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F32, Tensor

PRE: Final = "DSV4_HC_PRE"
COMB: Final = "DSV4_HC_COMB"
POST: Final = "DSV4_HC_POST"
HYPER_OPS: Final = (PRE, COMB, POST)
"""Fused operators in the order in which llama.cpp tries them."""


def stack(b: Builder, x: Tensor) -> Tensor:
    """The streams, all alike."""
    graph = b.graph
    one = graph.reshape(x, x.ne[0], 1, x.ne[1])
    return graph.node("REPEAT", (x.ne[0], n_streams(b), x.ne[1]), one)


def gather(b: Builder, x: Tensor, part: str, il: int) -> tuple[Tensor, Tensor, Tensor]:
    """What `part` of the layer is handed of the streams, and how its result goes back: its share in
    each, and how the streams mix."""
    graph, n, (_, hc, nt, _) = b.graph, f"hc_{part}", x.ne
    scale, base = b.weight(f"{n}_scale", il), b.weight(f"{n}_base", il)
    mixes = mixtures(b, x, f"{n}_fn", il)

    def share(i: int) -> Tensor:
        own = graph.view(mixes, (hc, nt), (mixes.nb[1],), 4 * hc * i)
        own = graph.mul(own, graph.view(scale, (1,), (), 4 * i))
        return graph.unary("SIGMOID", graph.add(own, graph.view(base, (hc,), (), 4 * hc * i)))

    before, after = graph.scale(share(0)), graph.scale(share(1))
    if COMB in b.unfused:
        mixing = _balanced(b, mixes, scale, base)
    else:
        mixing = graph.node(COMB, (hc, hc, nt), mixes, scale, base)
        b.fused_layers[mixing] = il
    return _weighed(b, x, before, il), after, mixing


def spread(
    b: Builder, y: Tensor, streams: Tensor, after: Tensor, mixing: Tensor, il: int
) -> Tensor:
    """The streams mixed, with the part's result `y` added to each."""
    graph, (n_embd, hc, nt, _) = b.graph, streams.ne
    if POST not in b.unfused:
        mixed = graph.node(POST, streams.ne, y, streams, after, mixing)
        b.fused_layers[mixed] = il
        return mixed
    out: Tensor | None = None
    for to in range(hc):
        cur = graph.mul(y, graph.view(after, (1, nt), (after.nb[1],), to * after.nb[0]))
        for of in range(hc):
            stream = graph.view(streams, (n_embd, nt), (streams.nb[2],), of * streams.nb[1])
            at = to * mixing.nb[0] + of * mixing.nb[1]
            share = graph.view(mixing, (1, nt), (mixing.nb[2],), at)
            cur = graph.add(cur, graph.mul(stream, share))
        cur = graph.reshape(cur, n_embd, 1, nt)
        out = graph.concat(out, cur, 1) if out else cur
    return out if out else streams


def merge(b: Builder, cur: Tensor) -> Tensor:
    """The streams weighed into one; only the rows that logits are wanted for."""
    graph, (n_embd, hc, n, _) = b.graph, cur.ne
    rows = b.output_rows(graph.reshape(cur, n_embd * hc, n))
    cur = graph.reshape(rows, n_embd, hc, b.n_outputs)
    if not b.has("output_hc_fn.weight"):
        return _mean(b, cur)
    mixes = graph.mul(mixtures(b, cur, "output_hc_fn", None), b.weight("output_hc_scale"))
    shares = graph.unary("SIGMOID", graph.add(mixes, b.weight("output_hc_base")))
    return _weighed(b, cur, graph.scale(shares), None)


def _mean(b: Builder, x: Tensor) -> Tensor:
    graph, (n_embd, hc, nt, _) = b.graph, x.ne
    streams = [graph.view(x, (n_embd, nt), (x.nb[2],), i * x.nb[1]) for i in range(hc)]
    total = streams[0]
    for stream in streams[1:]:
        total = graph.add(total, stream)
    return graph.scale(total)


def n_streams(b: Builder) -> int:
    """How many residual streams there are."""
    return b.model.integer("hyper_connection.count")


def mixtures(b: Builder, x: Tensor, name: str, il: int | None) -> Tensor:
    """How the streams are weighed, of all of them normed together."""
    flat = b.graph.reshape(x, x.ne[0] * x.ne[1], x.ne[2])
    return b.graph.mul_mat(b.weight(name, il), b.graph.rms_norm(flat))


def _weighed(b: Builder, x: Tensor, shares: Tensor, il: int | None) -> Tensor:
    """The sum of the streams, each times its share."""
    graph, (n_embd, hc, nt, _) = b.graph, x.ne
    if il is not None and PRE not in b.unfused:
        fused = graph.node(PRE, (n_embd, nt), x, shares)
        b.fused_layers[fused] = il
        return fused
    total: Tensor | None = None
    for i in range(hc):
        stream = graph.view(x, (n_embd, nt), (x.nb[2],), i * x.nb[1])
        share = graph.view(shares, (1, nt), (shares.nb[1],), i * shares.nb[0])
        part = graph.mul(stream, share)
        total = graph.add(total, part) if total else part
    return total if total else x


def _balanced(b: Builder, mixes: Tensor, scale: Tensor, base: Tensor) -> Tensor:
    """How the streams mix, rows and columns normed in turns (Sinkhorn)."""
    graph, hc, nt = b.graph, n_streams(b), mixes.ne[1]
    cur = graph.view(mixes, (hc * hc, nt), (mixes.nb[1],), 4 * 2 * hc)
    cur = graph.mul(cur, graph.view(scale, (1,), (), 4 * 2))
    cur = graph.add(cur, graph.view(base, (hc * hc,), (), 4 * 2 * hc))
    cur = graph.like("SOFT_MAX", graph.reshape(cur, hc, hc, nt))
    least = graph.like("FILL", graph.leaf(F32, 1, name="eps"))
    cur = graph.add(cur, least)

    def by_columns(x: Tensor) -> Tensor:
        turned = graph.cont(graph.permute(x, 1, 0, 2, 3))
        total = graph.add(graph.node("SUM_ROWS", (1, *turned.ne[1:]), turned), least)
        return graph.like("DIV", x, graph.permute(total, 1, 0, 2, 3))

    def by_rows(x: Tensor) -> Tensor:
        return graph.like("DIV", x, graph.add(graph.node("SUM_ROWS", (1, *x.ne[1:]), x), least))

    cur = by_columns(cur)
    for _ in range(1, b.model.integer("hyper_connection.sinkhorn_iterations")):
        cur = by_columns(by_rows(cur))
    return cur
