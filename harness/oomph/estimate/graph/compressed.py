"""DeepSeek-V4's attention: recent cells whole, older ones compressed by 4 or 128 tokens.

K and V are one vector a token. Layers compress it with a learned weighing of the last tokens, whose
unfinished blocks are kept as a state; those of ratio 4 have an indexer, with compressed keys of its
own, that chooses the cells (build_attention_impl of src/models/deepseek4.cpp, llama-kv-cache-dsv4).
"""

from oomph.architectures.layers import OVERLAPPING
from oomph.estimate.graph import attention, latent
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.hparams import LayerShape
from oomph.estimate.graph.tensor import F16, F32, I32, I64, Tensor
from oomph.frozen import frozen


@frozen
class Compressor:
    """One compressed stream of a layer: its `name` in llama.cpp, and its tensors' beginning."""

    name: str
    prefix: str
    ratio: int
    width: int

    @property
    def ne(self) -> tuple[int, int]:
        """Elements of a token, and tokens, that a sequence's state keeps of K and of its score."""
        overlap = 2 if self.ratio == OVERLAPPING else 1
        return overlap * self.width, overlap * self.ratio


def compressor_states(layer: LayerShape) -> tuple[Compressor, ...]:
    """A layer's compressors."""
    if not layer.compress_ratio:
        return ()
    if layer.compress_ratio != OVERLAPPING:
        return (
            Compressor(
                name="hca", prefix="attn_compressor", ratio=layer.compress_ratio, width=layer.head_k
            ),
        )
    return (
        Compressor(name="csa", prefix="attn_compressor", ratio=OVERLAPPING, width=layer.head_k),
        Compressor(
            name="lid", prefix="indexer_compressor", ratio=OVERLAPPING, width=layer.index_width
        ),
    )


def attend(b: Builder, x: Tensor, il: int) -> Tensor:
    """Attention over the last cells and, where the layer compresses, over all that are older."""
    graph, shape, n = b.graph, b.shape(il), b.n_tokens
    low = b.norm(b.linear("attn_q_a", x, il), "attn_q_a_norm", il)
    q = graph.reshape(b.linear("attn_q_b", low, il), shape.head_k, shape.n_head, n)
    q = _rope(b, graph.rms_norm(q))
    kv = b.norm(b.linear("attn_kv", x, il), "attn_kv_a_norm", il)
    kv = _rope(b, graph.reshape(kv, shape.head_k, 1, n))
    for compressor in compressor_states(shape):
        _compress(b, x, compressor, il)
    y = _attended(b, x, low, q, kv, il)
    y = _rope(b, graph.reshape(y, shape.head_k, shape.n_head, n), back=True)
    n_groups, rank = (
        b.model.integer(f"attention.output_{key}") for key in ("group_count", "lora_rank")
    )
    width = shape.n_head // n_groups * shape.head_k
    y = graph.permute(graph.reshape(y, width, n_groups, n), 0, 2, 1, 3)
    y = graph.mul_mat(b.weight("attn_output_a", il, ne=(width, rank, n_groups)), y)
    y = graph.cont(graph.permute(y, 0, 2, 1, 3), rank * n_groups, n)
    return b.linear("attn_output_b", y, il)


def _rope(b: Builder, x: Tensor, *, back: bool = False) -> Tensor:
    return b.graph.like("ROPE_BACK" if back else "ROPE", x, b.positions())


def _compress(b: Builder, x: Tensor, c: Compressor, il: int) -> None:
    """Write the blocks that this batch finishes to the compressed cache, and what is unfinished to
    the state."""
    graph, n, sizes = b.graph, b.n_tokens, b.sizes
    width, n_kept = c.ne
    overlaps = c.ratio == OVERLAPPING
    kv = b.linear(f"{c.prefix}_kv", x, il)
    score = b.linear(f"{c.prefix}_gate", x, il)
    table = b.weight(f"{c.prefix}_ape", il)
    score = graph.add(score, graph.get_rows(table, b.input(f"dsv4_{c.name}_state_pos", I32, n)))
    n_rows, n_blocks = n_kept * sizes.n_stream, n // c.ratio + sizes.n_seqs
    everything = n_rows * sizes.n_states
    states = {
        which: b.stored(
            f"{c.name}_{which}", il, F32, width, n_kept, sizes.n_stream * sizes.n_states
        )
        for which in ("kv", "score")
    }

    def rows(which: str) -> Tensor:
        return graph.view(states[which], (width, everything), (states[which].nb[1],))

    def replaced(which: str, of: Tensor, what: str, n_ids: int) -> Tensor:
        ids = (
            b.input(f"dsv4_{c.name}_state_{what}_{end}_idxs", I32, n_ids) for end in ("src", "dst")
        )
        source, target = ids
        return graph.set_rows(rows(which), graph.get_rows(of, source), target)

    pairs = {"kv": kv, "score": score}
    before = {which: rows(which) for which in pairs}
    if sizes.n_states > 1:
        before = {which: replaced(which, before[which], "restore", n_rows) for which in pairs}
    sources = [
        graph.concat(graph.view(before[which], (width, n_rows), (before[which].nb[1],)), new, 1)
        for which, new in pairs.items()
    ]
    read = b.input(
        f"dsv4_{c.name}_state_read_idxs", I32, (2 if overlaps else 1) * c.ratio * n_blocks
    )
    blocks = (_overlapping if overlaps else _apart)(b, sources, read, c, n_blocks)
    values, scores = (graph.cont(graph.permute(each, 1, 0, 2, 3)) for each in blocks)
    y = graph.mul(values, graph.like("SOFT_MAX", scores))
    y = graph.node("SUM_ROWS", (1, *y.ne[1:]), y)
    y = b.norm(graph.cont(graph.permute(y, 1, 0, 2, 3)), f"{c.prefix}_norm", il)
    y = graph.like("ROPE", y, b.input(f"dsv4_{c.name}_state_write_pos", I32, n_blocks))
    if turn := _rotation(b, c.name, c.width):
        y = attention.hadamard(b, y, turn)
    written = b.input(f"dsv4_{c.name}_state_write_idxs", I64, n_blocks)
    attention.store(b, y, _cache(b, c.name, c.ratio, c.width, il), written)
    if sizes.n_states > 1:
        n_copies = (sizes.n_states - 1) * n_rows
        joined = {which: graph.concat(before[which], new, 1) for which, new in pairs.items()}
        for saved in [replaced(each, joined[each], "snapshot", n_copies) for each in pairs]:
            graph.expand(saved)
    kept = [replaced(each, new, "persist", min(n, n_rows)) for each, new in pairs.items()]
    for each in kept:
        graph.expand(each)


def _apart(
    b: Builder, sources: list[Tensor], read: Tensor, c: Compressor, n_blocks: int
) -> list[Tensor]:
    """The rows of each block, of K and of the score."""
    graph = b.graph
    return [
        graph.reshape(graph.get_rows(source, read), c.width, c.ratio, n_blocks)
        for source in sources
    ]


def _overlapping(
    b: Builder, sources: list[Tensor], read: Tensor, c: Compressor, n_blocks: int
) -> list[Tensor]:
    """The same of blocks that begin in the one before: half of each row is of either."""
    graph, n_read = b.graph, c.ratio * n_blocks
    found = []
    for source in sources:
        empty = graph.scale(graph.view(source, (source.ne[0],)))
        padded = graph.concat(source, graph.reshape(empty, source.ne[0], 1), 1)
        rows = graph.get_rows(padded, read)
        halves = [
            graph.cont(graph.view(rows, (c.width, n_read), (rows.nb[1],), at))
            for at in (0, n_read * rows.nb[1] + 4 * c.width)
        ]
        first, second = (graph.reshape(half, c.width, c.ratio, n_blocks) for half in halves)
        found.append(graph.concat(first, second, 1))
    return found


def _rotation(b: Builder, name: str, width: int) -> Tensor | None:
    """The Hadamard matrix that turns a cache's rows: those that are quantized, and always an
    indexer's."""
    if name != "lid" and not (b.cache.k.is_quantized and width % attention.ROTATION_STEP == 0):
        return None
    n = attention.ROTATION_STEP
    while width % (2 * n) == 0:
        n *= 2
    return b.input(f"{name}_k_rot", F32, n, n)


def _cache(b: Builder, name: str, ratio: int, width: int, il: int) -> Tensor:
    cells = b.sizes.compressed(ratio) if ratio else b.sizes.cells_swa
    return b.stored(f"{name}_k", il, b.cache.k, width, cells, b.sizes.n_stream)


def _cells_of(b: Builder, cache: Tensor) -> Tensor:
    """A cache's cells [width, 1, n_cells, n_stream]."""
    row = cache.nb[1]
    return b.graph.view(cache, (cache.ne[0], 1, *cache.ne[1:3]), (row, row, cache.nb[2]))


def _attended(b: Builder, x: Tensor, low: Tensor, q: Tensor, kv: Tensor, il: int) -> Tensor:
    graph, ratio, width = b.graph, b.shape(il).compress_ratio, b.shape(il).head_k
    sinks = b.weight("attn_sinks", il)
    mask_kind = F16 if b.cache.flash_attn else F32
    chosen = None
    if ratio == OVERLAPPING:
        chosen = _chosen(b, x, low, il)
    turn = _rotation(b, "raw", width)
    if turn:
        q, kv = attention.hadamard(b, q, turn), attention.hadamard(b, kv, turn)
    graph.expand(q)
    graph.expand(kv)
    recent = _cache(b, "raw", 0, width, il)
    attention.store(b, kv, recent, b.input("attn_inp_k_idxs", I64, b.n_tokens))
    k = _cells_of(b, recent)
    mask = _mask(b, "attn_inp_kq_mask", k.ne[2], mask_kind)
    if ratio:
        name = "csa" if ratio == OVERLAPPING else "hca"
        old = _cells_of(b, _cache(b, name, ratio, width, il))
        old = graph.view(old, old.ne, old.nb[1:])
        k = graph.concat(k, old, 2)
        more = _mask(b, f"dsv4_{name}_kq_mask", old.ne[2], mask_kind)
        mask = graph.concat(mask, latent.narrow(b, more, chosen) if chosen else more)
    y = (attention.fused if b.cache.flash_attn else attention.plain)(
        b, q, k, k, mask, il, sinks, None
    )
    return attention.hadamard(b, y, turn) if turn else y


def _mask(b: Builder, name: str, cells: int, kind: object) -> Tensor:
    n_stream = b.sizes.n_stream
    quant = F16 if kind is F16 else F32
    return b.input(name, quant, cells, b.n_tokens // n_stream, 1, n_stream)


def _chosen(b: Builder, x: Tensor, low: Tensor, il: int) -> Tensor:
    """The best compressed cells of each token, by the indexer."""
    graph, n, width = b.graph, b.n_tokens, b.shape(il).index_width
    heads = b.model.integer("attention.indexer.head_count")
    q = graph.reshape(b.linear("indexer.attn_q_b", low, il), width, heads, n)
    turn = _rotation(b, "lid", width)
    q = _rope(b, q)
    q = attention.hadamard(b, q, turn) if turn else q
    weights = graph.scale(b.linear("indexer.proj", x, il))
    k = _cells_of(b, _cache(b, "lid", OVERLAPPING, width, il))
    k = graph.view(k, k.ne, k.nb[1:])
    mask = _mask(b, "dsv4_lid_kq_mask", k.ne[2], F16)
    return latent.best_cells(b, q, k, weights, mask)
