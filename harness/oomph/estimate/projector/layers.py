"""The layers of a vision transformer, as llama.cpp's clip_graph::build_vit composes them."""

from typing import Final

from oomph.estimate.graph.tensor import Tensor
from oomph.estimate.projector.encoder import Encoder, Positioned


def transformer(
    e: Encoder,
    x: Tensor,
    *,
    rms: bool = False,
    positions: Tensor | None = None,
    positioned: Positioned | None = None,
) -> Tensor:
    """The layers of a vision transformer over [n_embd, n_pos, n_batch] (build_vit)."""
    graph, n_embd = e.graph, e.sizes.n_embd
    n_pos, n_batch = x.ne[1], x.ne[2]
    if positions:
        x = graph.add(x, positions)
    x = e.norm_if(graph.reshape(x, n_embd, n_pos * n_batch), "v.pre_ln", rms=rms)
    for il in range(e.sizes.n_layer):
        x = _layer(e, x, il, n_pos, n_batch, rms=rms, positioned=positioned)
    x = e.norm_if(x, "v.post_ln", rms=rms)
    return graph.reshape(x, n_embd, x.ne[1] // n_batch, n_batch)


def _layer(
    e: Encoder,
    x: Tensor,
    il: int,
    n_pos: int,
    n_batch: int,
    *,
    rms: bool,
    positioned: Positioned | None,
) -> Tensor:
    graph, block = e.graph, f"v.blk.{il}"
    y = e.norm(x, f"{block}.ln1", rms=rms)
    q, k, v = _split(e, y, block, n_pos, n_batch, rms=rms)
    if positioned:
        q, k = positioned(q), positioned(k)
    if e.sizes.kind == "gemma4v":
        v = graph.rms_norm(v)
    y = e.attend(q, k, v, f"{block}.attn_out")
    y = _scaled(e, y, f"{block}.ls1.weight")
    y = graph.add(e.norm_if(y, f"{block}.attn_post_norm", rms=rms), x)
    fed = feed_layer(e, e.norm(y, f"{block}.ln2", rms=rms), block)
    fed = e.norm_if(fed, f"{block}.ffn_post_norm", rms=rms)
    y = graph.add(y, _scaled(e, fed, f"{block}.ls2.weight"))
    return _scaled(e, y, f"{block}.out_scale.weight")


def _scaled(e: Encoder, x: Tensor, name: str) -> Tensor:
    return e.graph.mul(x, e.weight(name)) if e.has(name) else x


def feed_layer(e: Encoder, x: Tensor, block: str) -> Tensor:
    """The layer's feed-forward; old files have its matrices under each other's names."""
    up, down = f"{block}.ffn_up", f"{block}.ffn_down"
    swapped = e.sizes.kind in _SWAPS and e.weight(f"{down}.weight").ne[0] == e.sizes.n_embd
    if swapped:
        up, down = down, up
    return e.feed(x, up, down, f"{block}.ffn_gate", e.activation)


_SWAPS: Final = ("mlp", "gemma3", "qwen2vl_merger", "qwen2.5vl_merger")
"""Kinds of which files with swapped names are in use (is_ffn_swapped)."""


def _split(
    e: Encoder, x: Tensor, block: str, n_pos: int, n_batch: int, *, rms: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v by head, of one fused matrix or three, normed where the file has norms."""
    graph, d_head, n_head = e.graph, e.sizes.d_head, e.sizes.n_head
    if e.has(f"{block}.attn_qkv.weight"):
        fused = e.linear(f"{block}.attn_qkv", x)
        steps = (4 * d_head, fused.nb[1], fused.nb[1] * n_pos)
        ne, step = (d_head, n_head, n_pos, n_batch), 4 * n_head * d_head
        q, k, v = (graph.view(fused, ne, steps, i * step) for i in range(3))
        if e.has(f"{block}.attn_q_norm.weight"):
            q, k = (
                e.norm(q, f"{block}.attn_q_norm", rms=rms),
                e.norm(k, f"{block}.attn_k_norm", rms=rms),
            )
        return q, k, v
    q, k, v = (e.linear(f"{block}.attn_{which}", x) for which in "qkv")
    normed = e.spec.tensors.get(f"{block}.attn_q_norm.weight")
    per_head = normed is not None and normed.ne[0] == d_head
    if normed and not per_head:
        q = e.norm(q, f"{block}.attn_q_norm", rms=rms)
        k = e.norm(k, f"{block}.attn_k_norm", rms=rms)
    q, k, v = (graph.reshape(y, d_head, y.ne[0] // d_head, n_pos, n_batch) for y in (q, k, v))
    if per_head:
        q = e.norm(q, f"{block}.attn_q_norm", rms=rms)
        k = e.norm(k, f"{block}.attn_k_norm", rms=rms)
    return q, k, v
