"""Granite Switch: tokens that switch to an adapter, many of them beside each matrix.

A head past the layers, with a cache of its own, finds the last such token; its number chooses the
low-rank matrices that are added to every product (src/models/granite-switch.cpp).
"""

from oomph.estimate.graph import attention
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F32, I32, Tensor


def route(b: Builder) -> None:
    """Find each token's adapter."""
    graph, n, il = b.graph, b.n_tokens, len(b.hparams.layers)

    def lane(name: str) -> Tensor:
        signal = graph.reshape(b.input(f"router_{name}", F32, n), 1, 1, n)
        return graph.node("PAD", (b.shape(il).head_k, 1, n), signal)

    q, k, v = lane("q"), lane("ksig"), lane("vval")
    found = attention.attend(b, q, k, v, il, output=None)
    number = graph.cont(graph.view(found, (1, n), (found.nb[1],)))
    number = graph.unary("ROUND", graph.like("CLAMP", graph.reshape(number, n)))
    b.adapter = graph.node("CPY", number.ne, number, quant=I32)


def layer(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """A Granite's layer, each product with what the tokens' adapters add."""
    graph, residual = b.graph, cur
    y = _attend(b, b.norm(cur, "attn_norm", il), il)
    if picks_outputs:
        y, residual = b.output_rows(y), b.output_rows(residual)
        ids = graph.reshape(_adapter(b), 1, b.n_tokens)
        rows = b.input("inp_out_ids", I32, b.n_outputs)
        picked = graph.node("GET_ROWS", (1, b.n_outputs), ids, rows, quant=I32)
        b.adapter = graph.reshape(picked, b.n_outputs)
    middle = graph.add(_scaled(b, y), residual)
    x = b.norm(middle, "ffn_norm", il)
    gate, up = _linear(b, "ffn_gate", x, il), _linear(b, "ffn_up", x, il)
    y = _linear(b, "ffn_down", graph.mul(graph.unary("SILU", gate), up), il)
    return graph.add(_scaled(b, y), middle)


def _adapter(b: Builder) -> Tensor:
    return b.adapter if b.adapter else b.tokens()


def _scaled(b: Builder, x: Tensor) -> Tensor:
    return b.graph.scale(x) if b.is_scaled("residual_scale") else x


def _added(b: Builder, name: str, x: Tensor, il: int) -> Tensor:
    """What the tokens' adapters add to `name`'s product with `x`."""
    graph, n = b.graph, x.ne[1]
    ids = graph.reshape(_adapter(b), 1, n)
    low = graph.mul_mat_id(b.weight(f"{name}.lora_a", il), graph.reshape(x, x.ne[0], 1, n), ids)
    y = graph.mul_mat_id(b.weight(f"{name}.lora_b", il), low, ids)
    return graph.reshape(y, y.ne[0], n)


def _linear(b: Builder, name: str, x: Tensor, il: int) -> Tensor:
    return b.graph.add(b.graph.mul_mat(b.weight(name, il), x), _added(b, name, x, il))


def _attend(b: Builder, x: Tensor, il: int) -> Tensor:
    graph, shape, n, at = b.graph, b.shape(il), b.n_tokens, 0
    fused, parts = graph.mul_mat(b.weight("attn_qkv", il), x), []
    for name, heads in (("q", shape.n_head), ("k", shape.n_head_kv), ("v", shape.n_head_kv)):
        width = heads * shape.head_k
        own = graph.cont(graph.view(fused, (width, n), (fused.nb[1],), 4 * at))
        at += width
        own = graph.add(own, _added(b, f"attn_{name}", x, il))
        parts.append(graph.reshape(own, shape.head_k, heads, n))
    q, k, v = parts
    if shape.has_rope:
        q, k = attention.rope(b, q, il), attention.rope(b, k, il)
    y = attention.attend(b, q, k, v, il, output=None)
    return _linear(b, "attn_output", y, il)
