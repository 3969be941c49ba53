"""Block-sparse attention: an indexer chooses whole blocks of cells, by their mean keys.

The keys that it caches are raw: they are pooled, normed and rotated each time they are read
(build_qsa_top_k of src/models/qwen4exp.cpp).
"""

from oomph.estimate.graph import attention, latent
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F32, I32, I64, Tensor


def attend(b: Builder, x: Tensor, il: int) -> Tensor:
    """Gated attention over the blocks that the indexer chose; over all where it has no ratio."""
    ratio = b.model.per_layer("attention.compress_ratios", 0)[il]
    if not b.shape(il).index_width or not ratio:
        return attention.gated(b, x, il)
    chosen = _choose(b, x, ratio, il)
    return attention.gated(b, x, il, narrow=lambda mask: latent.narrow(b, mask, chosen))


def _choose(b: Builder, x: Tensor, ratio: int, il: int) -> Tensor:
    """The cells of each token's best blocks [n_best, n_tokens / n_stream, 1, n_stream]."""
    graph, sizes, width = b.graph, b.sizes, b.shape(il).index_width
    cells, n_stream = sizes.cells, sizes.n_stream
    n_blocks, n = -(-cells // ratio), b.n_tokens // n_stream
    heads = b.model.integer("attention.indexer.head_count")
    keys = _block_keys(b, x, ratio, il)
    q = graph.reshape(b.linear("indexer.q_proj", x, il), width, heads, b.n_tokens)
    q = attention.rope(b, b.norm(q, "indexer.q_norm", il), il, factors=False)
    scores = graph.mul_mat(keys, graph.reshape(q, width, heads * n, n_stream))
    scores = graph.unary("RELU", graph.reshape(scores, n_blocks, heads, n, n_stream))
    total: Tensor | None = None
    for head in range(heads):
        own = graph.view(scores, (n_blocks, n, n_stream), scores.nb[2:4], head * scores.nb[1])
        total = graph.add(total, own) if total else graph.cont(own)
    total = graph.add(total or scores, b.input(f"qsa_{ratio}_bias", F32, n_blocks, n, n_stream))
    flat = graph.cont(graph.permute(total, 1, 0, 2, 3))
    by_cell = graph.get_rows(flat, b.input(f"qsa_{ratio}_cell_blk", I32, cells, n_stream))
    by_cell = graph.cont(graph.permute(by_cell, 1, 0, 2, 3))
    mask = attention.mask(b, il, cells, n_stream=n_stream)
    mask = mask if mask.quant is F32 else graph.node("CPY", mask.ne, mask)
    by_cell = graph.add(by_cell, graph.reshape(mask, cells, n, n_stream))
    n_best = min(cells, b.model.integer("attention.indexer.top_k") + ratio - 1)
    best = graph.cont(graph.node("TOP_K", (n_best, n, n_stream), by_cell, quant=I32))
    return graph.reshape(best, n_best, n, 1, n_stream)


def _block_keys(b: Builder, x: Tensor, ratio: int, il: int) -> Tensor:
    """The batch's keys written to the cache, and the mean of each block's [width, n_blocks,
    n_stream]."""
    graph, sizes, width = b.graph, b.sizes, b.shape(il).index_width
    cells, n_stream = sizes.cells, sizes.n_stream
    n_blocks = -(-cells // ratio)
    raw = graph.reshape(b.linear("indexer.k_proj", x, il), width, 1, b.n_tokens)
    cache = b.stored("idx_k", il, b.cache.k, width, cells, n_stream)
    attention.store(b, raw, cache, b.input(f"qsa_{ratio}_k_idxs", I64, b.n_tokens))
    keys = graph.view(cache, (width, cells, n_stream), cache.nb[1:3])
    ids = b.input(f"qsa_{ratio}_blk_cells", I32, ratio * n_blocks, n_stream)
    members = graph.reshape(graph.get_rows(keys, ids), width, ratio, n_blocks, n_stream)
    total: Tensor | None = None
    for i in range(ratio):
        own = graph.view(members, (width, n_blocks, n_stream), members.nb[2:4], i * members.nb[1])
        own = graph.cont(own)
        total = graph.add(total, own) if total else own
    y = graph.reshape(graph.scale(total or members), width, n_blocks * n_stream)
    y = graph.reshape(b.norm(y, "indexer.k_norm", il), width, 1, n_blocks * n_stream)
    places = b.input(f"qsa_{ratio}_blk_pos", I32, b.hparams.n_pos * n_blocks * n_stream)
    return graph.reshape(graph.like("ROPE", y, places), width, n_blocks, n_stream)
