"""The graph of each kind of vision encoder, as llama.cpp's tools/mtmd/models build it."""

from collections.abc import Callable
from typing import Final

from oomph.estimate.graph.tensor import F16, F32, I32, Graph, Tensor
from oomph.estimate.projector.encoder import Encoder
from oomph.estimate.projector.layers import feed_layer, transformer
from oomph.estimate.projector.parts import (
    by_twos,
    grid_positions,
    resized_positions,
    two_frames,
    unshuffled,
)


def _siglip(e: Encoder) -> Tensor:
    """models/siglip.cpp, Gemma 3's branch."""
    graph, n_embd, side = e.graph, e.sizes.n_embd, e.sizes.n_merge
    x = transformer(e, e.patches(), positions=e.weight("v.position_embd.weight"))
    x = graph.cont(graph.transpose(x), e.columns, e.rows, n_embd, 1)
    x = e.pooled(x, side)
    x = graph.cont(graph.transpose(graph.reshape(x, x.ne[0] * x.ne[0], n_embd, 1)))
    x = graph.mul(graph.rms_norm(x), e.weight("mm.soft_emb_norm.weight"))
    matrix = graph.cont(graph.transpose(e.weight("mm.input_projection.weight")))
    return graph.mul_mat(matrix, x)


def _llava(e: Encoder) -> Tensor:
    """models/llava.cpp, the branch of the two-layer projector."""
    graph, x = e.graph, e.patches()
    if e.has("v.class_embd"):
        x = e.concat(x, e.weight("v.class_embd"), 1)
    n_pos = x.ne[1]
    places = e.input("positions", I32, n_pos)
    x = graph.add(x, graph.get_rows(e.weight("v.position_embd.weight"), places))
    x = e.norm_if(x, "v.pre_ln")
    for il in range(e.sizes.n_layer - 1):
        x = _llava_layer(e, x, il, n_pos)
    x = e.norm_if(x, "v.post_ln")
    x = graph.reshape(x, x.ne[0], x.ne[1])
    x = graph.get_rows(x, e.input("patches", I32, e.n_patches))
    x = graph.unary("GELU", e.linear("mm.0", x))
    return e.linear("mm.2", x) if e.has("mm.2.weight") else x


def _llava_layer(e: Encoder, x: Tensor, il: int, n_pos: int) -> Tensor:
    graph, block = e.graph, f"v.blk.{il}"
    y = e.norm(x, f"{block}.ln1")
    q, k, v = (e.linear(f"{block}.attn_{which}", y) for which in "qkv")
    q, k, v = (graph.reshape(t, e.sizes.d_head, e.sizes.n_head, n_pos) for t in (q, k, v))
    y = graph.add(e.attend(q, k, v, f"{block}.attn_out"), x)
    return graph.add(y, feed_layer(e, e.norm(y, f"{block}.ln2"), block))


def _qwen2vl(e: Encoder) -> Tensor:
    """models/qwen2vl.cpp: Qwen2-VL, and Qwen2.5-VL with its windows."""
    graph, n_embd, n_pos = e.graph, e.sizes.n_embd, e.n_patches
    pattern, rms = e.spec.integer("vision.n_wa_pattern", 0), e.sizes.kind != "qwen2vl_merger"
    x = two_frames(e)
    places = e.input("positions", I32, 4 * n_pos)
    x = e.norm_if(x, "v.pre_ln", rms=rms)
    mask = None
    if pattern:
        order = e.input("inv_window_idx", I32, n_pos // 4)
        mask = e.input("window_mask", F32, n_pos, n_pos)
        mask = e.cast(mask, F16) if e.flash_attn else mask
        x = graph.get_rows(graph.reshape(x, n_embd * 4, n_pos // 4), order)
        x = graph.reshape(x, n_embd, n_pos, 1)
    for il in range(e.sizes.n_layer):
        windowed = pattern and (il + 1) % pattern
        x = _qwen2vl_layer(e, x, il, places, mask if windowed else None, rms=rms)
    x = e.norm_if(x, "v.post_ln", rms=rms)
    x = e.feed(graph.reshape(x, n_embd * 4, n_pos // 4, 1), "mm.0", "mm.2")
    if pattern:
        x = graph.reshape(x, x.ne[0], n_pos // 4)
        x = graph.get_rows(x, e.input("window_idx", I32, n_pos // 4))
        x = graph.reshape(x, x.ne[0], n_pos // 4, 1)
    return x


def _qwen2vl_layer(
    e: Encoder, x: Tensor, il: int, places: Tensor, mask: Tensor | None, *, rms: bool
) -> Tensor:
    graph, block = e.graph, f"v.blk.{il}"
    y = e.norm(x, f"{block}.ln1", rms=rms)
    q, k, v = (e.linear(f"{block}.attn_{which}", y) for which in "qkv")
    q, k, v = (graph.reshape(t, e.sizes.d_head, e.sizes.n_head, e.n_patches) for t in (q, k, v))
    q, k = graph.like("ROPE", q, places), graph.like("ROPE", k, places)
    y = graph.add(e.attend(q, k, v, f"{block}.attn_out", mask), x)
    return graph.add(y, feed_layer(e, e.norm(y, f"{block}.ln2", rms=rms), block))


def _qwen3vl(e: Encoder) -> Tensor:
    """models/qwen3vl.cpp: Qwen3-VL with its deepstack, Qwen3.5 and 3.6 without."""
    graph, n_embd = e.graph, e.sizes.n_embd
    x = graph.add(two_frames(e), e.weight("v.patch_embd.bias"))
    x = graph.add(x, by_twos(e, resized_positions(e)))
    places = e.input("positions", I32, 4 * e.n_patches)
    x = e.norm_if(x, "v.pre_ln")
    deep, merged = None, e.sizes.n_merge**2
    for il in range(e.sizes.n_layer):
        x = _qwen3vl_layer(e, x, il, places)
        if e.has(f"v.deepstack.{il}.fc1.weight"):
            part = graph.reshape(x, n_embd * merged, e.n_patches // merged, 1)
            part = e.norm(part, f"v.deepstack.{il}.norm")
            part = e.feed(part, f"v.deepstack.{il}.fc1", f"v.deepstack.{il}.fc2")
            deep = e.concat(deep, part, 0) if deep else part
    x = e.norm_if(x, "v.post_ln")
    x = e.feed(graph.reshape(x, n_embd * 4, e.n_patches // 4, 1), "mm.0", "mm.2")
    return e.concat(x, deep, 0) if deep else x


def _qwen3vl_layer(e: Encoder, x: Tensor, il: int, places: Tensor) -> Tensor:
    graph, block, d_head = e.graph, f"v.blk.{il}", e.sizes.d_head
    fused = e.linear(f"{block}.attn_qkv", e.norm(x, f"{block}.ln1"))
    ne, steps = (d_head, e.sizes.n_head, e.n_patches), (4 * d_head, fused.nb[1])
    q, k, v = (graph.view(fused, ne, steps, i * 4 * e.sizes.n_embd) for i in range(3))
    q, k = graph.like("ROPE", q, places), graph.like("ROPE", k, places)
    y = graph.add(e.attend(q, k, v, f"{block}.attn_out"), x)
    return graph.add(y, feed_layer(e, e.norm(y, f"{block}.ln2"), block))


def _pixtral(e: Encoder) -> Tensor:
    """models/pixtral.cpp: Pixtral, Mistral Small 3.1 and 3.2, Ministral 3."""
    graph, n = e.graph, e.sizes.n_merge
    positioned, first = grid_positions(e, "pos_h", "pos_w"), e.patches()
    x = transformer(e, first, rms=True, positioned=positioned)
    if e.has("mm.patch_merger.weight"):
        x = graph.mul(graph.rms_norm(x), e.weight("mm.input_norm.weight"))
        x = graph.reshape(x, e.sizes.n_embd, e.columns, e.rows)
        x = graph.cont(graph.permute(x, 2, 0, 1, 3))
        kernel = graph.view(x, (n, n, x.ne[2]), (0, 0))
        x = e.im2col(kernel, x, F32)
        x = e.matmul("mm.patch_merger.weight", graph.reshape(x, x.ne[0], x.ne[1] * x.ne[2]))
    x = e.feed(x, "mm.1", "mm.2")
    if e.has("v.token_embd.img_break"):
        rows, columns, width = e.rows // n, e.columns // n, x.ne[0]
        ends = graph.scale(graph.leaf(x.quant, width, 1, rows, name="breaks"))
        ends = graph.add(ends, e.weight("v.token_embd.img_break"))
        x = e.concat(graph.reshape(x, width, columns, rows), ends, 1)
        x = graph.view(x, (width, columns * rows + rows - 1), (4 * width,))
    return x


def _tabled_positions(e: Encoder, x: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """`x` plus a row of each of two tables, by column and by row (Gemma 4)."""
    graph, table, n_embd = e.graph, e.weight("v.position_embd.weight"), e.sizes.n_embd
    step, length = table.quant.row_bytes(n_embd), table.ne[1]
    for i, places in enumerate((across, down)):
        part = graph.view(table, (n_embd, length), (step,), i * length * step)
        x = graph.add(x, graph.get_rows(part, places))
    return x


def _gemma4v(e: Encoder) -> Tensor:
    """models/gemma4v.cpp."""
    graph, n_embd, n = e.graph, e.sizes.n_embd, e.sizes.n_merge
    x = e.patches(graph.scale(e.pixels()))
    across, down = (e.input(name, I32, e.n_patches) for name in ("pos_x", "pos_y"))
    x = _tabled_positions(e, x, across, down)
    x = transformer(
        e,
        x,
        rms=True,
        positioned=lambda y: graph.like("ROPE", graph.like("ROPE", y, across), down),
    )
    x = e.pooled(graph.cont(graph.transpose(x), e.columns, e.rows, n_embd, e.n_batch), n)
    x = graph.reshape(x, (e.columns // n) * (e.rows // n), n_embd, e.n_batch)
    x = graph.scale(graph.cont(graph.transpose(x)))
    if e.has("v.std_bias") and e.has("v.std_scale"):
        x = graph.like("SUB", x, e.weight("v.std_bias"))
        x = graph.mul(x, e.weight("v.std_scale"))
    return e.matmul("mm.input_projection.weight", graph.rms_norm(x))


def _gemma4uv(e: Encoder) -> Tensor:
    """models/gemma4uv.cpp: no encoder, patches projected as they are."""
    graph, side = e.graph, e.sizes.patch_size
    kernel = graph.leaf(F32, side, side, 3, name="kernel")
    x = e.im2col(kernel, e.pixels(), F32)
    x = e.norm(graph.reshape(x, x.ne[0], x.ne[1] * x.ne[2] * x.ne[3]), "v.patch_norm.1")
    x = graph.mul_mat(e.weight("v.patch_embd.weight"), x)
    x = e.norm(graph.add(x, e.weight("v.patch_embd.bias")), "v.patch_norm.2")
    across, down = (e.input(name, I32, e.n_patches) for name in ("pos_x", "pos_y"))
    x = e.norm(_tabled_positions(e, x, across, down), "v.patch_norm.3")
    return graph.mul_mat(e.weight("mm.input_projection.weight"), graph.rms_norm(x))


def _internvl(e: Encoder) -> Tensor:
    """models/internvl.cpp."""
    graph, n_embd, n, n_batch = e.graph, e.sizes.n_embd, e.sizes.n_merge, e.n_batch
    token = e.weight("v.class_embd")
    token = graph.node("REPEAT", (token.ne[0], 1, n_batch), token, quant=token.quant)
    x = e.concat(e.patches(), token, 1)
    rms = (n_embd, e.sizes.n_layer) == (3200, 45)
    x = transformer(e, x, rms=rms, positions=e.weight("v.position_embd.weight"))
    x = graph.cont(graph.view(x, (n_embd, e.n_patches, n_batch), x.nb[1:3]))
    x = graph.reshape(x, n_embd * n, e.rows // n, e.columns, n_batch)
    x = graph.permute(x, 0, 2, 1, 3)
    x = graph.cont(x, n_embd * n * n, e.rows // n, e.columns // n, n_batch)
    x = graph.permute(x, 0, 2, 1, 3)
    x = graph.cont(x, n_embd * n * n, x.ne[1] * x.ne[2], x.ne[3])
    x = e.norm(x, "mm.model.mlp.0")
    return e.feed(x, "mm.model.mlp.1", "mm.model.mlp.3")


def _glm4v(e: Encoder) -> Tensor:
    """models/glm4v.cpp."""
    graph, n_embd, n = e.graph, e.sizes.n_embd, e.sizes.n_merge
    pixels = e.pixels()
    one = e.conv_2d(e.weight("v.patch_embd.weight"), pixels)
    places = e.input("positions", I32, 4 * e.n_patches)
    x = graph.add(one, e.conv_2d(e.weight("v.patch_embd.weight.1"), pixels))
    x = graph.add(by_twos(e, graph.permute(x, 1, 2, 0, 3)), e.weight("v.patch_embd.bias"))
    x = e.norm_if(x, "v.norm_embd", rms=True)
    learned = None
    if e.has("v.position_embd.weight"):
        learned = by_twos(e, resized_positions(e))
    x = transformer(
        e,
        x,
        rms=True,
        positions=learned,
        positioned=lambda y: graph.like("ROPE", y, places),
    )
    tokens = e.n_patches // n // n
    x = graph.permute(graph.reshape(x, n_embd, n, n, tokens), 2, 0, 1, 3)
    x = e.conv_2d(e.weight("mm.patch_merger.weight"), graph.cont(x))
    x = graph.add(graph.reshape(x, x.ne[2], tokens), e.weight("mm.patch_merger.bias"))
    x = e.norm(e.matmul("mm.model.fc.weight", x), "mm.post_norm")
    return e.feed(graph.unary("GELU_ERF", x), "mm.up", "mm.down", "mm.gate", e.activation)


def _llama4(e: Encoder) -> Tensor:
    """models/llama4.cpp."""
    graph, n_embd, n, side = e.graph, e.sizes.n_embd, e.sizes.n_merge, e.sizes.patch_size
    n_pos = e.n_patches + 1
    down, across = (e.input(name, I32, n_pos) for name in ("pos_h", "pos_w"))
    table = e.weight("v.patch_embd.weight")
    kernel = graph.reshape(table, side, side, 3, n_embd)
    x = graph.mul_mat(table, e.im2col(kernel, e.pixels(), F32))
    x = e.concat(graph.reshape(x, n_embd, e.n_patches), e.weight("v.class_embd"), 1)
    x = transformer(
        e,
        x,
        positions=e.weight("v.position_embd.weight"),
        positioned=lambda y: graph.like("ROPE", graph.like("ROPE", y, across), down),
    )
    x = graph.view(x, (n_embd, e.n_patches), (4 * n_embd,))
    x = graph.reshape(x, n_embd * n, e.columns // n, e.rows, 1)
    x = graph.permute(x, 0, 2, 1, 3)
    x = graph.cont(x, n_embd * n * n, e.columns // n, e.rows // n, 1)
    x = graph.cont(x, n_embd * n * n, e.n_patches // n // n)
    for i in (1, 2):
        x = graph.unary("GELU", e.matmul(f"mm.model.mlp.{i}.weight", x))
    return e.matmul("mm.model.fc.weight", x)


def _kimivl(e: Encoder) -> Tensor:
    """models/kimivl.cpp."""
    graph, n_embd, n = e.graph, e.sizes.n_embd, e.sizes.n_merge
    positioned, learned = grid_positions(e, "pos_w", "pos_h"), resized_positions(e)
    x = transformer(e, e.patches(), positions=learned, positioned=positioned)
    x = unshuffled(e, x)
    width, tokens = x.ne[0], x.ne[1]
    x = e.norm(graph.view(x, (n_embd, tokens * n * n), (4 * n_embd,)), "mm.input_norm")
    return e.feed(graph.view(x, (width, tokens), (4 * width,)), "mm.1", "mm.2")


TOWERS: Final[dict[str, Callable[[Encoder], Tensor]]] = {
    "mlp": _llava,
    "gemma3": _siglip,
    "gemma4v": _gemma4v,
    "gemma4uv": _gemma4uv,
    "qwen2vl_merger": _qwen2vl,
    "qwen2.5vl_merger": _qwen2vl,
    "qwen3vl_merger": _qwen3vl,
    "glm4v": _glm4v,
    "pixtral": _pixtral,
    "kimivl": _kimivl,
    "llama4": _llama4,
    "internvl": _internvl,
}


def encoder_graph(e: Encoder) -> Graph:
    """The whole graph of the encoder `e`, which is used up by it."""
    e.graph.expand(TOWERS[e.sizes.kind](e))
    return e.graph
