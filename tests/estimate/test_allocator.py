"""The graph allocator, by graphs small enough to work through by hand and by what must hold of
any."""

from hypothesis import given
from hypothesis import strategies as st

from oomph.estimate.allocator import Placed, pack
from oomph.estimate.buffers import Packing
from oomph.estimate.graph.tensor import F32, Graph, Tensor, pad
from oomph.estimate.pool import Pool

ALIGNMENT = 128


def own_bytes(tensor: Tensor, pool: int) -> int:
    return tensor.n_bytes


def packed(graph: Graph) -> Packing:
    leafs: list[Placed] = [(t, 0) for t in graph.leafs]
    return pack(leafs, [(t, 0) for t in graph.nodes], alignments=(ALIGNMENT,), size=own_bytes)


def leaf(graph: Graph, n: int, *, device: str | None = None) -> Tensor:
    return graph.leaf(F32, n, name="leaf", device=device, is_input=device is None)


def step(graph: Graph, n: int, *src: Tensor) -> Tensor:
    """A node that cannot take a source's place."""
    return graph.node("MUL_MAT", (n,), *src)


def test_a_chain_needs_two_of_its_links_at_once() -> None:
    graph = Graph()
    x = leaf(graph, 32)
    for _ in range(5):
        x = step(graph, 32, x)
    graph.expand(x)
    assert packed(graph).bytes == (256,)


def test_an_elementwise_node_takes_its_sources_place_after_the_last_use() -> None:
    graph = Graph()
    x = step(graph, 64, leaf(graph, 64))
    graph.expand(graph.scale(graph.scale(x)))
    assert packed(graph).bytes == (512,)


def test_a_source_that_is_used_again_keeps_its_place() -> None:
    graph = Graph()
    x = step(graph, 64, leaf(graph, 64))
    graph.expand(step(graph, 64, graph.scale(x), x))
    # the leaf's place is free for the scaled copy; x, the copy and the product are live at the end
    assert packed(graph).bytes == (768,)


def test_a_view_keeps_its_owner_alive() -> None:
    graph = Graph()
    x = leaf(graph, 64)
    window = graph.expand(graph.view(step(graph, 64, x), (32,)))
    other = graph.expand(step(graph, 64, x))
    graph.expand(step(graph, 64, window, other))
    assert packed(graph).bytes == (768,)  # 512 if `other` could take the place of what is viewed


def test_what_has_a_device_takes_no_room() -> None:
    graph = Graph()
    graph.expand(step(graph, 16, leaf(graph, 1 << 20, device="CUDA0")))
    assert packed(graph).bytes == (ALIGNMENT,)


def test_an_output_is_never_freed() -> None:
    graph = Graph()
    first = step(graph, 64, leaf(graph, 64))
    first.is_output = True
    second = step(graph, 64, first)
    third = step(graph, 64, second)
    graph.expand(step(graph, 64, third))
    # leaf, first, second: then third in the leaf's place, and the last in second's
    assert packed(graph).bytes == (768,)


def test_a_hole_too_small_leaves_the_buffer_larger_than_what_lives() -> None:
    graph = Graph()
    held = step(graph, 32, leaf(graph, 32))
    held.is_output = True
    graph.expand(step(graph, 128, held))
    result = packed(graph)
    assert result.live_bytes == (128 + 512,)
    assert result.bytes == (128 + 128 + 512,)


def test_each_backend_has_its_own_pool() -> None:
    graph = Graph()
    x = leaf(graph, 32)
    y = graph.expand(step(graph, 64, x))
    result = pack([(x, 1)], [(y, 0)], alignments=(128, 32), size=own_bytes)
    assert result.bytes == (256, 128)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_blocks_never_overlap_and_all_is_one_hole_in_the_end(sizes: list[int]) -> None:
    pool = Pool()
    live: list[tuple[int, int]] = []
    for size in sizes:
        at = pool.take(size)
        assert all(at + size <= a or a + s <= at for a, s in live)
        live.append((at, size))
        if len(live) > 3:
            pool.give_back(*live.pop(len(live) // 2))
    assert pool.peak >= pool.live_peak >= max(sizes)
    for at, size in live:
        pool.give_back(at, size)
    assert pool.live == 0
    assert [block for block in pool.free if block[1]] == [[0, 1 << 52]]


@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.integers(1, 4), st.integers(0, 4)),
        min_size=1,
        max_size=30,
    )
)
def test_a_buffer_holds_at_least_what_is_live_at_once(recipe: list[tuple[int, int, int]]) -> None:
    """Against an oracle that knows no addresses: uses counted, sizes summed."""
    graph = Graph()
    made = [leaf(graph, 16)]
    for n, reach, second in recipe:
        made.append(
            graph.expand(
                step(graph, n, made[-min(reach, len(made))], made[-min(second + 1, len(made))])
            )
        )
    last_use = {source: i for i, node in enumerate(graph.nodes) for source in node.src}
    live, most = {graph.leafs[0]: 0}, 0
    for i, node in enumerate(graph.nodes):
        live[node] = i
        most = max(most, sum(pad(t.n_bytes, ALIGNMENT) for t in live))
        live = {t: born for t, born in live.items() if last_use.get(t, len(graph.nodes)) > i}
    result = packed(graph)
    assert result.live_bytes == (most,)
    assert result.bytes[0] >= most
