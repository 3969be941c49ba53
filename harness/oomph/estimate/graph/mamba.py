"""Selective scans steered by what was convolved: the first Mamba, and PLaMo 2's.

Every channel of the first decays by itself, PLaMo 2's heads do (build_mamba_layer,
build_plamo2_mamba_layer).
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.recurrent import convolve, kept, ssm_shape, states
from oomph.estimate.graph.tensor import Tensor


def mamba(b: Builder, x: Tensor, il: int) -> Tensor:
    """A Mamba layer; dt, B and C are normed where the file or the metadata say so (Jamba,
    FalconMamba)."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, inner = b.n_tokens // n_seqs, ssm.inner
    both = b.linear("ssm_in", graph.reshape(x, x.ne[0], t, n_seqs), il)
    x = graph.view(both, (inner, t, n_seqs), both.nb[1:3])
    z = graph.view(both, (inner, t, n_seqs), both.nb[1:3], 4 * inner)
    x = graph.add(convolve(b, x, il), b.weight("ssm_conv1d.bias", il))
    x = graph.unary("SILU", x)
    y = _scan(b, x, il)
    y = graph.add(y, graph.mul(x, b.weight("ssm_d", il)))
    y = graph.glu(graph.cont(z), y)
    return graph.reshape(b.linear("ssm_out", y, il), b.hparams.n_embd, b.n_tokens)


def _scan(b: Builder, x: Tensor, il: int) -> Tensor:
    """The scan over the tokens; the states after it go back to their cache."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, inner, n_state, rank = x.ne[1], ssm.inner, ssm.state, ssm.rank
    parts = graph.mul_mat(b.weight("ssm_x", il), x)
    dt = graph.view(parts, (rank, t, n_seqs), parts.nb[1:3])
    across = (n_state, 1, t, n_seqs)
    key, query = (
        graph.view(parts, across, (4 * n_state, *parts.nb[1:3]), 4 * (rank + i * n_state))
        for i in (0, 1)
    )
    norms = [b.has(f"ssm_{name}_norm.weight", il) for name in ("dt", "b", "c")]
    if all(norms):
        dt, key = b.norm(dt, "ssm_dt_norm", il), b.norm(key, "ssm_b_norm", il)
        query = b.norm(query, "ssm_c_norm", il)
    elif b.model.metadata.get(f"{b.model.arch}.ssm.dt_b_c_rms", False):
        dt, key, query = (b.norm(each, None) for each in (dt, key, query))
    else:
        dt = graph.cont(dt)
    dt = graph.mul_mat(b.weight("ssm_dt", il), dt)
    dt = graph.add(dt, b.weight("ssm_dt.bias", il))
    heads = graph.reshape(x, 1, inner, t, n_seqs)
    cache = kept(b, "s", il, ssm.ssm_state)

    def scan(rows: Tensor, ids: Tensor) -> Tensor:
        before = graph.reshape(rows, n_state, 1, inner, rows.ne[1])
        size = inner * t * n_seqs + ssm.ssm_state * n_seqs
        return graph.node(
            "SSM_SCAN", (size,), before, heads, dt, b.weight("ssm_a", il), key, query, ids
        )

    y = states(b, cache, scan)
    after = graph.view(y, (ssm.ssm_state * n_seqs,), (), 4 * inner * t * n_seqs)
    graph.expand(graph.cpy(after, graph.view(cache, (ssm.ssm_state * n_seqs,))))
    return graph.view(y, (inner, t, n_seqs), (4 * inner, 4 * inner * t))


def by_head(b: Builder, x: Tensor, il: int) -> Tensor:
    """A layer of PLaMo 2's Mamba, whose heads decay as Mamba-2's."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, inner, heads, n_state = b.n_tokens // n_seqs, ssm.inner, ssm.rank, ssm.state
    head = inner // heads
    both = b.linear("ssm_in", graph.reshape(x, x.ne[0], t, n_seqs), il)
    both = graph.cont(graph.permute(both, 0, 2, 1, 3), 2 * head, heads, t, n_seqs)
    x = graph.view(both, (head, heads, t, n_seqs), both.nb[1:], 4 * head)
    x = graph.cont(x, inner, t, n_seqs)
    z = graph.view(both, (head, heads, t, n_seqs), both.nb[1:])
    x = graph.unary("SILU", convolve(b, x, il))
    parts = b.linear("ssm_x", x, il)
    n_dt = parts.ne[0] - 2 * n_state

    def part(name: str, width: int, at: int) -> Tensor:
        own = graph.view(parts, (width, t, n_seqs), parts.nb[1:3], 4 * at)
        return b.norm(own, f"ssm_{name}_norm", il)

    key, query = part("b", n_state, 0), part("c", n_state, n_state)
    dt = part("dt", n_dt, 2 * n_state)
    dt = graph.add(graph.mul_mat(b.weight("ssm_dt", il), dt), b.weight("ssm_dt.bias", il))
    rates = graph.reshape(b.weight("ssm_a", il), 1, heads)
    by_heads = graph.view(x, (head, heads, t, n_seqs), (4 * head, 4 * inner, 4 * inner * t))
    key, query = (
        graph.view(each, (n_state, 1, t, n_seqs), (4 * n_state, *each.nb[1:3]))
        for each in (key, query)
    )
    cache = kept(b, "s", il, ssm.ssm_state)

    def scan(rows: Tensor, ids: Tensor) -> Tensor:
        before = graph.reshape(rows, n_state, head, heads, rows.ne[1])
        size = (inner * t + ssm.ssm_state) * n_seqs
        return graph.node("SSM_SCAN", (size,), before, by_heads, dt, rates, key, query, ids)

    y = states(b, cache, scan)
    width = ssm.ssm_state * n_seqs
    after = graph.view(y, (width,), (), 4 * inner * t * n_seqs)
    graph.expand(graph.cpy(after, graph.view(cache, (width,))))
    y = graph.view(y, by_heads.ne, by_heads.nb[1:])
    y = graph.add(y, graph.mul(by_heads, graph.reshape(b.weight("ssm_d", il), 1, heads)))
    y = graph.glu(graph.cont(z), y)
    y = graph.view(y, (inner, t, n_seqs), y.nb[2:])
    return graph.reshape(b.linear("ssm_out", y, il), b.hparams.n_embd, b.n_tokens)
