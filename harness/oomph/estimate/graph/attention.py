"""Attention, part by part: projections, norms, the KV cache, the product.

`attend` is llama.cpp's build_attn with build_attn_mha; the functions after it are the kinds of
attention that the architectures compose: standard and gated (qwen3next). Latent attention is in
`latent`.
"""

from collections.abc import Callable
from math import prod

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F16, F32, I64, Tensor

ROTATION_STEP = 64
"""Head widths that a quantized cache's Hadamard rotation divides."""


def attend(  # noqa: PLR0913 - build_attn_mha's own arguments
    b: Builder,
    q: Tensor,
    k: Tensor | None,
    v: Tensor | None,
    il: int,
    *,
    output: str | None = "attn_output",
    sinks: Tensor | None = None,
    up: Tensor | None = None,
    narrow: Callable[[Tensor], Tensor] | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Attention of `q` [head_k, n_head, n_tokens] over the layer's cache, into which `k` and `v`
    are written first; an encoder's layer sees the tokens of the batch alone.

    Without `k` and `v` the layer reads the cache of another (`LayerShape.cache_layer`). `output`
    names the output projection. `bias` is added to the scores, which are then not fused. `up` is
    MLA's v_b: then `v` is the first `v.ne[0]` elements of the cached K.
    """
    rotates_k, rotates_v = rotation(b, il, latent=up is not None)
    if rotates_k:
        q = rotate(b, q, "k", rotates_k, il)
        k = rotate(b, k, "k", rotates_k, il) if k else None
    if rotates_v and v:
        v = rotate(b, v, "v", rotates_v, il)
    for x in (q, k, v) if b.hparams.has_swa or not b.hparams.reads_cache else (q, v, k):
        if x:
            b.graph.expand(x)
    if not b.hparams.reads_cache and k and v:
        seen = mask(b, il, b.n_tokens, n_stream=1)
        y = product(b, q, k, v, seen, il, sinks=sinks, bias=bias)
        return b.linear(output, b.graph.expand(y), il) if output else y
    cached_k = keep_k(b, k, il)
    if up is not None and v is not None:
        cached_v = b.graph.view(cached_k, (v.ne[0], *cached_k.ne[1:]), cached_k.nb[1:])
    else:
        cached_v = keep_v(b, v, il)
    seen = mask(b, il, cached_k.ne[2], n_stream=b.sizes.n_stream)
    seen = narrow(seen) if narrow else seen
    y = product(b, q, cached_k, cached_v, seen, il, sinks=sinks, up=up, bias=bias)
    b.graph.expand(y)
    if rotates_v:
        y = rotate(b, y, "v", rotates_v, il)
    return b.linear(output, y, il) if output else y


def _tag(b: Builder, il: int) -> str:
    return "_swa" if b.shape(il).is_swa else ""


def _cells(b: Builder, il: int) -> int:
    return b.sizes.cells_swa if b.shape(il).is_swa else b.sizes.cells


def rotation(b: Builder, il: int, *, latent: bool) -> tuple[int, int]:
    """Widths of the rotations of K and V (llama_kv_cache::build_input_k_rot, _v_rot), 0 for
    none."""
    is_quantized = b.cache.k.is_quantized or b.cache.v.is_quantized
    if latent or not (is_quantized and b.build.rotates_cache and b.hparams.reads_cache):
        return 0, 0
    owners = b.hparams.cache_owners(is_swa=b.shape(il).is_swa) or (il,)
    widths_k, widths_v = (
        {getattr(b.shape(i), which) for i in owners} for which in ("head_k", "head_v")
    )
    k_width = v_width = 0
    if (
        b.cache.k.is_quantized
        and _is_one_width(widths_k)
        and b.shape(0).head_k % ROTATION_STEP == 0
    ):
        k_width = ROTATION_STEP
        while b.shape(il).head_k % (2 * k_width) == 0:
            k_width *= 2
    if (
        b.cache.v.is_quantized
        and _is_one_width(widths_v)
        and b.shape(0).head_v % ROTATION_STEP == 0
    ):
        v_width = ROTATION_STEP
    return k_width, v_width


def _is_one_width(widths: set[int]) -> bool:
    return len(widths) == 1 and min(widths) > 0


def rotate(b: Builder, x: Tensor, which: str, width: int, il: int) -> Tensor:
    """`x` times the Hadamard matrix that spreads outliers before a cache is quantized: `which` is
    k or v."""
    return hadamard(b, x, b.input(f"attn_inp_{which}_rot{_tag(b, il)}", F32, width, width))


def hadamard(b: Builder, x: Tensor, matrix: Tensor) -> Tensor:
    """`x` turned by `matrix`, piece by piece (llama_mul_mat_hadamard)."""
    graph, width = b.graph, matrix.ne[0]
    flat = (graph.reshape if x.is_contiguous else graph.cont)(x, width, prod(x.ne) // width)
    return graph.reshape(graph.mul_mat(matrix, flat), *x.ne)


def store(b: Builder, x: Tensor, cache: Tensor, ids: Tensor) -> None:
    """Write `x`, one row per token, to the rows `ids` of the cache (cpy_k, and cpy_v with flash
    attention)."""
    graph, width = b.graph, x.ne[0] * x.ne[1]
    rows = graph.view(x, (width, x.ne[2]), (x.nb[2],))
    if b.sizes.n_stream > 1:
        cache = graph.reshape(cache, width, cache.ne[1] * cache.ne[2])
    graph.expand(graph.set_rows(cache, rows, ids))


def keep_k(b: Builder, k: Tensor | None, il: int) -> Tensor:
    """The cached K [head_k, n_head_kv, n_cells, n_stream], `k` written to it first."""
    shape, cells, quant = b.shape(il), _cells(b, il), b.cache.k
    cache = b.stored("k", shape.cache_layer, quant, shape.k_width, cells, b.sizes.n_stream)
    if k:
        store(b, k, cache, b.input(f"attn_inp_k_idxs{_tag(b, il)}", I64, b.n_tokens))
    row = quant.row_bytes(shape.k_width)
    steps = (quant.row_bytes(shape.head_k), row, row * cells)
    return b.graph.view(cache, (shape.head_k, shape.n_head_kv, cells, b.sizes.n_stream), steps)


def keep_v(b: Builder, v: Tensor | None, il: int) -> Tensor:
    """The same of V: a row per token for flash attention, transposed else."""
    shape, cells, quant, n_stream = b.shape(il), _cells(b, il), b.cache.v, b.sizes.n_stream
    if not b.cache.transposes_v:
        cache = b.stored("v", shape.cache_layer, quant, shape.v_width, cells, n_stream)
        if v:
            store(b, v, cache, b.input(f"attn_inp_v_idxs{_tag(b, il)}", I64, b.n_tokens))
        row = quant.row_bytes(shape.v_width)
        steps = (quant.row_bytes(shape.head_v), row, row * cells)
        return b.graph.view(cache, (shape.head_v, shape.n_head_kv, cells, n_stream), steps)
    width = b.hparams.v_width_max
    cache = b.stored("v", shape.cache_layer, quant, width, cells, n_stream)
    if v:
        _store_transposed(
            b, v, cache, b.input(f"attn_inp_v_idxs{_tag(b, il)}", I64, b.n_tokens * width)
        )
    column = quant.row_bytes(cells)
    steps = (quant.row_bytes(cells * shape.head_v), column, quant.row_bytes(cells * width))
    return b.graph.view(cache, (cells, shape.n_head_kv, shape.head_v, n_stream), steps)


def _store_transposed(b: Builder, v: Tensor, cache: Tensor, ids: Tensor) -> None:
    """Write `v` element by element, each its own row; a narrower layer's V is padded to the cache's
    width."""
    graph, width = b.graph, v.ne[0] * v.ne[1]
    mergeable = v.quant.row_bytes(width) == v.nb[2]
    flat = (graph.reshape if mergeable else graph.cont)(v, width, v.ne[2])
    if width < cache.ne[0]:
        flat = graph.node("PAD", (cache.ne[0], v.ne[2]), flat)
    target = graph.reshape(cache, 1, prod(cache.ne))
    graph.expand(graph.set_rows(target, graph.reshape(flat, 1, prod(flat.ne)), ids))


def mask(b: Builder, il: int, n_kv: int, *, n_stream: int) -> Tensor:
    """Which of `n_kv` cells each token sees."""
    name = f"attn_inp_kq_mask{_tag(b, il)}"
    kind = F16 if b.cache.flash_attn and b.build.narrow_mask else F32
    seen = b.input(name, kind, n_kv, b.n_tokens // n_stream, 1, n_stream)
    if not b.cache.flash_attn or b.build.narrow_mask:
        return seen
    return b.once(f"{name}_cnv", "cast", lambda: b.graph.node("CPY", seen.ne, seen, quant=F16))


def _by_head(b: Builder, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Heads moved to the third dimension, streams to the fourth."""
    graph, n_stream = b.graph, k.ne[3]
    n = q.ne[2] // n_stream
    q = graph.view(q, (q.ne[0], q.ne[1], n, n_stream), (q.nb[1], q.nb[2], q.nb[2] * n))
    return graph.permute(q, 0, 2, 1, 3), graph.permute(k, 0, 2, 1, 3), graph.permute(v, 0, 2, 1, 3)


def product(  # noqa: PLR0913 - build_attn_mha's own arguments
    b: Builder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    il: int,
    *,
    sinks: Tensor | None = None,
    up: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Attention's product, fused where flash attention is on and the scores have no bias
    (build_attn_mha)."""
    if b.cache.flash_attn and bias is None:
        return fused(b, q, k, v, mask, il, sinks, up)
    return plain(b, q, k, v, mask, il, sinks, up, bias)


def fused(
    b: Builder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    il: int,
    sinks: Tensor | None,
    up: Tensor | None,
) -> Tensor:
    """Flash attention; `up` is MLA's v_b."""
    graph = b.graph
    q, k, v = _by_head(b, q, k, v)
    k, v = (
        graph.node("CPY", x.ne, x, quant=F16) if x.quant is F32 else x for x in (k, v)
    )  # ggml_cast
    y = graph.node("FLASH_ATTN_EXT", (v.ne[0], q.ne[2], q.ne[1], q.ne[3]), q, k, v, mask, sinks)
    b.fused_layers[y] = il
    if up is not None:
        y = graph.mul_mat(up, graph.permute(y, 0, 2, 1, 3))
        y = graph.cont(graph.permute(y, 0, 2, 1, 3))
    return graph.reshape(y, y.ne[0] * y.ne[1], y.ne[2] * y.ne[3])


def plain(  # noqa: PLR0913 - build_attn_mha's own arguments
    b: Builder,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    il: int,
    sinks: Tensor | None,
    up: Tensor | None,
    bias: Tensor | None = None,
) -> Tensor:
    """Attention of its parts; `up` is MLA's v_b."""
    graph, transposed = b.graph, v.nb[1] > v.nb[2]
    q, k, v = _by_head(b, q, k, v)
    scores = graph.mul_mat(k, q)
    if b.rules.softcaps_scores:
        scores = graph.scale(graph.unary("TANH", graph.scale(scores)))
    if bias:
        scores = graph.add(scores, bias)
    scores = graph.like("SOFT_MAX", scores, mask, sinks)
    if not transposed:
        v = graph.cont(graph.transpose(v))
    y = graph.mul_mat(v, scores)
    if up is not None:
        y = graph.mul_mat(up, y)
    y = graph.permute(y, 0, 2, 1, 3)
    y = graph.cont(y, y.ne[0] * y.ne[1], y.ne[2] * y.ne[3])
    if not b.placement.offloads_kqv:
        # build_attn_mha keeps attention next to a cache on the CPU
        y.pinned = b.placement.backends[-1]
    return y


# --- projections


def project_qkv(b: Builder, x: Tensor, il: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v by head, from one fused matrix or three (build_qkv)."""
    graph, shape, n = b.graph, b.shape(il), b.n_tokens
    cuts = (
        (shape.head_k, shape.n_head),
        (shape.head_k, shape.n_head_kv),
        (shape.head_v, shape.n_head_kv),
    )
    if b.has("attn_qkv.weight", il):
        fused, offset, parts = _clamped(b, _fused_projection(b, x, il)), 0, []
        for width, heads in cuts:
            parts.append(graph.view(fused, (width, heads, n), (4 * width, fused.nb[1]), 4 * offset))
            offset += width * heads
    else:
        q, k = (_clamped(b, b.linear(name, x, il)) for name in ("attn_q", "attn_k"))
        v = _clamped(b, b.linear("attn_v", x, il)) if b.has("attn_v.weight", il) else k
        parts = [
            graph.reshape(y, width, heads, n)
            for y, (width, heads) in zip((q, k, v), cuts, strict=True)
        ]
    return parts[0], parts[1], parts[2]


def _fused_projection(b: Builder, x: Tensor, il: int) -> Tensor:
    """The one matrix for q, k and v, with its bias or with those of the three."""
    graph, fused = b.graph, b.linear("attn_qkv", x, il)
    biases = [b.weight_if(f"attn_{which}.bias", il) for which in "qkv"]
    q, k, v = biases
    if b.has("attn_qkv.bias", il) or not (q and k and v):
        return fused
    return graph.add(fused, graph.concat(graph.concat(q, k), v))


def _clamped(b: Builder, x: Tensor) -> Tensor:
    """A projection cut to what the metadata allow (OLMo, DBRX)."""
    clamps = b.rules.clamps_projections and b.model.hparam("attention.clamp_kqv", 0.0) > 0
    return b.graph.like("CLAMP", x) if clamps else x


def rope(b: Builder, x: Tensor, il: int, *, factors: bool = True) -> Tensor:
    """`x` rotated by the tokens' positions."""
    takes = factors and (
        b.family.rope.factors == "all"
        or (b.family.rope.factors == "full" and not b.shape(il).is_swa)
    )
    return b.graph.like("ROPE", x, b.positions(), b.rope_factors(il) if takes else None)


# --- kinds of attention


def standard(b: Builder, x: Tensor, il: int) -> Tensor:
    """Projections, q/k norms and RoPE where there are, attention."""
    sinks = b.weight_if("attn_sinks.weight", il)
    if b.shape(il).cache_layer != il:
        q = b.graph.reshape(
            b.linear("attn_q", x, il), b.shape(il).head_k, b.shape(il).n_head, b.n_tokens
        )
        return attend(b, positioned(b, q, "attn_q_norm", il), None, None, il, sinks=sinks)
    q, k, v = _normed_rows(b, x, il) if _norms_rows(b, il) else project_qkv(b, x, il)
    q, k = positioned(b, q, "attn_q_norm", il), positioned(b, k, "attn_k_norm", il)
    if b.rules.norms_v or (b.rules.norms_shared_v and not b.has("attn_v.weight", il)):
        v = b.norm(v, None)
    q = tempered(b, q, il)
    if b.rules.scales_q:
        q = b.graph.scale(q)
    if b.has("attn_gate.weight", il):
        return gated_output(b, x, attend(b, q, k, v, il, output=None, sinks=sinks), il)
    if b.has("attn_sub_norm.weight", il):
        y = attend(b, q, k, v, il, output=None, sinks=sinks)
        return b.linear("attn_output", b.norm(y, "attn_sub_norm", il), il)
    y = attend(b, q, k, v, il, sinks=sinks)
    return b.graph.scale(y) if b.model.hparam("attention.value_scale", 1.0) not in (0, 1) else y


def gated_output(b: Builder, x: Tensor, y: Tensor, il: int) -> Tensor:
    """The heads' outputs `y` times a gate computed of the layer's input, an element or a head at a
    time, projected."""
    graph, shape = b.graph, b.shape(il)
    gate = graph.unary(b.rules.gate_activation.upper(), b.linear("attn_gate", x, il))
    if gate.ne[0] != shape.n_head:
        return b.linear("attn_output", graph.mul(y, gate), il)
    by_head = graph.reshape(y, y.ne[0] // shape.n_head, shape.n_head, b.n_tokens)
    gated_heads = graph.mul(by_head, graph.reshape(gate, 1, shape.n_head, b.n_tokens))
    return b.linear("attn_output", graph.reshape(gated_heads, *y.ne[:2]), il)


def _norms_rows(b: Builder, il: int) -> bool:
    return b.rules.qk_norm == "rows" and b.has("attn_q_norm.weight", il)


def positioned(b: Builder, x: Tensor, norm: str, il: int) -> Tensor:
    """q or k by head: normed where the file has `norm`, rotated where the layer has RoPE, in the
    order of the row."""
    norms = b.has(f"{norm}.weight", il) and not _norms_rows(b, il)
    kind = "NORM" if b.rules.head_norm == "layer" else None
    if norms and b.rules.qk_norm == "heads":
        x = b.norm(x, norm, il, kind=kind)
    if b.shape(il).has_rope:
        x = rope(b, x, il)
        if b.hparams.n_expert < b.rules.norms_rotated_below:
            x = b.norm(x, None)
    if b.rules.qk_norm != "rotated" or not (norms or not b.rules.has_norm_weights):
        return x
    return b.norm(x, norm if norms else None, il)


def tempered(b: Builder, q: Tensor, il: int) -> Tensor:
    """q times a factor that grows with its position, on the layers that the row says
    (build_inp_attn_scale)."""
    kind = b.rules.temperature
    by_layer = kind == "unrotated" and not b.shape(il).has_rope
    if by_layer or (kind == "metadata" and b.model.hparam("attention.temperature_scale", 0.0)):
        return b.graph.mul(q, b.input("inp_attn_scale", F32, 1, 1, b.n_tokens))
    return q


def _normed_rows(b: Builder, x: Tensor, il: int) -> tuple[Tensor, Tensor, Tensor]:
    """q and k normed as whole rows, then cut into heads (OLMo)."""
    graph, shape, n = b.graph, b.shape(il), b.n_tokens
    q, k, v = (b.linear(f"attn_{which}", x, il) for which in "qkv")
    q, k = b.norm(q, "attn_q_norm", il), b.norm(k, "attn_k_norm", il)
    return (
        graph.reshape(q, shape.head_k, shape.n_head, n),
        graph.reshape(k, shape.head_k, shape.n_head_kv, n),
        graph.reshape(v, shape.head_v, shape.n_head_kv, n),
    )


def gated(
    b: Builder, x: Tensor, il: int, *, narrow: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Attention whose output a second half of the q projection gates (qwen3next); `narrow` changes
    the mask (sparse attention)."""
    graph, shape, n = b.graph, b.shape(il), b.n_tokens
    width = shape.head_k
    both = b.linear("attn_q", x, il)
    if b.rules.repeats_keys:
        both = graph.reshape(both, 2 * width, shape.n_head, n)
    k, v = b.linear("attn_k", x, il), b.linear("attn_v", x, il)
    steps = (8 * width, 8 * width * shape.n_head)
    q = graph.view(both, (width, shape.n_head, n), steps)
    gate = graph.view(both, (width, shape.n_head, n), steps, 4 * width)
    k, v = (
        graph.reshape(k, width, shape.n_head_kv, n),
        graph.reshape(v, shape.head_v, shape.n_head_kv, n),
    )
    q, k = b.norm(q, "attn_q_norm", il), b.norm(k, "attn_k_norm", il)
    q, k = rope(b, q, il, factors=False), rope(b, k, il, factors=False)
    y = attend(b, q, k, v, il, output=None, narrow=narrow)
    gate = graph.unary("SIGMOID", graph.cont(gate, width * shape.n_head, n))
    return b.linear("attn_output", graph.mul(y, gate), il)
