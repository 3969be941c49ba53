"""Gemma 3n's alternating updates: four residual streams, one of them run.

`stack` makes the streams [n_embd, n_tokens, n_altup] of the embedding, `layer` is one decoder layer
with its low-rank side path (LAuReL), `merge` averages the streams again (src/models/gemma3n.cpp).
"""

from oomph.architectures.families.gemma3n import N_ALTUP
from oomph.estimate.graph import attention, per_layer
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import Tensor


def stack(b: Builder, x: Tensor) -> Tensor:
    """The streams: `x` and its projections, brought to the magnitude of `x`."""
    graph = b.graph
    target = _magnitude(b, x)
    copies = graph.node("REPEAT", (x.ne[0], x.ne[1], N_ALTUP - 1), x)
    added = graph.mul_mat(b.weight("altup_proj"), copies)
    return _join(b, x, graph.like("DIV", graph.mul(added, target), _magnitude(b, added)))


def layer(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """One layer: predict the streams, run the first, correct all by what came of it."""
    graph = b.graph
    predicted = _predict(b, cur, il)
    active = _stream(b, predicted, 0)
    x = b.norm(active, "attn_norm", il)
    side = b.norm(b.linear("laurel_r", b.linear("laurel_l", x, il), il), "laurel_post_norm", il)
    side = graph.add(side, x)
    y = b.norm(attention.standard(b, x, il), "post_attention_norm", il)
    middle = graph.scale(graph.add(graph.add(y, active), side))
    y = b.norm(_feed(b, b.norm(middle, "ffn_norm", il), il), "post_ffw_norm", il, pins=False)
    corrected = _correct(b, predicted, graph.add(y, middle), il)
    own = per_layer.gate(
        b, graph.mul(_stream(b, corrected, 0), b.weight("altup_correct_scale", il)), il
    )
    first, rest = _stream(b, corrected, 0), _streams_after_first(b, corrected)
    return _join(b, first, graph.add(rest, own))


def merge(b: Builder, cur: Tensor) -> Tensor:
    """The mean of the streams, the others unprojected first; only the rows that logits are wanted
    for."""
    graph = b.graph
    target = _magnitude(b, _stream(b, cur, 0))
    others = graph.mul_mat(b.weight("altup_unembd_proj"), _streams_after_first(b, cur))
    others = graph.like("DIV", graph.mul(others, target), _magnitude(b, others))
    total = _stream(b, cur, 0)
    for i in range(N_ALTUP - 1):
        total = graph.add(total, _stream(b, others, i))
    return b.output_rows(graph.scale(total))


def _stream(b: Builder, x: Tensor, i: int) -> Tensor:
    return b.graph.view(x, x.ne[:2], (x.nb[1],), i * x.nb[2])


def _streams_after_first(b: Builder, x: Tensor) -> Tensor:
    return b.graph.view(x, (*x.ne[:2], N_ALTUP - 1), x.nb[1:3], x.nb[2])


def _join(b: Builder, first: Tensor, rest: Tensor) -> Tensor:
    return b.graph.node("CONCAT", (*first.ne[:2], first.ne[2] + rest.ne[2]), first, rest)


def _magnitude(b: Builder, x: Tensor) -> Tensor:
    graph = b.graph
    return graph.like("SQRT", graph.node("SUM_ROWS", (1, *x.ne[1:]), graph.like("SQR", x)))


def _modalities(b: Builder, x: Tensor, il: int) -> Tensor:
    """Which streams a token is about [n_altup, n_tokens]."""
    router = b.graph.scale(b.norm(x, "altup_router_norm", il))
    return b.graph.unary("TANH", b.graph.mul_mat(b.weight("altup_router", il), router))


def _predict(b: Builder, cur: Tensor, il: int) -> Tensor:
    graph = b.graph
    modalities = _modalities(b, _stream(b, cur, 0), il)
    mixing = graph.reshape(
        b.linear("altup_predict_coef", modalities, il), N_ALTUP, N_ALTUP, b.n_tokens
    )
    predicted = graph.mul_mat(graph.cont(graph.permute(cur, 1, 2, 0, 3)), mixing)
    return graph.add(graph.cont(graph.permute(predicted, 0, 2, 1, 3)), cur)


def _correct(b: Builder, predicted: Tensor, activated: Tensor, il: int) -> Tensor:
    graph = b.graph
    modalities = _modalities(b, activated, il)
    innovation = graph.like("SUB", activated, _stream(b, predicted, 0))
    shares = graph.transpose(graph.scale(b.linear("altup_correct_coef", modalities, il)))
    shares = graph.cont(shares, 1, b.n_tokens, N_ALTUP)
    innovation = graph.node("REPEAT", (*activated.ne[:2], N_ALTUP), innovation)
    return graph.add(graph.mul(innovation, shares), predicted)


def _feed(b: Builder, x: Tensor, il: int) -> Tensor:
    """The feed-forward; some layers zero all but the largest of their gate's activations."""
    graph = b.graph
    up, gate = b.linear("ffn_up", x, il), b.linear("ffn_gate", x, il)
    if b.shape(il).thins_gate:
        mean = graph.node("MEAN", (1, *gate.ne[1:]), gate)
        squares = graph.like("SQR", graph.like("SUB", gate, mean))
        deviation = graph.like(
            "SQRT", graph.scale(graph.node("SUM_ROWS", (1, *gate.ne[1:]), squares))
        )
        cutoff = graph.add(mean, graph.scale(deviation))
        gate = graph.unary("RELU", graph.like("SUB", gate, cutoff))
    return b.linear("ffn_down", graph.mul(up, graph.unary("GELU", gate)), il)
