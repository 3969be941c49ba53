"""How encoders arrange patches and their positions: what several towers have in common."""

from math import isqrt

from oomph.estimate.graph.tensor import I32, Tensor
from oomph.estimate.projector.encoder import Encoder, Positioned


def grid_positions(e: Encoder, first: str, second: str) -> Positioned:
    """RoPE over two dimensions, one half of a head each (build_rope_2d)."""
    one, other = (e.input(name, I32, e.n_patches) for name in (first, second))
    return lambda x: e.graph.like("ROPE", e.graph.like("ROPE", x, one), other)


def resized_positions(e: Encoder) -> Tensor:
    """The learned positions stretched to the image's patches (resize_position_embeddings)."""
    graph, table, n_embd = e.graph, e.weight("v.position_embd.weight"), e.sizes.n_embd
    side = isqrt(table.ne[1])
    if e.columns == side and e.rows == side:
        return table
    x = graph.permute(graph.reshape(table, n_embd, side, side), 2, 0, 1, 3)
    x = graph.node("UPSCALE", (e.columns, e.rows, n_embd), x)
    return graph.cont(graph.permute(x, 1, 2, 0, 3), n_embd, e.n_patches)


def by_twos(e: Encoder, x: Tensor) -> Tensor:
    """Patches reordered so that the four of a square lie together."""
    graph, n_embd = e.graph, e.sizes.n_embd
    x = graph.cont(x, n_embd * 2, e.columns // 2, e.rows, 1)
    x = graph.reshape(x, n_embd * 2, e.columns // 2, 2, e.rows // 2)
    return graph.cont(graph.permute(x, 0, 2, 1, 3), n_embd, e.n_patches, 1)


def two_frames(e: Encoder) -> Tensor:
    """A still image taken for two frames of a film, by twos (build_inp_with_temporal_merge)."""
    graph, pixels = e.graph, e.pixels()
    one, other = (
        e.conv_2d(e.weight(f"v.patch_embd.weight{frame}"), pixels) for frame in ("", ".1")
    )
    return by_twos(e, graph.permute(graph.add(one, other), 1, 2, 0, 3))


def unshuffled(e: Encoder, x: Tensor) -> Tensor:
    """Squares of patches folded into one wider token each (build_patch_merge_permute)."""
    graph, n = e.graph, e.sizes.n_merge
    x = graph.reshape(x, x.ne[0], e.columns, e.rows)
    columns, rows = -(-e.columns // n) * n, -(-e.rows // n) * n
    if (columns, rows) != (e.columns, e.rows):
        x = graph.node("PAD", (x.ne[0], columns, rows), x)
    width = x.ne[0]
    x = graph.permute(graph.reshape(x, width * n, columns // n, rows), 0, 2, 1, 3)
    x = graph.cont(x, width * n * n, rows // n, columns // n)
    x = graph.permute(x, 0, 2, 1, 3)
    return graph.cont(x, x.ne[0], x.ne[1] * x.ne[2])
