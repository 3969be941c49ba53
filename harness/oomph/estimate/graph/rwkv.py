"""RWKV-7: time mixing by a generalized delta rule, channel mixing, each shifted by a token
(build_rwkv7_time_mix and build_rwkv7_channel_mix).
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.recurrent import kept, ssm_shape, states
from oomph.estimate.graph.tensor import Tensor


def layer(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """One layer: both mixings see a token and the one before it, whose norms are a state."""
    graph, n_seqs, n_embd, n = b.graph, b.n_seqs, b.hparams.n_embd, b.n_tokens
    t = n // n_seqs
    cur = graph.reshape(cur, n_embd, t, n_seqs)
    cache = kept(b, "r", il, ssm_shape(b).conv_state)
    before = graph.reshape(states(b, cache), n_embd, 2, n_seqs)
    last = [graph.view(before, (n_embd, 1, n_seqs), before.nb[1:3], 4 * n_embd * i) for i in (0, 1)]

    def shifted(x: Tensor, i: int) -> Tensor:
        return graph.concat(last[i], graph.view(x, (n_embd, t - 1, n_seqs), x.nb[1:3]), 1)

    def newest(x: Tensor) -> Tensor:
        return graph.view(x, (n_embd, 1, n_seqs), x.nb[1:3], (t - 1) * 4 * n_embd)

    x = b.norm(cur, "attn_norm", il)
    middle = graph.add(_time_mix(b, x, shifted(x, 0), il), cur)
    y = b.norm(middle, "attn_norm_2", il)
    previous = shifted(y, 1)
    state = graph.concat(newest(x), newest(y), 1)
    width = 2 * n_embd * n_seqs
    graph.expand(graph.cpy(graph.view(state, (width,)), graph.view(cache, (width,))))
    rows = [graph.reshape(each, n_embd, n) for each in (middle, y, previous)]
    if picks_outputs:
        rows = [b.output_rows(each) for each in rows]
    middle, y, previous = rows
    return graph.add(_channel_mix(b, y, previous, il), middle)


def _channel_mix(b: Builder, x: Tensor, previous: Tensor, il: int) -> Tensor:
    graph = b.graph
    change = graph.like("SUB", previous, x)
    x = graph.add(graph.mul(change, b.weight("channel_mix_lerp_k", il)), x)
    key = graph.like("SQR", graph.unary("RELU", b.linear("channel_mix_key", x, il)))
    return b.linear("channel_mix_value", key, il)


def _low_rank(b: Builder, x: Tensor, name: str, il: int, between: str = "") -> Tensor:
    y = b.graph.mul_mat(b.weight(f"time_mix_{name}1", il), x)
    y = b.graph.unary(between, y) if between else y
    return b.graph.mul_mat(b.weight(f"time_mix_{name}2", il), y)


def _time_mix(b: Builder, x: Tensor, previous: Tensor, il: int) -> Tensor:
    graph, ssm, n_embd, n, n_seqs = b.graph, ssm_shape(b), b.hparams.n_embd, b.n_tokens, b.n_seqs
    size, heads = ssm.state, ssm.rank
    is_gated = b.has("time_mix_g1.weight", il) and b.has("time_mix_g2.weight", il)
    change = graph.like("SUB", previous, x)
    change = graph.node("REPEAT", (*change.ne[:3], 6 if is_gated else 5), change)
    mixed = graph.add(graph.mul(change, b.weight("time_mix_lerp_fused", il)), x)

    def part(i: int) -> Tensor:
        return graph.view(mixed, (n_embd, n), (mixed.nb[1],), 4 * n_embd * n * i)

    def by_head(y: Tensor) -> Tensor:
        return graph.reshape(y, size, heads, n)

    r = b.linear("time_mix_receptance", part(0), il)
    w = graph.add(_low_rank(b, part(1), "w", il, "TANH"), b.weight("time_mix_w0", il))
    w = graph.unary("EXP", graph.scale(graph.unary("SIGMOID", w)))
    k, v = b.linear("time_mix_key", part(2), il), b.linear("time_mix_value", part(3), il)
    if b.first_value is None:
        b.first_value = v
    else:
        share = graph.add(_low_rank(b, part(3), "v", il), b.weight("time_mix_v0", il))
        first = graph.like("SUB", b.first_value, v)
        v = graph.add(v, graph.mul(first, graph.unary("SIGMOID", share)))
    a = graph.add(_low_rank(b, part(4), "a", il), b.weight("time_mix_a0", il))
    a = graph.unary("SIGMOID", a)
    kk = graph.like("L2_NORM", by_head(graph.mul(k, b.weight("time_mix_k_k", il))))
    ka = graph.mul(k, b.weight("time_mix_k_a", il))
    k = graph.add(k, graph.like("SUB", graph.mul(a, ka), ka))
    r, w, k, v, a = (by_head(each) for each in (r, w, k, v, a))
    cache = kept(b, "s", il, ssm.ssm_state)
    before = states(b, cache)
    y = graph.node(
        "RWKV_WKV7",
        (n_embd, n + size * n_seqs),
        r,
        w,
        k,
        v,
        graph.unary("NEG", kk),
        graph.mul(kk, a),
        before,
    )
    width = n_embd * size * n_seqs
    after = graph.view(y, (width,), (), 4 * n_embd * n)
    graph.expand(graph.cpy(after, graph.view(cache, (width,))))
    y = graph.view(y, (n_embd * n,))
    if b.has("time_mix_ln.weight", il):
        y = graph.like("NORM", graph.reshape(y, n_embd // heads, heads, n))
        y = graph.mul(graph.reshape(y, n_embd, n), b.weight("time_mix_ln", il))
        y = graph.add(y, b.weight("time_mix_ln.bias", il))
    else:
        y = graph.reshape(y, n_embd, n)
    bonus = graph.reshape(b.weight("time_mix_r_k", il), size, heads)
    bonus = graph.mul(graph.mul(k, r), bonus)
    bonus = graph.mul(v, graph.node("SUM_ROWS", (1, heads, n), bonus))
    y = graph.add(y, graph.reshape(bonus, n_embd, n))
    if is_gated:
        y = graph.mul(y, _low_rank(b, part(5), "g", il, "SIGMOID"))
    return graph.reshape(b.linear("time_mix_output", y, il), n_embd, n // n_seqs, n_seqs)
