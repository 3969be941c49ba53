"""Kimi delta attention (KDA): a delta net whose gate forgets by channel.

q, k and v have a short convolution each, and gates from projections of their own (kimi-linear,
bailingmoe3 and glm5-next of src/models).
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.recurrent import delta_rule, kept, n_written, ssm_shape, states
from oomph.estimate.graph.tensor import Tensor


def kda(b: Builder, x: Tensor, il: int) -> Tensor:
    """A layer of Kimi delta attention."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, head, n = b.n_tokens // n_seqs, ssm.state, b.n_tokens
    cache = kept(b, "r", il, ssm.conv_state)
    before = states(b, cache)
    q, k, v = (_convolved(b, x, il, number, cache, before) for number in range(3))
    gate = graph.reshape(_gate(b, x, il), head, ssm.rank, t, n_seqs)
    beta = graph.reshape(graph.mul_mat(b.weight("ssm_beta", il), x), 1, ssm.rank, t, n_seqs)
    beta = graph.unary("SIGMOID", beta)
    memory = kept(b, "s", il, ssm.ssm_state)
    before = graph.reshape(states(b, memory), head, head, ssm.rank, n_seqs)
    q, k = (graph.scale(graph.rms_norm(each)) for each in (q, k))
    y = graph.cont(delta_rule(b, q, k, v, gate, beta, before, memory))
    y = b.norm(graph.reshape(y, head, ssm.rank, n), "ssm_norm", il)
    shown = graph.reshape(_projected(b, x, il, "g"), head, ssm.rank, n)
    y = graph.cont(graph.mul(y, graph.unary("SIGMOID", shown)), ssm.inner, n)
    return graph.mul_mat(b.weight("attn_output", il), y)


def _convolved(
    b: Builder, x: Tensor, il: int, number: int, cache: Tensor, before: Tensor
) -> Tensor:
    """q, k or v, convolved behind its part of the states, whose last columns go back there."""
    graph, ssm, n_seqs = b.graph, ssm_shape(b), b.n_seqs
    t, width, row = b.n_tokens // n_seqs, ssm.conv_kernel - 1, 4 * ssm.conv_state
    which, at = ("q", "k", "v")[number], number * 4 * width * ssm.inner
    last = graph.view(before, (width, ssm.inner, n_seqs), (4 * width, row), at)
    y = graph.reshape(graph.mul_mat(b.weight(f"attn_{which}", il), x), ssm.inner, t, n_seqs)
    window = graph.concat(last, graph.transpose(y))
    # bailingmoe3, whose gates are whole matrices, writes what the batch has passed
    n_slots = b.sizes.n_states if b.has("ssm_f_b.weight", il) else n_written(b, t)
    for back in range(n_slots):
        start = max(t - back, 0) * 4
        column = graph.view(window, (width, ssm.inner, n_seqs), window.nb[1:3], start)
        slot = back * b.sizes.n_seqs * row + at
        target = graph.view(cache, (width, ssm.inner, n_seqs), (4 * width, row), slot)
        graph.expand(graph.cpy(column, target))
    kernel = graph.reshape(b.weight(f"ssm_conv1d_{which}", il), ssm.conv_kernel, ssm.inner)
    y = graph.node("SSM_CONV", (ssm.inner, t, n_seqs), window, kernel)
    y = graph.unary("SILU", graph.reshape(y, ssm.inner, b.n_tokens))
    return graph.reshape(y, ssm.state, ssm.rank, t, n_seqs)


def _projected(b: Builder, x: Tensor, il: int, which: str) -> Tensor:
    """A gate's projection, of low rank where the file has two matrices of it."""
    whole = f"ssm_{which}"
    if b.has(f"{whole}.weight", il):
        return b.graph.mul_mat(b.weight(whole, il), x)
    y = b.graph.mul_mat(b.weight(f"ssm_{which}_a", il), x)
    name = f"ssm_{which}_b"
    return b.graph.mul_mat(b.weight(name, il), y) if b.has(f"{name}.weight", il) else y


def _gate(b: Builder, x: Tensor, il: int) -> Tensor:
    """How much of each channel is forgotten, bounded where the family says so."""
    graph, ssm = b.graph, ssm_shape(b)
    rates = graph.reshape(b.weight("ssm_a", il), 1, ssm.rank, 1)
    y = graph.add(_projected(b, x, il, "f"), b.weight("ssm_dt.bias", il))
    kind = b.family.recurrence.gate
    has_bound = f"{b.model.arch}.kda.gate_lower_bound" in b.model.metadata
    if kind == "softplus" or (kind == "metadata_negated" and not has_bound):
        y = graph.reshape(graph.unary("SOFTPLUS", y), ssm.state, ssm.rank, b.n_tokens)
        return graph.mul(y, rates)
    y = graph.mul(graph.reshape(y, ssm.state, ssm.rank, b.n_tokens), rates)
    y = graph.scale(y) if kind == "metadata_negated" else y
    return graph.scale(graph.unary("SIGMOID", y))
