"""What DFlash 2 has beside DFlash: convolutions around its parts, and a selector of tokens.

Both run over each block apart (build_dflash2_conv and build_dflash2_selector of
src/models/dflash.cpp).
"""

from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import F32, Graph, Tensor


def convolved(b: Builder, x: Tensor, mixed: Tensor, base: Tensor, side: int) -> Tensor:
    """`x` with the tokens before it in its block, by weights that `mixed` and `base` make: on this
    side (0 before a part, 1 after it)."""
    graph, (width, n) = b.graph, x.ne[:2]
    kernel, group = (b.model.integer(f"conv_{which}_size") for which in ("kernel", "group"))
    n_groups, n_blocks = width // group, b.sizes.n_seqs
    length = max(n // n_blocks, 1)
    x, mixed = (each if each.is_contiguous else graph.cont(each) for each in (x, mixed))
    blocks = graph.reshape(x, width, length, n_blocks)
    weights = graph.reshape(mixed, n_groups, kernel, 2, n)
    own = graph.view(
        weights, (n_groups, kernel, n), (weights.nb[1], weights.nb[3]), side * weights.nb[2]
    )
    spread = graph.reshape(graph.cont(own), 1, n_groups, kernel, n)
    spread = graph.node("REPEAT", (group, n_groups, kernel, n), spread)
    fixed = graph.view(base, (width * kernel,), (), side * base.nb[2])
    taps = graph.add(spread, graph.reshape(fixed, group, n_groups, kernel, 1))
    total: Tensor | None = None
    for tap in range(min(kernel, length)):
        values = blocks
        if tap:
            before = graph.view(blocks, (width, length - tap, n_blocks), blocks.nb[1:3])
            values = graph.node("PAD", (width, length, n_blocks), before)
        values = graph.reshape(values, width, n)
        weight = graph.cont(
            graph.view(taps, (group, n_groups, 1, n), taps.nb[1:], tap * taps.nb[2])
        )
        term = graph.mul(graph.reshape(weight, width, n), values)
        total = graph.add(total, term) if total else term
    return total or x


def select(b: Builder, logits: Tensor, tokens: Tensor, hidden: Tensor) -> None:
    """The candidates of each place of a block, and how well each follows each of the place
    before."""
    graph, n, n_blocks = b.graph, b.n_tokens, b.sizes.n_seqs
    top, rank = b.model.integer("selector_top_k"), b.model.integer("selector_rank")
    per_block = max(n // n_blocks, 1)
    length = min(per_block, b.model.integer("block_size"))
    found = graph.node("TOP_K", (top, n), logits, quant=tokens.quant)
    rows = graph.get_rows(graph.reshape(logits, 1, logits.ne[0], n), found)
    gate = graph.mul_mat(b.weight("selector_hidden"), hidden)
    picked, single, gates = (
        graph.reshape(each, each_width, per_block, n_blocks)
        for each, each_width in (
            (found, top),
            (graph.reshape(rows, top, n), top),
            (gate, rank),
        )
    )

    def scored(first: int, count: int, before: Tensor) -> Tensor:
        some, alone, open_ = (
            graph.cont(_places(graph, each, first, count)) for each in (picked, single, gates)
        )
        n_before = before.ne[0] // (count * n_blocks)
        ids = graph.reshape(some, top * count * n_blocks)
        after = graph.get_rows(b.weight("selector_successor"), ids)
        after = graph.reshape(after, rank, top, count, n_blocks)
        came = graph.get_rows(b.weight("selector_predecessor"), before)
        came = graph.reshape(came, rank, n_before, count, n_blocks)
        wide = graph.node("REPEAT", came.ne, graph.reshape(open_, rank, 1, count, n_blocks))
        score = graph.mul_mat(after, graph.mul(came, wide))
        if n_before == 1:
            score = graph.node("REPEAT", (top, top, count, n_blocks), score)
        each = graph.reshape(alone, top, 1, count, n_blocks)
        score = graph.add(score, graph.node("REPEAT", score.ne, each))
        row = graph.concat(
            graph.node("CPY", some.ne, some, quant=F32),
            graph.reshape(score, top * top, count, n_blocks),
        )
        return graph.node("PAD", (b.hparams.n_embd, count, n_blocks), row)

    packed = graph.like("FILL", graph.leaf(F32, b.hparams.n_embd, 1, n_blocks, name="lattice"))
    if length > 1:
        anchors = graph.view(tokens, (1, n_blocks), (per_block * tokens.nb[0],))
        packed = _joined(packed, scored(1, 1, graph.cont(anchors, n_blocks)))
    if length > 2:
        count = length - 2
        before = graph.cont(_places(graph, picked, 1, count))
        packed = _joined(packed, scored(2, count, graph.reshape(before, top * count * n_blocks)))
    packed = graph.reshape(packed, b.hparams.n_embd, length * n_blocks)
    packed.is_output = True
    graph.expand(packed)


def _places(graph: Graph, x: Tensor, first: int, count: int) -> Tensor:
    """So many places of each block, from the first on."""
    return graph.view(x, (x.ne[0], count, x.ne[2]), x.nb[1:3], first * x.nb[1])


def _joined(a: Tensor, b: Tensor) -> Tensor:
    """The places of both in each block, one after the other."""
    return Tensor("CONCAT", a.quant, (a.ne[0], a.ne[1] + b.ne[1], *a.ne[2:]), [a, b])
