"""Independent hyper-connections (iHC): residual streams that are never mixed.

They are weighed for a part of a layer, and each gets its share of the result back (build_hc_pre,
_post and _head of src/models/hy-v4.cpp).
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.hyper import mixtures
from oomph.estimate.graph.tensor import F32, Tensor


def gather(b: Builder, x: Tensor, part: str, il: int) -> tuple[Tensor, Tensor]:
    """What `part` of the layer is handed of the streams, and its result's share in each."""
    graph, n, (_, hc, nt, _) = b.graph, f"hc_{part}", x.ne
    scale, base = b.weight(f"{n}_scale", il), b.weight(f"{n}_base", il)
    both = mixtures(b, x, f"{n}_fn", il)

    def share(i: int) -> Tensor:
        own = graph.view(both, (hc, nt), (both.nb[1],), 4 * hc * i)
        own = graph.mul(own, graph.view(scale, (1,), (), 4 * i))
        own = graph.unary("SIGMOID", graph.add(own, graph.view(base, (hc,), (), 4 * hc * i)))
        return graph.scale(own)

    return _weighed(b, x, share(0)), graph.scale(share(1))


def spread(b: Builder, y: Tensor, streams: Tensor, after: Tensor) -> Tensor:
    """The streams, each with its share of the part's result `y` added."""
    graph, (n_embd, hc, nt, _) = b.graph, streams.ne
    y, after, streams = (_cast(b, each) for each in (y, after, streams))
    out: Tensor | None = None
    for i in range(hc):
        stream = graph.view(streams, (n_embd, nt), (streams.nb[2],), i * streams.nb[1])
        share = graph.view(after, (1, nt), (after.nb[1],), i * after.nb[0])
        cur = graph.reshape(graph.add(stream, graph.mul(y, share)), n_embd, 1, nt)
        out = graph.concat(out, cur, 1) if out else cur
    return _cast(b, out or streams)


def merge(b: Builder, cur: Tensor) -> Tensor:
    """The streams weighed into one; only the rows that logits are wanted for."""
    graph, (n_embd, hc, n, _) = b.graph, cur.ne
    rows = b.output_rows(graph.reshape(cur, n_embd * hc, n))
    cur = graph.reshape(rows, n_embd, hc, b.n_outputs)
    shares = graph.mul(mixtures(b, cur, "output_hc_fn", None), b.weight("output_hc_scale"))
    shares = graph.unary("SIGMOID", graph.add(shares, b.weight("output_hc_base")))
    return _weighed(b, cur, graph.scale(shares))


def _cast(b: Builder, x: Tensor) -> Tensor:
    return b.graph.node("CPY", x.ne, x, quant=F32)


def _weighed(b: Builder, x: Tensor, shares: Tensor) -> Tensor:
    graph, (n_embd, hc, nt, _) = b.graph, x.ne
    x = _cast(b, x)
    total: Tensor | None = None
    for i in range(hc):
        stream = graph.view(x, (n_embd, nt), (x.nb[2],), i * x.nb[1])
        share = graph.view(shares, (1, nt), (shares.nb[1],), i * shares.nb[0])
        part = graph.mul(stream, share)
        total = graph.add(total, part) if total else part
    return _cast(b, total or x)
