"""Attention over residual streams: each part of a layer sees a mix of those banked before it.

Every few layers the stream is banked and begins anew; what a part is handed is weighed out of all
that is banked and the stream itself (res_push and res_mix of src/models/kimi-k3.cpp).
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.hyper import PRE
from oomph.estimate.graph.tensor import Tensor


def bank(b: Builder, x: Tensor) -> None:
    """Keep the stream as it is."""
    own = b.graph.reshape(x, x.ne[0], 1, x.ne[1])
    b.banked = b.graph.concat(b.banked, own, 1) if b.banked else own


def mix(b: Builder, x: Tensor, name: str, il: int | None = None) -> Tensor:
    """The stream `x` and those that are banked, each weighed by its score; `x` where none is."""
    graph, kept = b.graph, b.banked
    if kept is None:
        return x
    n_embd, n_kept, n, _ = kept.ne
    weight = b.weight(name, il)
    scores = graph.mul(graph.rms_norm(kept), weight)
    scores = graph.reshape(graph.node("SUM_ROWS", (1, n_kept, n), scores), n_kept, n)
    own = graph.node("SUM_ROWS", (1, n), graph.mul(graph.rms_norm(x), weight))
    shares = graph.like("SOFT_MAX", graph.concat(scores, own))
    theirs = graph.cont(graph.view(shares, (n_kept, n), (shares.nb[1],)))
    own = graph.cont(graph.view(shares, (1, n), (shares.nb[1],), 4 * n_kept))
    mixed = graph.node(PRE, (n_embd, n), kept, theirs)
    return graph.add(mixed, graph.mul(x, own))


def merge(b: Builder, cur: Tensor) -> Tensor:
    """The last mix; only the rows that logits are wanted for."""
    return b.output_rows(mix(b, cur, "output_res_score"))
