"""MiniMax-M3's sparse attention: an indexer chooses blocks of positions, by their best key.

A batch masks the cells of all other blocks, stream by stream; a decoding step gathers those of the
chosen ones. At load a graph is of as few positions as an empty cache has, whatever the context
(src/models/minimax-m3.cpp, llama_kv_cache_msa_context::get_n_pos).
"""

from oomph.estimate.graph import attention
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F16, F32, I32, I64, Tensor, pad
from oomph.gguf.ggml_types import QuantType


def attend(b: Builder, x: Tensor, il: int) -> Tensor:
    """Attention over the blocks that the indexer chose: with flash attention, past the dense
    layers, where each sequence has a stream of its own."""
    is_split = b.sizes.n_stream == b.sizes.n_seqs
    if not (b.shape(il).index_width and b.cache.flash_attn and is_split):
        return attention.standard(b, x, il)
    shape = b.shape(il)
    q, k, v = attention.project_qkv(b, x, il)
    q, k = (
        attention.positioned(b, q, "attn_q_norm", il),
        attention.positioned(b, k, "attn_k_norm", il),
    )
    index_q, index_k = _index(b, x, il)
    turns_k, turns_v = attention.rotation(b, il, latent=False)
    if turns_k:
        q, k = attention.rotate(b, q, "k", turns_k, il), attention.rotate(b, k, "k", turns_k, il)
    if turns_v:
        v = attention.rotate(b, v, "v", turns_v, il)
    for each in (q, k, v):
        b.graph.expand(each)
    k, v = attention.keep_k(b, k, il), attention.keep_v(b, v, il)
    chosen = _gathered if b.n_tokens == b.sizes.n_stream else _masked
    y = chosen(b, q, k, v, index_q, index_k, shape.n_head // shape.n_head_kv)
    if turns_v:
        y = attention.rotate(b, y, "v", turns_v, il)
    return b.linear("attn_output", y, il)


def _index(b: Builder, x: Tensor, il: int) -> tuple[Tensor, Tensor]:
    """The indexer's queries [width, heads, n_tokens], and all keys of its cache."""
    graph, width, n = b.graph, b.shape(il).index_width, b.n_tokens
    cells, n_stream, kind = b.sizes.cells, b.sizes.n_stream, b.cache.k
    q = graph.reshape(b.linear("indexer.q_proj", x, il), width, _heads(b), n)
    k = graph.reshape(b.linear("indexer.k_proj", x, il), width, 1, n)
    q = attention.rope(b, b.norm(q, "indexer.q_norm", il), il)
    k = attention.rope(b, b.norm(k, "indexer.k_norm", il), il)
    cache = b.stored("idx_k", il, kind, width, cells, n_stream)
    attention.store(b, k, cache, b.input("attn_inp_k_idxs_idx", I64, n))
    row = kind.row_bytes(width)
    return q, graph.view(cache, (width, 1, cells, n_stream), (row, row, row * cells))


def _heads(b: Builder) -> int:
    return b.model.integer("attention.indexer.head_count")


def _sizes(b: Builder) -> tuple[int, int, int]:
    """The positions of a block, those of all blocks, and how many blocks are chosen."""
    block = b.model.integer("attention.indexer.block_size")
    n = pad(b.sizes.n_positions, block)
    return block, n, min(b.model.integer("attention.indexer.top_k"), n // block)


def _blocks(b: Builder, scores: Tensor, bias: Tensor, block: int, n_best: int) -> Tensor:
    """The best blocks of the positions scored, those nearby before all."""
    graph = b.graph
    best = graph.node("POOL_2D", (scores.ne[0] // block, *scores.ne[1:]), scores)
    best = graph.add(best, bias)
    return graph.node("TOP_K", (n_best, *best.ne[1:]), best, quant=I32)


def _fused(b: Builder, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, n_shared: int) -> Tensor:
    """Flash attention with groups of `n_shared` heads, and streams, side by side
    (build_attn_msa_fa)."""
    graph, (width, n_head, n), n_groups = b.graph, q.ne[:3], k.ne[3]
    rows = n_head * n // (n_shared * n_groups)
    q = graph.permute(graph.reshape(q, width, n_shared, n_groups, rows), 0, 2, 3, 1)
    y = graph.node("FLASH_ATTN_EXT", (v.ne[0], q.ne[2], q.ne[1], q.ne[3]), q, k, v, mask)
    y = graph.permute(y, 0, 1, 3, 2)
    y = y if y.is_contiguous else graph.cont(y)
    return graph.reshape(y, width * n_head, n)


def _cast(b: Builder, x: Tensor, kind: QuantType) -> Tensor:
    return b.graph.node("CPY", x.ne, x, quant=kind)


def _gathered(
    b: Builder, q: Tensor, k: Tensor, v: Tensor, index_q: Tensor, index_k: Tensor, n_shared: int
) -> Tensor:
    """One token of each stream over the cells of its chosen blocks."""
    graph, heads, ns = b.graph, _heads(b), b.sizes.n_stream
    (block, n, n_best), cells, (width, n_kv) = _sizes(b), b.sizes.cells, k.ne[:2]
    index_width = index_q.ne[0]
    of_positions = b.input("msa_pos_slot_i", I32, n, ns)
    mask = b.input("msa_pos_mask", F32, n, b.n_tokens)
    bias = b.input("msa_bias", F32, n // block, b.n_tokens)
    keys = graph.view(index_k, (index_width, cells, ns), index_k.nb[2:4])
    keys = graph.reshape(graph.get_rows(keys, of_positions), index_width, n, 1, ns)
    scores = graph.mul_mat(keys, graph.reshape(index_q, index_width, heads, 1, ns))
    scores = graph.add_inplace(scores, graph.reshape(mask, n, 1, 1, ns))
    best = _blocks(b, scores, graph.reshape(bias, n // block, 1, 1, ns), block, n_best)
    first = graph.reshape(graph.scale(_cast(b, best, F32)), 1, n_best, heads, ns)
    each = (block, n_best, heads, ns)
    steps = graph.reshape(graph.node("ARANGE", (block,)), block, 1, 1)
    positions = graph.add(graph.node("REPEAT", each, first), steps)
    n_chosen = block * n_best
    positions = _cast(b, graph.reshape(positions, n_chosen * heads, ns), I32)
    slots = graph.reshape(b.input("msa_pos_slot_f", F32, n, ns), 1, n, ns)
    slots = graph.reshape(graph.get_rows(slots, positions), *each)
    offsets = graph.reshape(graph.node("ARANGE", (n_kv,)), 1, 1, heads)
    rows = graph.add(graph.scale(slots), offsets)
    rows = _cast(b, graph.reshape(rows, n_chosen * heads, ns), I32)
    found = []
    for cached in (k, v):
        flat = graph.view(cached, (width, n_kv * cells, ns), (cached.nb[1], cached.nb[3]))
        own = graph.reshape(graph.get_rows(flat, rows), width, n_chosen, 1, heads * ns)
        kind = F16 if cached.quant.is_quantized else cached.quant
        found.append(own if own.quant is kind else _cast(b, own, kind))
    seen = graph.get_rows(graph.reshape(mask, 1, n, ns), positions)
    seen = _cast(b, graph.reshape(seen, n_chosen, 1, 1, heads * ns), F16)
    return _fused(b, q, found[0], found[1], seen, n_shared)


def _masked(
    b: Builder, q: Tensor, k: Tensor, v: Tensor, index_q: Tensor, index_k: Tensor, n_shared: int
) -> Tensor:
    """Many tokens of each stream over all cells, those of other blocks masked."""
    graph, ns = b.graph, b.sizes.n_stream
    own = [_masked_stream(b, i, q, k, v, index_q, index_k, n_shared) for i in range(ns)]
    y = own[0]
    for other in own[1:]:
        y = graph.concat(y, other, 1)
    return y


def _masked_stream(
    b: Builder,
    st: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    index_q: Tensor,
    index_k: Tensor,
    n_shared: int,
) -> Tensor:
    graph, ns, cells, heads = b.graph, b.sizes.n_stream, b.sizes.cells, _heads(b)
    (block, n, n_best), t, index_width = _sizes(b), b.n_tokens // ns, index_q.ne[0]
    n_blocks = n // block
    mask, bias = (
        b.input("msa_pos_mask", F32, n, b.n_tokens),
        b.input("msa_bias", F32, n_blocks, b.n_tokens),
    )

    def of_tokens(x: Tensor) -> Tensor:
        """The stream's tokens of a three-dimensional tensor."""
        return graph.view(x, (*x.ne[:2], t), x.nb[1:3], st * t * x.nb[2])

    def of_rows(x: Tensor) -> Tensor:
        return graph.view(x, (x.ne[0], 1, t), (x.nb[1], x.nb[1]), st * t * x.nb[1])

    def of_stream(x: Tensor) -> Tensor:
        return graph.view(x, (x.ne[0],), (), st * x.nb[1])

    keys = graph.view(index_k, (index_width, cells), (index_k.nb[2],), st * index_k.nb[3])
    keys = graph.get_rows(keys, of_stream(b.input("msa_pos_slot_i", I32, n, ns)))
    scores = graph.mul_mat(keys, graph.reshape(of_tokens(index_q), index_width, heads * t))
    scores = graph.add_inplace(graph.reshape(scores, n, heads, t), of_rows(mask))
    near = of_rows(bias)
    best = _blocks(b, scores, near, block, n_best)
    closed = graph.node("REPEAT", (n_blocks, heads, t), _cast(b, graph.scale(near), F16), quant=F16)
    opened = graph.set_rows(
        graph.reshape(closed, 1, n_blocks, heads * t),
        graph.reshape(graph.scale(_cast(b, best, F32)), 1, n_best, heads * t),
        graph.reshape(best, n_best, heads * t),
    )
    opened = graph.reshape(opened, n_blocks, heads, t)
    opened = graph.cont(graph.permute(opened, 0, 2, 1, 3))
    by_block = graph.cont(graph.transpose(graph.reshape(opened, n_blocks, t * heads)))
    by_cell = graph.get_rows(by_block, of_stream(b.input("msa_cell_blk", I32, cells, ns)))
    by_cell = graph.reshape(graph.cont(graph.transpose(by_cell)), cells, t, heads)
    seen = attention.mask(b, 0, cells, n_stream=ns)
    seen = b.once("msa_mask", "cast", lambda: _cast(b, seen, F32))
    own = graph.view(seen, (cells, t, 1), (seen.nb[1], seen.nb[3]), st * seen.nb[3])
    by_cell = graph.add_inplace(by_cell, own)
    by_cell = _cast(b, graph.reshape(by_cell, cells, t, 1, heads), F16)
    k, v = (
        graph.permute(graph.view(x, (*x.ne[:3], 1), x.nb[1:], st * x.nb[3]), 0, 3, 1, 2)
        for x in (k, v)
    )
    return _fused(b, of_tokens(q), k, v, by_cell, n_shared)
