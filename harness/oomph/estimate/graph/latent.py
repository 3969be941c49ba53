"""DeepSeek's latent attention (MLA): dense, or over cells an indexer picks.

K and V come from one low-rank latent. Sparse attention narrows the mask to the top cells of a small
second attention whose keys have a cache of their own (build_attn with llm_graph_input_attn_k_dsa).
"""

from collections.abc import Callable

from oomph.errors import ModelFileError
from oomph.estimate.graph import attention
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F16, F32, I32, I64, Tensor


def dense(
    b: Builder,
    x: Tensor,
    il: int,
    *,
    compressed: Tensor | None = None,
    narrow: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """DeepSeek's MLA: K and V from one low-rank latent, which alone is cached where the file has
    k_b and v_b.

    `compressed` is the low-rank q where the caller has it already, `narrow` changes the mask
    (sparse attention).
    """
    graph, n, n_head = b.graph, b.n_tokens, b.shape(il).n_head
    rank, n_rot = b.model.integer("attention.kv_lora_rank"), b.model.integer("rope.dimension_count")
    if b.shape(il).is_swa:
        rank = b.model.integer("attention.kv_lora_rank_swa", rank)
    if compressed is not None:
        q = b.linear("attn_q_b", compressed, il)
    elif b.has("attn_q_a.weight", il):
        q = b.linear("attn_q_b", b.norm(b.linear("attn_q_a", x, il), "attn_q_a_norm", il), il)
    else:
        q = b.linear("attn_q", x, il)
    q = graph.reshape(q, q.ne[0] // max(n_head, 1), n_head, n)
    both = b.linear("attn_kv_a_mqa", x, il)
    row = both.nb[1]
    low = graph.view(both, (rank, n), (row,))
    k_rot = graph.view(both, (n_rot, 1, n), (row, row), 4 * rank)
    if b.has("attn_k_norm.weight", il):
        k_rot = b.norm(k_rot, "attn_k_norm", il)
    k_rot = _rotated(b, k_rot, il)
    low = b.norm(low, "attn_kv_a_norm", il)
    if not b.hparams.is_mla:
        return _expanded(b, q, low, k_rot, il)
    n_nope = q.ne[0] - n_rot
    nope = graph.view(q, (n_nope, n_head, n), q.nb[1:3])
    q_rot = _rotated(b, graph.view(q, (n_rot, n_head, n), q.nb[1:3], 4 * n_nope), il)
    absorbed = graph.mul_mat(b.weight("attn_k_b", il), graph.permute(nope, 0, 2, 1, 3))
    q = attention.tempered(b, graph.concat(graph.permute(absorbed, 0, 2, 1, 3), q_rot), il)
    low = graph.reshape(low, rank, 1, n)
    is_gated = b.has("attn_gate.weight", il)
    y = attention.attend(
        b,
        q,
        graph.concat(low, k_rot),
        low,
        il,
        sinks=b.weight_if("attn_sinks.weight", il),
        up=b.weight("attn_v_b", il),
        narrow=narrow,
        output=None if is_gated else "attn_output",
    )
    if not is_gated:
        return y
    return (_gated if b.rules.copies_gated else attention.gated_output)(b, x, y, il)


def _rotated(b: Builder, x: Tensor, il: int) -> Tensor:
    return attention.rope(b, x, il) if b.shape(il).has_rope else x


def _gated(b: Builder, x: Tensor, y: Tensor, il: int) -> Tensor:
    """Attention's result `y` behind a gate of each head, copied (bailingmoe3)."""
    graph, n, n_head = b.graph, b.n_tokens, b.shape(il).n_head
    gate = graph.reshape(graph.mul_mat(b.weight("attn_gate", il), x), 1, n_head, n)
    heads = graph.reshape(y, y.ne[0] // n_head, n_head, n)
    y = graph.cont(graph.mul(heads, graph.unary("SIGMOID", gate)), y.ne[0], n)
    return graph.mul_mat(b.weight("attn_output", il), y)


def _expanded(b: Builder, q: Tensor, low: Tensor, k_rot: Tensor, il: int) -> Tensor:
    """MLA without absorption: the latent is multiplied out to full heads, which are cached (older
    files)."""
    graph, n, shape, n_rot = b.graph, b.n_tokens, b.shape(il), k_rot.ne[0]
    n_nope = shape.head_k - n_rot
    kv = b.linear("attn_kv_b", low, il)
    steps = (4 * (n_nope + shape.head_v), 4 * (n_nope + shape.head_v) * shape.n_head)
    k_nope = graph.view(kv, (n_nope, shape.n_head, n), steps)
    v = graph.cont(graph.view(kv, (shape.head_v, shape.n_head, n), steps, 4 * n_nope))
    k = graph.concat(k_nope, graph.node("REPEAT", (n_rot, shape.n_head, n), k_rot))
    q = attention.tempered(b, attention.rope(b, q, il), il)
    return attention.attend(b, q, k, v, il)


def sparse(b: Builder, x: Tensor, il: int) -> Tensor:
    """Absorbed latent attention over the cells that the indexer chose."""
    compressed = b.norm(b.graph.mul_mat(b.weight("attn_q_a", il), x), "attn_q_a_norm", il)
    if b.shape(il).index_width:
        b.chosen_cells = _choose(b, x, compressed, il)
    chosen = b.chosen_cells
    if chosen is None:
        raise ModelFileError(
            f"{b.model.source}: layer {il} has no indexer, and none before it has; llama.cpp aborts"
        )
    return dense(b, x, il, compressed=compressed, narrow=lambda mask: narrow(b, mask, chosen))


def _choose(b: Builder, x: Tensor, compressed: Tensor, il: int) -> Tensor:
    """The best cells of each token [n_top_k, n_tokens / n_stream, 1, n_stream] by the lightning
    indexer."""
    graph, n, n_stream, cells = b.graph, b.n_tokens, b.sizes.n_stream, b.sizes.cells
    heads, width = b.model.integer("attention.indexer.head_count"), b.shape(il).index_width
    q = graph.reshape(graph.mul_mat(b.weight("indexer.attn_q_b", il), compressed), width, heads, n)
    q = attention.rope(b, q, il)
    k = graph.mul_mat(b.weight("indexer.attn_k", il), x)
    k = attention.rope(
        b, graph.reshape(b.norm(k, "indexer.k_norm", il, kind="NORM"), width, 1, n), il
    )
    if b.rules.turns_index:
        rotation = b.input("attn_inp_lid_k_rot", F32, width, width)
        q, k = graph.mul_mat(rotation, q), graph.mul_mat(rotation, k)
    cache = b.stored("lid_k", il, b.cache.k, width, cells, n_stream)
    attention.store(b, k, cache, b.input("attn_inp_lid_k_idxs", I64, n))
    weights = graph.mul_mat(b.weight("indexer.proj", il), x)
    row = b.cache.k.row_bytes(width)
    k = graph.view(cache, (width, 1, cells, n_stream), (row, row, row * cells))
    mask = b.input("attn_inp_lid_kq_mask", F16, cells, n // n_stream, 1, n_stream)
    return best_cells(b, q, k, weights, mask, scales=True)


def best_cells(
    b: Builder, q: Tensor, k: Tensor, weights: Tensor, mask: Tensor, *, scales: bool = False
) -> Tensor:
    """The best of the cells `k` for each token, by the heads' weighed scores; the weights are
    scaled here where `scales` says so."""
    graph, cells, n_stream = b.graph, k.ne[2], k.ne[3]
    width, heads, n, _ = q.ne
    q = graph.view(
        q, (width, heads, n // n_stream, n_stream), (q.nb[1], q.nb[2], q.nb[3] // n_stream)
    )
    steps = (weights.nb[1], weights.nb[2] // n_stream, weights.nb[3] // n_stream)
    weights = graph.view(weights, (heads, n // n_stream, 1, n_stream), steps)
    weights = graph.scale(weights) if scales else weights
    scores = graph.node(
        "LIGHTNING_INDEXER", (cells, n // n_stream, 1, n_stream), q, k, weights, mask
    )
    best = min(cells, b.model.integer("attention.indexer.top_k"))
    return graph.cont(graph.node("TOP_K", (best, *scores.ne[1:]), scores, quant=I32))


def narrow(b: Builder, mask: Tensor, chosen: Tensor) -> Tensor:
    """`mask` with every cell masked but the `chosen` ones."""
    graph, (n_kv, n, _, n_stream) = b.graph, mask.ne
    closed = graph.like("FILL", mask)
    cells = graph.view(closed, (1, n_kv, n, n_stream), (closed.nb[0], closed.nb[1], closed.nb[2]))
    ids = graph.view(
        chosen,
        (chosen.ne[0], chosen.ne[1], n_stream, 1),
        (chosen.nb[1], chosen.nb[2], n_stream * chosen.nb[3]),
    )
    kind = F16 if b.rules.attention == "compressed" and b.cache.flash_attn else F32
    zeros = b.graph.leaf(kind, 1, ids.ne[0], ids.ne[1], ids.ne[2], name="zeros")
    opened = graph.set_rows(cells, graph.like("FILL", zeros), ids)
    opened = graph.view(opened, (n_kv, n, 1, n_stream), (opened.nb[2], opened.nb[3], opened.nb[3]))
    return graph.add(opened, mask)
