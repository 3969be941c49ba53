"""Layers with a state for a cache: Mamba-2, delta net, short convolution.

Each reads the states of the batch's sequences, convolves, scans, and writes the new states back, as
llama.cpp's build_rs, build_mamba2_layer and build_layer_attn_linear do.
"""

from collections.abc import Callable
from math import prod

from oomph.errors import ModelFileError
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.hparams import SsmShape
from oomph.estimate.graph.tensor import F32, I32, Tensor


def ssm_shape(b: Builder) -> SsmShape:
    """The recurrent widths; ModelFileError where the metadata lack them."""
    if b.hparams.ssm is None:
        raise ModelFileError(
            f"{b.model.source}: a recurrent layer needs {b.model.arch}.ssm.* metadata; is it "
            "complete?"
        )
    return b.hparams.ssm


def states(
    b: Builder, cache: Tensor, get: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Tensor:
    """The rows of the batch's sequences, read by `get` (GET_ROWS where none is given); new ones
    cleared (build_rs)."""
    graph, n_seqs, width, n_kept = b.graph, b.n_seqs, cache.ne[0], b.sizes.n_seqs
    rows = graph.reshape(cache, width, cache.ne[1])
    graph.expand(graph.scale_inplace(graph.view(rows, (width,))))
    ids, n_rest = b.input("rs_s_copy", I32, n_kept), n_kept - n_seqs
    rest = graph.view(cache, (width, n_rest), (cache.nb[1],), n_seqs * cache.nb[1])
    if b.build.gathers_states:
        of_all = ids
        if get:  # which reads the batch's own states where they are
            of_all = b.once("rs_s_copy", "tail", lambda: graph.view(ids, (n_kept - 1,), (), 4))
        gathered = graph.get_rows(rows, of_all)
        n_read = of_all.ne[0] - n_rest
        after = graph.view(gathered, (width, n_rest), (gathered.nb[1],), n_read * gathered.nb[1])
        y = get(rows, _main(b, ids)) if get else graph.view(gathered, (width, n_seqs))
    else:
        extra = b.once("rs_s_copy", "extra", lambda: graph.view(ids, (n_rest,), (), n_seqs * 4))
        after = graph.get_rows(rows, extra)
        y = get(rows, _main(b, ids)) if get else graph.get_rows(rows, _main(b, ids))
    graph.expand(y)
    graph.expand(graph.cpy(after, rest))
    return y


def _main(b: Builder, ids: Tensor) -> Tensor:
    """The numbers of the batch's own states."""
    n_seqs = b.n_seqs
    return b.once("rs_s_copy", "main", lambda: b.graph.view(ids, (n_seqs,)))


def kept(b: Builder, name: str, il: int, width: int) -> Tensor:
    """The states `name` of layer `il`: a row a sequence, and as many again for each token that it
    can go back."""
    return b.stored(name, il, F32, width, b.sizes.n_seqs * b.sizes.n_states)


def n_written(b: Builder, n_seq_tokens: int) -> int:
    """States that a batch leaves behind: the last, and those before it that it passed."""
    return min(b.sizes.n_states, n_seq_tokens)


def convolve(b: Builder, x: Tensor, il: int, *, kernel: str = "ssm_conv1d") -> Tensor:
    """`x` [channels, n_seq_tokens, n_seqs] behind the last columns of the batch before, convolved
    along the tokens."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    width, channels = ssm.conv_kernel - 1, ssm.channels
    cache = kept(b, "r", il, ssm.conv_state)
    window = graph.concat(
        graph.reshape(states(b, cache), width, channels, n_seqs), graph.transpose(x)
    )
    is_whole = (
        b.family.recurrence.part == "delta_net"
    )  # it writes them all, however short the batch
    for back in range(b.sizes.n_states if is_whole else n_written(b, x.ne[1])):
        start = max(window.ne[0] - width - back, 0) * 4
        last = graph.view(window, (width, channels, n_seqs), window.nb[1:3], start)
        slot = graph.view(
            cache, (width * channels, n_seqs), (cache.nb[1],), back * b.sizes.n_seqs * cache.nb[1]
        )
        if b.family.recurrence.copies_states:
            last = graph.cont(last)
        graph.expand(graph.cpy(last, slot))
    return graph.node("SSM_CONV", (channels, x.ne[1], n_seqs), window, b.weight(kernel, il))


def mamba2(b: Builder, x: Tensor, il: int) -> Tensor:
    """A Mamba-2 layer (build_mamba2_layer)."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, head = b.n_tokens // n_seqs, ssm.inner // ssm.rank
    zx = b.linear("ssm_in", x, il)
    zx = graph.reshape(zx, zx.ne[0], t, n_seqs)
    z = graph.view(zx, (head, ssm.rank, t, n_seqs), (head * 4, *zx.nb[1:3]))
    dt = graph.view(zx, (ssm.rank, t, n_seqs), zx.nb[1:3], (ssm.inner + ssm.channels) * 4)
    xbc = graph.view(zx, (ssm.channels, t, n_seqs), zx.nb[1:3], ssm.inner * 4)
    xbc = graph.unary("SILU", graph.add(convolve(b, xbc, il), b.weight("ssm_conv1d.bias", il)))
    heads = graph.view(xbc, (head, ssm.rank, t, n_seqs), (head * 4, *xbc.nb[1:3]))
    y = _scan(b, xbc, heads, dt, il)
    y = graph.add(y, graph.mul(heads, b.weight("ssm_d", il)))
    y = graph.glu(graph.cont(z), y)
    if b.has("ssm_norm.weight", il):
        y = b.norm(graph.reshape(y, ssm.inner // ssm.groups, ssm.groups, t, n_seqs), "ssm_norm", il)
    return b.linear("ssm_out", graph.reshape(y, ssm.inner, b.n_tokens), il)


def _scan(b: Builder, xbc: Tensor, heads: Tensor, dt: Tensor, il: int) -> Tensor:
    """The selective scan over the tokens; the states after it go back to their cache."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    head, rank, t, _ = heads.ne
    cache, n_states = kept(b, "s", il, ssm.ssm_state), b.sizes.n_states
    across = (ssm.state, ssm.groups, t, n_seqs)
    key = graph.view(xbc, across, (ssm.state * 4, *xbc.nb[1:3]), ssm.inner * 4)
    query = graph.view(
        xbc, across, (ssm.state * 4, *xbc.nb[1:3]), (ssm.inner + ssm.groups * ssm.state) * 4
    )
    dt = graph.add(graph.cont(dt), b.weight("ssm_dt.bias", il))

    def scan(rows: Tensor, ids: Tensor) -> Tensor:
        before = graph.reshape(rows, ssm.state, head, rank, n_seqs * n_states)
        size = prod(heads.ne) + ssm.ssm_state * n_seqs * n_states
        return graph.node(
            "SSM_SCAN", (size,), before, heads, dt, b.weight("ssm_a", il), key, query, ids
        )

    y, size = states(b, cache, scan), ssm.ssm_state * 4
    written = ssm.ssm_state, n_seqs, n_written(b, t)
    after = graph.view(y, written, (size, size * n_seqs), prod(heads.ne) * 4)
    graph.expand(graph.cpy(after, graph.view(cache, written, (cache.nb[1], n_seqs * size))))
    row = heads.nb[1]
    return graph.view(y, heads.ne, (row, rank * row, t * rank * row))


def delta_net(b: Builder, x: Tensor, il: int) -> Tensor:
    """A gated delta net layer (build_layer_attn_linear of qwen3next)."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, head = b.n_tokens // n_seqs, ssm.inner // ssm.rank
    mixed = graph.reshape(b.linear("attn_qkv", x, il), ssm.channels, t, n_seqs)
    z = b.linear("attn_gate", x, il)
    beta, gate = (_beta_and_gate if b.has("ssm_ba.weight", il) else _split_beta_and_gate)(b, x, il)
    convolved = convolve(b, mixed, il)
    cache = kept(b, "s", il, ssm.ssm_state)
    before = graph.reshape(states(b, cache), head, head, ssm.rank, n_seqs)
    q, k, v = _delta_qkv(b, graph.unary("SILU", convolved))
    out = delta_rule(b, q, k, v, gate, beta, before, cache)
    z = graph.reshape(z, head, ssm.rank, t, n_seqs)
    y = graph.mul(b.norm(out, "ssm_norm", il), graph.unary(b.family.recurrence.output_gate, z))
    y = b.linear("ssm_out", graph.reshape(y, ssm.inner, t, n_seqs), il)
    return graph.reshape(y, b.hparams.n_embd, b.n_tokens)


def delta_rule(
    b: Builder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    gate: Tensor,
    beta: Tensor,
    before: Tensor,
    cache: Tensor,
) -> Tensor:
    """What the delta rule reads for each token; the states after it go back to `cache`
    (build_recurrent_attn)."""
    graph, ssm, n_seqs, n_states = b.graph, ssm_shape(b), b.n_seqs, b.sizes.n_states
    t, head = b.n_tokens // n_seqs, ssm.inner // ssm.rank
    y = graph.node(
        "GATED_DELTA_NET",
        (head * ssm.rank, b.n_tokens + head * n_seqs * n_states),
        q,
        k,
        v,
        gate,
        beta,
        before,
    )
    row = head * 4
    out = graph.view(y, (head, ssm.rank, t, n_seqs), (row, row * ssm.rank, row * ssm.rank * t))
    size, scores = row * head * ssm.rank, row * ssm.rank * b.n_tokens
    if n_states > 1:
        written = ssm.ssm_state, n_seqs, n_written(b, t)
        after = graph.view(y, written, (size, size * n_seqs), scores)
        slots = graph.view(cache, written, (cache.nb[1], n_seqs * size))
    else:
        after = graph.view(y, (head, head, ssm.rank, n_seqs), (row, row * head, size), scores)
        slots = graph.view(cache, (ssm.ssm_state, n_seqs), (cache.nb[1],))
    graph.expand(graph.cpy(after, slots))
    return out


def _beta_and_gate(b: Builder, x: Tensor, il: int) -> tuple[Tensor, Tensor]:
    """How much each head writes and forgets, from one interleaved projection."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, half = b.n_tokens // n_seqs, ssm.rank // max(ssm.groups, 1)
    both = graph.reshape(b.linear("ssm_ba", x, il), 2 * half, ssm.groups, t, n_seqs)
    beta = graph.unary(
        "SIGMOID", graph.cont(graph.view(both, (half, ssm.groups, t, n_seqs), both.nb[1:]))
    )
    alpha = graph.cont(
        graph.view(both, (half, ssm.groups, t, n_seqs), both.nb[1:], half * 4), ssm.rank, t, n_seqs
    )
    alpha = graph.unary("SOFTPLUS", graph.add(alpha, b.weight("ssm_dt.bias", il)))
    gate = graph.mul(alpha, b.weight("ssm_a", il))
    return graph.reshape(beta, 1, ssm.rank, t, n_seqs), graph.reshape(gate, 1, ssm.rank, t, n_seqs)


def _split_beta_and_gate(b: Builder, x: Tensor, il: int) -> tuple[Tensor, Tensor]:
    """How much each head writes and forgets, from a projection each (qwen35)."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t = b.n_tokens // n_seqs
    beta = graph.unary(
        "SIGMOID", graph.reshape(b.linear("ssm_beta", x, il), 1, ssm.rank, t, n_seqs)
    )
    alpha = graph.add(
        graph.reshape(b.linear("ssm_alpha", x, il), ssm.rank, t, n_seqs),
        b.weight("ssm_dt.bias", il),
    )
    gate = graph.mul(graph.unary("SOFTPLUS", alpha), b.weight("ssm_a", il))
    return beta, graph.reshape(gate, 1, ssm.rank, t, n_seqs)


def _delta_qkv(b: Builder, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v out of the convolved channels, q and k normed and repeated to v's heads."""
    graph, ssm = b.graph, ssm_shape(b)
    row, t, n_seqs, head = 4 * ssm.channels, mixed.ne[1], mixed.ne[2], ssm.inner // ssm.rank

    def part(width: int, heads: int, offset: int) -> Tensor:
        return graph.view(mixed, (width, heads, t, n_seqs), (width * 4, row, row * t), offset * 4)

    q, k = (
        graph.scale(graph.rms_norm(part(ssm.state, ssm.groups, i * ssm.state * ssm.groups)))
        for i in (0, 1)
    )
    v = part(head, ssm.rank, 2 * ssm.state * ssm.groups)
    if b.rules.repeats_keys and ssm.groups != ssm.rank:
        q, k = (graph.reshape(x, ssm.state, 1, ssm.groups, b.n_tokens) for x in (q, k))
        times = ssm.rank // max(ssm.groups, 1)
        q, k = (graph.node("REPEAT", (ssm.state, times, ssm.groups, b.n_tokens), x) for x in (q, k))
        q, k = (graph.reshape(x, ssm.state, ssm.rank, t, n_seqs) for x in (q, k))
    return q, k, v


def short_conv(b: Builder, x: Tensor, il: int) -> Tensor:
    """A gated short convolution, whose state is the last columns alone (build_shortconv_block of
    lfm2)."""
    graph, n_seqs, n_embd = b.graph, b.n_seqs, b.hparams.n_embd
    t = b.n_tokens // n_seqs
    parts = b.linear("shortconv.in_proj", graph.reshape(x, x.ne[0], t, n_seqs), il)
    gate_in, gate_out, value = (
        graph.view(parts, (n_embd, t, n_seqs), parts.nb[1:3], 4 * n_embd * i) for i in range(3)
    )
    y = convolve(b, graph.mul(gate_in, value), il, kernel="shortconv.conv")
    y = b.linear("shortconv.out_proj", graph.mul(gate_out, y), il)
    return graph.reshape(y, n_embd, b.n_tokens)
