"""Embeddings of their own for each layer, beside the token embedding (Gemma 3n, Gemma 4).

`project` mixes them with the token embedding once, `gate` adds a layer's slice to its output. They
stand apart because their table stays on the CPU and their projection is computed in the first
layer.
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import I32, Tensor

_MIXED = "per_layer_inputs"


def look_up(b: Builder) -> Tensor:
    """The rows of the layers' own table."""
    table, ids = "per_layer_token_embd", b.input("inp_per_layer_tokens", I32, b.n_tokens)
    return b.once(table, "rows", lambda: b.graph.get_rows(b.weight(table), ids))


def project(b: Builder, tokens: Tensor) -> None:
    """The layers' embeddings [width, n_tokens, n_layer] from their table and the token
    embedding."""
    graph, n_layer, n = b.graph, b.hparams.n_layer, b.n_tokens
    rows = look_up(b)
    width = rows.ne[0] // n_layer
    own = graph.scale(graph.reshape(rows, width, n_layer, n))
    if not b.looks_up_layers_first:
        graph.expand(own)
    mixed = graph.scale(graph.mul_mat(b.weight("per_layer_model_proj"), tokens))
    mixed = graph.rms_norm(graph.reshape(mixed, width, n_layer, n))
    mixed = graph.scale(graph.add(graph.mul(mixed, b.weight("per_layer_proj_norm")), own))
    b.once(_MIXED, None, lambda: graph.cont(graph.permute(mixed, 0, 2, 1, 3)))


def gate(b: Builder, x: Tensor, il: int) -> Tensor:
    """What layer `il`'s embedding adds to `x`: gated by `x`, projected up, normed."""
    graph = b.graph
    mixed = b.once(_MIXED, None, lambda: x)
    own = graph.view(mixed, mixed.ne[:2], (mixed.nb[1],), il * mixed.nb[2])
    y = graph.mul(graph.unary("GELU", b.linear("inp_gate", x, il)), own)
    return b.norm(b.linear("proj", y, il), "post_norm", il)
