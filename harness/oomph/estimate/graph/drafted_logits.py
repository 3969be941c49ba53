"""From a drafter's own logits to those of its target, and its Markov head (DSpark)."""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F32, I32, Tensor


def of_target(b: Builder, logits: Tensor) -> Tensor:
    """Logits of the target's vocabulary, where these are of fewer tokens."""
    ids = b.weight_if("d2t")
    if ids is None:
        return logits
    graph, (n_draft, n_outputs), n_vocab = b.graph, logits.ne[:2], b.hparams.n_vocab
    empty = graph.leaf(F32, 1, n_vocab, n_outputs, name="logits")
    whole = graph.set_rows(
        graph.like("FILL", empty),
        graph.reshape(logits, 1, n_draft, n_outputs),
        graph.reshape(ids, n_draft, 1, 1),
    )
    return graph.reshape(whole, n_vocab, n_outputs)


def biased(b: Builder, logits: Tensor, tokens: Tensor, hidden: Tensor) -> Tensor:
    """`logits` of blocks of tokens, each biased by the token before it, and how sure each is where
    the file has that head; as they are for blocks longer than it was trained for
    (build_dspark_markov_head)."""
    graph, n_blocks, n_vocab = b.graph, b.sizes.n_seqs, b.hparams.n_vocab
    length = max(b.n_tokens // n_blocks, 1)
    if length > b.model.integer("block_size"):
        return logits
    step = length * logits.nb[1]
    is_sure = b.has("conf_proj.weight")
    before = graph.cont(graph.view(tokens, (1, n_blocks), (length * tokens.nb[0],)), n_blocks)
    rows: list[Tensor] = []
    sure: list[Tensor] = []
    first = 0 if b.model.metadata.get(f"{b.model.arch}.sample_from_anchor", True) else 1
    if first:
        rows.append(graph.cont(graph.view(logits, (n_vocab, n_blocks), (step,))))
        if is_sure:
            row = graph.cont(graph.view(logits, (1, n_blocks), (step,)))
            sure.append(graph.unary("SIGMOID", row))
    for i in range(first, length):
        known = graph.get_rows(b.weight("markov_w1"), before)
        bias = of_target(b, b.linear("markov_w2", known))
        own = graph.view(logits, (n_vocab, n_blocks), (step,), i * logits.nb[1])
        row = graph.add(own, bias)
        rows.append(_beside(rows.pop(), row) if rows else row)
        if is_sure:
            one = _sureness(b, hidden, known, i)
            sure.append(_beside(sure.pop(), one) if sure else one)
        before = graph.node("ARGMAX", (n_blocks,), row, quant=I32)
    if is_sure:
        found = graph.node("REPEAT", hidden.ne, _by_block(b, sure[0], 1, length))
        found.is_output = True
        graph.expand(found)
    return graph.expand(_by_block(b, rows[0], n_vocab, length))


def _sureness(b: Builder, hidden: Tensor, known: Tensor, i: int) -> Tensor:
    """How sure token `i` of each block is."""
    graph, (width, n), n_blocks = b.graph, hidden.ne[:2], b.sizes.n_seqs
    step = n // n_blocks * hidden.nb[1]
    own = graph.cont(graph.view(hidden, (width, n_blocks), (step,), i * hidden.nb[1]))
    one = graph.mul_mat(b.weight("conf_proj"), graph.concat(own, known))
    if bias := b.weight_if("conf_proj.bias"):
        one = graph.add(one, bias)
    return graph.unary("SIGMOID", one)


def _beside(a: Tensor, b: Tensor) -> Tensor:
    """The rows of both, one after the other."""
    return Tensor("CONCAT", a.quant, (a.ne[0], a.ne[1] + b.ne[1], 1, 1), [a, b])


def _by_block(b: Builder, rows: Tensor, width: int, length: int) -> Tensor:
    """Rows that are by place in the block, by block instead."""
    graph, n_blocks = b.graph, b.sizes.n_seqs
    apart = graph.permute(graph.reshape(rows, width, n_blocks, length), 0, 2, 1, 3)
    return graph.reshape(graph.cont(apart), width, length * n_blocks)
