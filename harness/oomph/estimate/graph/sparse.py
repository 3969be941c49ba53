"""DeepSeek V3.2's sparse attention: an indexer picks the cells that each token attends to.

Latent attention as in `attention.latent`, with the mask narrowed to the top cells of a small second attention whose
keys have a cache of their own (build_attn with llm_graph_input_attn_k_dsa).
"""

from oomph.estimate.graph import attention
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F16, F32, I32, I64, Tensor


def latent(b: Builder, x: Tensor, il: int) -> Tensor:
    """Absorbed latent attention over the cells that the indexer chose."""
    compressed = b.norm(b.graph.mul_mat(b.weight("attn_q_a", il), x), "attn_q_a_norm", il)
    chosen = _choose(b, x, compressed, il)
    return attention.latent(b, x, il, compressed=compressed, narrow=lambda mask: _narrow(b, mask, chosen))


def _choose(b: Builder, x: Tensor, compressed: Tensor, il: int) -> Tensor:
    """The best cells of each token [n_top_k, n_tokens / n_stream, 1, n_stream] by the lightning indexer."""
    graph, n, n_stream, cells = b.graph, b.n_tokens, b.sizes.n_stream, b.sizes.cells
    heads, width = b.model.integer("attention.indexer.head_count"), b.shape(il).index_width
    q = graph.reshape(graph.mul_mat(b.weight("indexer.attn_q_b", il), compressed), width, heads, n)
    q = attention.rope(b, q, il)
    k = graph.mul_mat(b.weight("indexer.attn_k", il), x)
    k = attention.rope(b, graph.reshape(b.norm(k, "indexer.k_norm", il, kind="NORM"), width, 1, n), il)
    rotation = b.input("attn_inp_lid_k_rot", F32, width, width)
    q, k = graph.mul_mat(rotation, q), graph.mul_mat(rotation, k)
    cache = b.stored("lid_k", il, b.cache.k, width, cells, n_stream)
    attention.store(b, k, cache, b.input("attn_inp_lid_k_idxs", I64, n))
    weights = graph.mul_mat(b.weight("indexer.proj", il), x)
    row = b.cache.k.row_bytes(width)
    k = graph.view(cache, (width, 1, cells, n_stream), (row, row, row * cells))
    q = graph.view(q, (width, heads, n // n_stream, n_stream), (q.nb[1], q.nb[2], q.nb[3] // n_stream))
    steps = (weights.nb[1], weights.nb[2] // n_stream, weights.nb[3] // n_stream)
    weights = graph.scale(graph.view(weights, (heads, n // n_stream, 1, n_stream), steps))
    mask = b.input("attn_inp_lid_kq_mask", F16, cells, n // n_stream, 1, n_stream)
    scores = graph.node("LIGHTNING_INDEXER", (cells, n // n_stream, 1, n_stream), q, k, weights, mask)
    best = min(cells, b.model.integer("attention.indexer.top_k"))
    return graph.cont(graph.node("TOP_K", (best, *scores.ne[1:]), scores, quant=I32))


def _narrow(b: Builder, mask: Tensor, chosen: Tensor) -> Tensor:
    """`mask` with every cell masked but the `chosen` ones."""
    graph, (n_kv, n, _, n_stream) = b.graph, mask.ne
    closed = graph.like("FILL", mask)
    cells = graph.view(closed, (1, n_kv, n, n_stream), (closed.nb[0], closed.nb[1], closed.nb[2]))
    ids = graph.view(
        chosen, (chosen.ne[0], chosen.ne[1], n_stream, 1), (chosen.nb[1], chosen.nb[2], n_stream * chosen.nb[3])
    )
    zeros = b.graph.leaf(F32, 1, ids.ne[0], ids.ne[1], ids.ne[2], name="zeros")
    opened = graph.set_rows(cells, graph.like("FILL", zeros), ids)
    opened = graph.view(opened, (n_kv, n, 1, n_stream), (opened.nb[2], opened.nb[3], opened.nb[3]))
    return graph.add(opened, mask)
