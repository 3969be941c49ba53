"""RWKV: time mixing over a state of matrices, and channel mixing or a Qwen's FFN.

The state is a gated linear attention's (RWKV-6) or a generalized delta rule's (7). Mixings see a
token and the one before it (build_rwkv6_time_mix, build_rwkv7_time_mix and their channel mixes).
"""

from oomph.estimate.graph import feed_forward
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.recurrent import kept, ssm_shape, states
from oomph.estimate.graph.tensor import Tensor


def layer(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """One layer: what a mixing saw of the last token, its norm, is a state."""
    graph, n_seqs, n_embd, n = b.graph, b.n_seqs, b.hparams.n_embd, b.n_tokens
    t, n_shifts = n // n_seqs, ssm_shape(b).conv_kernel - 1
    cur = graph.reshape(cur, n_embd, t, n_seqs)
    cache = kept(b, "r", il, ssm_shape(b).conv_state)
    before = graph.reshape(states(b, cache), n_embd, n_shifts, n_seqs)

    def shifted(x: Tensor, last: Tensor) -> Tensor:
        return graph.concat(last, graph.view(x, (n_embd, t - 1, n_seqs), x.nb[1:3]), 1)

    def newest(x: Tensor) -> Tensor:
        return graph.view(x, (n_embd, 1, n_seqs), x.nb[1:3], (t - 1) * 4 * n_embd)

    def store(state: Tensor) -> None:
        width = n_shifts * n_embd * n_seqs
        graph.expand(graph.cpy(graph.view(state, (width,)), graph.view(cache, (width,))))

    mix = _time_mix_7 if b.has("time_mix_a0.weight", il) else _time_mix_6
    x = b.norm(cur, "attn_norm", il)
    if not b.has("channel_mix_key.weight", il):
        y = mix(b, x, shifted(x, before), il)
        store(newest(x))
        middle = graph.reshape(graph.add(y, cur), n_embd, n)
        middle = b.output_rows(middle) if picks_outputs else middle
        return graph.add(feed_forward.dense(b, b.norm(middle, "ffn_norm", il), il), middle)
    last = [graph.view(before, (n_embd, 1, n_seqs), before.nb[1:3], 4 * n_embd * i) for i in (0, 1)]
    middle = graph.add(mix(b, x, shifted(x, last[0]), il), cur)
    y = b.norm(middle, "attn_norm_2", il)
    previous = shifted(y, last[1])
    store(graph.concat(newest(x), newest(y), 1))
    rows = [graph.reshape(each, n_embd, n) for each in (middle, y, previous)]
    if picks_outputs:
        rows = [b.output_rows(each) for each in rows]
    middle, y, previous = rows
    cur = graph.add(_channel_mix(b, y, previous, il), middle)
    return graph.scale(cur) if b.shape(il).is_rescaled else cur


def _channel_mix(b: Builder, x: Tensor, previous: Tensor, il: int) -> Tensor:
    graph = b.graph
    change = graph.like("SUB", previous, x)

    def mixed(which: str) -> Tensor:
        return graph.add(graph.mul(change, b.weight(f"channel_mix_lerp_{which}", il)), x)

    key = graph.like("SQR", graph.unary("RELU", b.linear("channel_mix_key", mixed("k"), il)))
    if not b.has("channel_mix_receptance.weight", il):
        return b.linear("channel_mix_value", key, il)
    gate = graph.unary("SIGMOID", b.linear("channel_mix_receptance", mixed("r"), il))
    return graph.mul(gate, b.linear("channel_mix_value", key, il))


def _keep(b: Builder, y: Tensor, cache: Tensor) -> Tensor:
    """What was read for each token, the states after them written back."""
    graph, n_embd, n = b.graph, b.hparams.n_embd, b.n_tokens
    width = ssm_shape(b).ssm_state * b.n_seqs
    after = graph.view(y, (width,), (), 4 * n_embd * n)
    graph.expand(graph.cpy(after, graph.view(cache, (width,))))
    return graph.view(y, (n_embd * n,))


def _normed(b: Builder, y: Tensor, il: int) -> Tensor:
    """`y` normed by head where the file has a norm."""
    graph, n_embd, n, heads = b.graph, b.hparams.n_embd, b.n_tokens, ssm_shape(b).rank
    if not b.has("time_mix_ln.weight", il):
        return graph.reshape(y, n_embd, n)
    y = graph.like("NORM", graph.reshape(y, n_embd // heads, heads, n))
    y = graph.mul(graph.reshape(y, n_embd, n), b.weight("time_mix_ln", il))
    return graph.add(y, b.weight("time_mix_ln.bias", il))


def _mixtures_6(b: Builder, x: Tensor, previous: Tensor, il: int) -> list[Tensor]:
    """The five mixtures of each token and the one before it: for decay, key, value, receptance and
    gate."""
    graph, n_embd, n = b.graph, b.hparams.n_embd, b.n_tokens
    change = graph.reshape(graph.like("SUB", previous, x), n_embd, n)
    x = graph.reshape(x, n_embd, n)
    mixed = graph.add(graph.mul(change, b.weight("time_mix_lerp_x", il)), x)
    down, up = b.weight("time_mix_w1", il), b.weight("time_mix_w2", il)
    low = graph.unary("TANH", graph.mul_mat(down, mixed))
    low = graph.reshape(low, down.ne[1] // 5, 1, 5, n)
    low = graph.cont(graph.permute(low, 0, 1, 3, 2))
    shares = graph.mul_mat(graph.reshape(up, up.ne[0], up.ne[1], 1, 5), low)

    def part(of: Tensor, i: int) -> Tensor:
        return graph.view(of, (n_embd, n), (of.nb[1],), 4 * n_embd * n * i)

    if b.has("time_mix_lerp_fused.weight", il):
        change, x = (graph.reshape(each, n_embd, 1, n) for each in (change, x))
        shares = graph.add(shares, b.weight("time_mix_lerp_fused", il))
        shares = graph.add(graph.mul(shares, change), x)
        return [part(shares, i) for i in range(5)]
    found = []
    for i, name in enumerate("wkvrg"):
        share = graph.add(part(shares, i), b.weight(f"time_mix_lerp_{name}", il))
        found.append(graph.add(graph.mul(share, change), x))
    return found


def _time_mix_6(b: Builder, x: Tensor, previous: Tensor, il: int) -> Tensor:
    graph, ssm, n_embd, n, n_seqs = b.graph, ssm_shape(b), b.hparams.n_embd, b.n_tokens, b.n_seqs
    size, heads, n_kv = ssm.state, ssm.rank, b.shape(il).n_head_kv
    for_decay, for_key, for_value, for_receptance, for_gate = _mixtures_6(b, x, previous, il)
    r = b.linear("time_mix_receptance", for_receptance, il)
    k = b.linear("time_mix_key", for_key, il)
    v = b.linear("time_mix_value", for_value, il)
    has_first = b.has("time_mix_first.weight", il)
    gate = graph.unary("SILU" if has_first else "SIGMOID", b.linear("time_mix_gate", for_gate, il))
    if n_kv not in (0, heads):
        k, v = (graph.reshape(each, size, 1, n_kv, n) for each in (k, v))
        k, v = (graph.node("REPEAT", (size, heads // n_kv, n_kv, n), each) for each in (k, v))
    k, v, r = (graph.reshape(each, size, heads, n) for each in (k, v, r))
    low = graph.unary("TANH", graph.mul_mat(b.weight("time_mix_decay_w1", il), for_decay))
    decay = graph.mul_mat(b.weight("time_mix_decay_w2", il), low)
    decay = graph.unary("EXP", graph.add(decay, b.weight("time_mix_decay", il)))
    decay = graph.reshape(graph.unary("EXP", graph.unary("NEG", decay)), size, heads, n)
    cache = kept(b, "s", il, ssm.ssm_state)
    ne = (n_embd, n + size * n_seqs)
    if has_first:
        first = b.weight("time_mix_first", il)
        y = graph.node("RWKV_WKV6", ne, k, v, r, first, decay, states(b, cache))
    else:
        k = graph.like("SUB", k, graph.mul(k, decay))
        y = graph.node("GATED_LINEAR_ATTN", ne, k, v, r, decay, states(b, cache))
    y = _normed(b, _keep(b, y, cache), il)
    y = b.linear("time_mix_output", graph.mul(y, gate), il)
    return graph.reshape(y, n_embd, n // n_seqs, n_seqs)


def _low_rank(b: Builder, x: Tensor, name: str, il: int, between: str = "") -> Tensor:
    y = b.graph.mul_mat(b.weight(f"time_mix_{name}1", il), x)
    y = b.graph.unary(between, y) if between else y
    return b.graph.mul_mat(b.weight(f"time_mix_{name}2", il), y)


def _time_mix_7(b: Builder, x: Tensor, previous: Tensor, il: int) -> Tensor:
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
    y = _normed(b, _keep(b, y, cache), il)
    bonus = graph.reshape(b.weight("time_mix_r_k", il), size, heads)
    bonus = graph.mul(graph.mul(k, r), bonus)
    bonus = graph.mul(v, graph.node("SUM_ROWS", (1, heads, n), bonus))
    y = graph.add(y, graph.reshape(bonus, n_embd, n))
    if is_gated:
        y = graph.mul(y, _low_rank(b, part(5), "g", il, "SIGMOID"))
    return graph.reshape(b.linear("time_mix_output", y, il), n_embd, n // n_seqs, n_seqs)
