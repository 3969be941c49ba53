"""Lightning attention: a linear attention that forgets by head (src/models/minimax-01.cpp)."""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.recurrent import kept, ssm_shape, states
from oomph.estimate.graph.tensor import F32, Tensor


def attend(b: Builder, x: Tensor, il: int) -> Tensor:
    """A layer of it: the state is a matrix a head, and the convolution's is empty."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, head, heads = b.n_tokens // n_seqs, ssm.state, ssm.rank
    states(b, kept(b, "r", il, ssm.conv_state))
    x = graph.reshape(x, x.ne[0], t, 1, n_seqs)
    fused = graph.unary("SILU", b.linear("attn_qkv", x, il))
    fused = graph.reshape(fused, 3 * head, heads, t, n_seqs)
    q, k, v = (
        graph.view(fused, (head, heads, t, n_seqs), fused.nb[1:], 4 * head * i) for i in range(3)
    )
    cache = kept(b, "s", il, ssm.ssm_state)
    before = graph.reshape(states(b, cache), head, head, heads, n_seqs)
    y, after = _block(b, q, k, v, before)
    width = ssm.ssm_state * n_seqs
    graph.expand(graph.cpy(after, graph.view(cache, (width,))))
    y = graph.cont(graph.permute(y, 0, 2, 1, 3))
    y = b.norm(graph.reshape(y, head * heads, t, 1, n_seqs), "attn_norm_2", il)
    gate = graph.unary("SIGMOID", b.linear("attn_gate", x, il))
    y = b.linear("attn_output", graph.mul(gate, y), il)
    return graph.reshape(y, y.ne[0], b.n_tokens)


def _block(b: Builder, q: Tensor, k: Tensor, v: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """What a block of tokens reads of the state and of itself, and the state after it."""
    graph, (_, heads, t, n_seqs) = b.graph, q.ne
    slopes = graph.scale(b.input("slopes", F32, heads))

    def decay(name: str, *ne: int) -> Tensor:
        return graph.unary("EXP", graph.scale(b.input(name, F32, *ne)))

    def by_head(x: Tensor) -> Tensor:
        return graph.permute(x, 0, 2, 1, 3)

    def by_token(x: Tensor) -> Tensor:
        return graph.cont(graph.permute(x, 1, 2, 0, 3))

    faded = graph.mul(q, decay("q_decay", 1, heads, t, n_seqs))
    of_state = graph.mul_mat(before, by_head(faded))
    scores = graph.mul_mat(by_head(k), by_head(q))
    scores = graph.mul(scores, decay("diag_decay", t, t, heads, n_seqs))
    values = by_token(v)
    y = graph.expand(graph.add(of_state, graph.mul_mat(values, scores)))
    whole = graph.reshape(graph.unary("EXP", graph.scale(slopes)), 1, 1, heads)
    kept_on = graph.mul(before, whole)
    faded = graph.mul(k, decay("k_decay", 1, heads, t, n_seqs))
    return y, graph.add(kept_on, graph.mul_mat(by_token(faded), values))
