"""T5: attention by distances, and a decoder's second one over its encoder's output.

A bias on attention's scores tells how far apart two tokens are. The decoder's graph is reserved for
the longest input that the model was trained for (src/models/t5.cpp, build_inp_cross_embd).
"""

from oomph.estimate.graph import attention, feed_forward
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F16, F32, I32, Tensor


def layer(b: Builder, cur: Tensor, il: int, picks_outputs: bool) -> Tensor:
    """Attention, over the encoder's output too where the file has the matrices, feed-forward."""
    graph = b.graph
    q, k, v = attention.project_qkv(b, b.norm(cur, "attn_norm", il), il)
    y = attention.attend(b, q, k, v, il, output="attn_o", bias=_distances(b, il))
    if b.has("cross_attn_q.weight", il):
        cur = graph.add(y, cur)
        y = _attend_input(b, b.norm(cur, "cross_attn_norm", il), il)
    if picks_outputs:
        y, cur = b.output_rows(y), b.output_rows(cur)
    middle = graph.add(y, cur)
    return graph.add(feed_forward.dense(b, b.norm(middle, "ffn_norm", il), il), middle)


def _distances(b: Builder, il: int) -> Tensor:
    """The bias of each head for each pair of tokens [n_kv, n_tokens, n_head], by a table of the
    layer's or of the first's."""
    graph, n = b.graph, b.n_tokens
    n_kv = b.sizes.cells if b.hparams.reads_cache else n
    table = b.weight("attn_rel_b", il if b.has("attn_rel_b.weight", il) else 0)
    buckets = graph.reshape(b.input("pos_bucket", I32, n_kv, n), n_kv * n)
    bias = graph.reshape(graph.get_rows(table, buckets), table.ne[0], n_kv, n)
    return graph.cont(graph.permute(bias, 2, 0, 1, 3))


def _attend_input(b: Builder, x: Tensor, il: int) -> Tensor:
    """Attention over the encoder's output."""
    graph, shape, n = b.graph, b.shape(il), b.model.n_ctx_train
    source = b.input("cross_embd", F32, b.hparams.n_embd, n)
    q = graph.reshape(b.linear("cross_attn_q", x, il), shape.head_k, shape.n_head, b.n_tokens)
    k = graph.reshape(b.linear("cross_attn_k", source, il), shape.head_k, shape.n_head_kv, n)
    v = graph.reshape(b.linear("cross_attn_v", source, il), shape.head_v, shape.n_head_kv, n)
    for each in (q, k, v):
        graph.expand(each)
    mask = b.input("cross_kq_mask", F16 if b.cache.flash_attn else F32, n, b.n_tokens)
    y = graph.expand(attention.product(b, q, k, v, mask, il))
    return b.linear("cross_attn_o", y, il)
