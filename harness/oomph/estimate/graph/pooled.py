"""GLM5-Next's sparse attention: an indexer that chooses pools of consecutive cells.

Each indexed layer caches keys, their gates and the pooled keys of every few tokens; latent
attention then looks at the chosen pools through a mask, or at their gathered rows where a batch is
small (build_dsa_layer and build_kpool_select of src/models/glm5-next.cpp).
"""

from typing import Final

from oomph.errors import ModelFileError
from oomph.estimate.graph import attention
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F16, F32, I32, I64, Tensor, pad

MOST_GATHERED: Final = 16
"""Tokens of the largest batch whose cells are gathered."""
_STEP: Final = 64


def attend(b: Builder, x: Tensor, il: int) -> Tensor:
    """Latent attention without positions over the pools that the indexer chose."""
    graph, n, n_head = b.graph, b.n_tokens, b.shape(il).n_head
    rank = b.model.integer("attention.kv_lora_rank")
    low = b.norm(graph.mul_mat(b.weight("attn_q_a", il), x), "attn_q_a_norm", il)
    q = graph.mul_mat(b.weight("attn_q_b", il), low)
    q = graph.reshape(q, q.ne[0] // max(n_head, 1), n_head, n)
    kv = b.norm(graph.mul_mat(b.weight("attn_kv_a_mqa", il), x), "attn_kv_a_norm", il)
    kv = graph.reshape(kv, rank, 1, n)
    q = graph.mul_mat(b.weight("attn_k_b", il), graph.permute(q, 0, 2, 1, 3))
    q = graph.permute(q, 0, 2, 1, 3)
    _expand_inputs(b)
    if b.shape(il).index_width:
        b.chosen_cells = _choose(b, x, low, il)
    if b.chosen_cells is None:
        raise ModelFileError(
            f"{b.model.source}: layer {il} has no indexer, and none before it has; llama.cpp aborts"
        )
    graph.expand(q)
    graph.expand(kv)
    cells = b.sizes.cells
    cache = b.stored("k", il, b.cache.k, rank, cells, b.sizes.n_stream)
    attention.store(b, kv, cache, b.input("attn_inp_k_idxs", I64, n))
    up, row = b.weight("attn_v_b", il), cache.nb[1]
    if _gathers(b):
        y = _over_rows(b, q, graph.view(cache, (rank, cells * b.sizes.n_stream), (row,)), up)
    else:
        k = graph.view(cache, (rank, 1, cells, b.sizes.n_stream), (row, row, cache.nb[2]))
        v = graph.view(k, k.ne, k.nb[1:])
        mask = graph.reshape(b.chosen_cells, *_mask(b, il).ne)
        kind = attention.fused if b.cache.flash_attn else attention.plain
        y = kind(b, q, k, v, mask, il, None, up)
    return graph.mul_mat(b.weight("attn_output", il), y)


def _pool(b: Builder) -> int:
    return b.model.integer("attention.indexer.kpool")


def _n_pools(b: Builder) -> tuple[int, int]:
    """Pools of all cells, padded, and those that a graph makes room to pool anew."""
    n = b.sizes.cells // _pool(b) * b.sizes.n_seqs
    return max(_STEP, pad(n + 1, _STEP)), max(n, 1)


def _n_chosen(b: Builder) -> tuple[int, int]:
    """Pools that are chosen, and cells with those of the unfinished pool."""
    pool = _pool(b)
    n = min(_n_pools(b)[0], b.model.integer("attention.indexer.top_k") // pool)
    has_tail = b.model.metadata.get(f"{b.model.arch}.attention.indexer.kpool_select_tail", True)
    return n, pool * n + (pool - 1 if has_tail else 0)


def _gathers(b: Builder) -> bool:
    return b.n_tokens <= MOST_GATHERED and b.sizes.cells > _n_chosen(b)[1]


def _expand_inputs(b: Builder) -> None:
    """Inputs that llama.cpp keeps whether or not an operator reads them."""
    n_pool, n, pool = _n_pools(b)[0], b.n_tokens, _pool(b)
    b.graph.expand(b.input("kpool_cells", I32, n_pool))
    b.graph.expand(b.input("kpool_idxs", I32, pool, n_pool))
    b.graph.expand(b.input("kpool_mask", F16, n_pool, n))
    b.graph.expand(b.input("kpool_tail_idxs", I32, pool - 1, n))
    b.graph.expand(b.input("kpool_gather_mask", F32, _n_chosen(b)[1], 1, 1, n))


def _mask(b: Builder, il: int) -> Tensor:
    return attention.mask(b, il, b.sizes.cells, n_stream=b.sizes.n_stream)


def _choose(b: Builder, x: Tensor, low: Tensor, il: int) -> Tensor:
    """The chosen cells: their numbers where they are gathered, else a mask."""
    graph, n = b.graph, b.n_tokens
    heads, width = (
        b.model.integer(f"attention.indexer.{key}") for key in ("head_count", "key_length")
    )
    q = graph.mul_mat(b.weight("indexer.attn_q_b", il), low)
    q = graph.reshape(q, width, heads, n)
    pooled = _pooled_keys(b, x, width, il)
    weights = graph.scale(graph.mul_mat(b.weight("indexer.proj", il), x))
    n_pool = pooled.ne[2]
    mask = b.input("kpool_mask", F16, n_pool, n)
    score = graph.node("LIGHTNING_INDEXER", (n_pool, n), q, pooled, weights, mask)
    n_best, n_cells = _n_chosen(b)
    best = graph.node("TOP_K", (n_best, n), score, quant=I32)
    scores = graph.get_rows(graph.reshape(score, 1, n_pool, n), best)
    order = graph.node("ARGSORT", (n_best, n), graph.reshape(scores, n_best, n), quant=I32)
    numbers = graph.reshape(graph.node("CPY", best.ne, best), 1, n_best, n)
    best = graph.cont(graph.reshape(graph.get_rows(numbers, order), n_best, n))
    best = graph.reshape(graph.node("CPY", best.ne, best, quant=I32), n_best * n)
    pool = _pool(b)
    cells = b.input("kpool_idxs", I32, pool, n_pool)
    chosen = graph.node("GET_ROWS", (pool, n_best * n), cells, best, quant=I32)
    chosen = graph.reshape(chosen, pool * n_best, n)
    if n_cells > pool * n_best:
        chosen = graph.concat(chosen, b.input("kpool_tail_idxs", I32, pool - 1, n))
    return chosen if _gathers(b) else _as_mask(b, chosen, il)


def _pooled_keys(b: Builder, x: Tensor, width: int, il: int) -> Tensor:
    """The batch's keys and gates written to the cache, finished pools pooled, all pools' keys."""
    graph, n, sizes, pool = b.graph, b.n_tokens, b.sizes, _pool(b)
    n_pool, n_new = _n_pools(b)
    key = graph.mul_mat(b.weight("indexer.attn_k", il), x)
    key = b.norm(key, "indexer.k_norm", il, kind="NORM")
    gate = graph.mul_mat(b.weight("indexer_compressor_gate", il), x)
    empty = graph.like("FILL", graph.leaf(F32, width, n, name="zeros"))
    packed = graph.concat(graph.concat(key, gate), empty)
    cache = b.stored("idx_k", il, b.cache.k, 3 * width, sizes.cells, sizes.n_stream)
    attention.store(
        b, graph.reshape(packed, 3 * width, 1, n), cache, b.input("kpool_k_idxs", I64, n)
    )
    n_cells, row = sizes.cells * sizes.n_stream, cache.nb[1]
    both = graph.view(cache, (2 * width, n_cells), (row,))
    pooled = graph.view(cache, (width, n_cells), (row,), b.cache.k.row_bytes(2 * width))
    members = graph.reshape(b.input("kpool_new_idxs", I32, pool, n_new), pool * n_new)
    rows = graph.reshape(graph.get_rows(both, members), 2 * width, pool, n_new)
    keys = graph.view(rows, (width, pool, n_new), rows.nb[1:3])
    gates = graph.view(rows, (width, pool, n_new), rows.nb[1:3], 4 * width)
    gates = graph.add(gates, b.weight("indexer_compressor_ape", il))
    gates = graph.cont(graph.permute(gates, 1, 0, 2, 3))
    shares = graph.like("SOFT_MAX", graph.reshape(gates, pool, width * n_new))
    shares = graph.reshape(shares, pool, width, n_new)
    keys = graph.mul(shares, graph.cont(graph.permute(keys, 1, 0, 2, 3)))
    fresh = graph.reshape(graph.node("SUM_ROWS", (1, width, n_new), keys), width, n_new)
    graph.expand(graph.set_rows(pooled, fresh, b.input("kpool_new_rep", I64, n_new)))
    found = graph.get_rows(pooled, b.input("kpool_cells", I32, n_pool))
    return graph.reshape(found, width, 1, n_pool)


def _as_mask(b: Builder, chosen: Tensor, il: int) -> Tensor:
    """The attention's mask with all but the chosen cells masked."""
    graph, (n_cells, n, _, _), n_kv = b.graph, chosen.ne, b.sizes.cells
    mask = _mask(b, il)
    seed = graph.node("CPY", (1,), graph.view(chosen, (1,)))
    closed = seed if mask.quant is F32 else graph.node("CPY", (1,), seed, quant=mask.quant)
    closed = graph.like("FILL", closed)
    closed = graph.node("REPEAT", (1, n_kv + n_cells, n), closed, quant=mask.quant)
    closed = graph.reshape(closed, 1, n_kv + n_cells, n)
    zeros = graph.node("REPEAT", (1, n_cells, n), graph.like("FILL", seed))
    zeros = graph.reshape(zeros, 1, n_cells, n)
    live = graph.reshape(b.input("kpool_gather_mask", F32, n_cells, 1, 1, n), n_cells, n)
    live = graph.unary("EXP", live)
    spare = graph.node("ARANGE", (n_cells,))
    at = graph.like("SUB", graph.node("CPY", chosen.ne, chosen), spare)
    at = graph.add(graph.mul(at, live), spare)
    at = graph.node("CPY", at.ne, at, quant=I32)
    opened = graph.set_rows(closed, zeros, graph.reshape(at, n_cells, n, 1))
    opened = graph.view(opened, (n_kv, n), (opened.nb[2],))
    return graph.add(opened, graph.reshape(mask, n_kv, n))


def _over_rows(b: Builder, q: Tensor, rows: Tensor, up: Tensor) -> Tensor:
    """Attention over gathered cells, a token in the fourth dimension."""
    graph, n, chosen = b.graph, b.n_tokens, b.chosen_cells
    if chosen is None:
        return q
    n_cells = chosen.ne[0]
    graph.expand(_mask(b, 0))
    k = graph.get_rows(rows, graph.reshape(chosen, n_cells * n))
    k = graph.reshape(k, rows.ne[0], n_cells, 1, n)
    scores = graph.mul_mat(k, graph.permute(q, 0, 2, 3, 1))
    live = b.input("kpool_gather_mask", F32, n_cells, 1, 1, n)
    scores = graph.like("SOFT_MAX", scores, live)
    y = graph.mul_mat(up, graph.mul_mat(graph.cont(graph.transpose(k)), scores))
    y = graph.cont(graph.permute(y, 0, 2, 1, 3))
    return graph.reshape(y, y.ne[0] * y.ne[1], n)
