"""Repetitions that are gone through without being composed give what the whole graph gives."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from oomph.estimate.allocator import AllocationProgram
from oomph.estimate.buffers import Packing
from oomph.estimate.graph.tensor import F32, Graph, Tensor

KEPT = 3
Recipe = Sequence[tuple[str, int, int, int]]
"""A layer's nodes: operator, elements, and two of the tensors before it, counted from the last."""


def layer(
    graph: Graph, x: Tensor, shared: Sequence[Tensor], recipe: Recipe, *, leafs: int
) -> Tensor:
    """A layer over `x` of nodes that read `x`, each other, what all share, and leafs of its own."""
    own = [graph.leaf(F32, 48, name="own") for _ in range(leafs)]
    made = [*shared, *own, x]
    for op, n, one, other in recipe:
        source = made[-1 - one % len(made)]
        if op == "VIEW":
            made.append(graph.view(source, (max(source.ne[0] // 2, 1),)))
        elif op == "SCALE":
            made.append(graph.expand(graph.scale(source)))
        else:
            sources = (source, made[-1 - other % len(made)])
            made.append(graph.expand(graph.node(op, (n,), *sources)))
    return graph.expand(graph.node("ADD", (64,), made[-1], x))


def program(
    recipe: Recipe, n_layers: int, *, is_run: bool = False, leafs: int = 0
) -> AllocationProgram:
    """Of `n_layers` layers like the recipe, and one that is not; with `is_run` the third of them
    may be repeated."""
    graph = Graph()
    shared = [graph.leaf(F32, 96, name="input", is_input=True)]
    x = graph.node("MUL_MAT", (64,), shared[0])
    ends = []
    for _ in range(n_layers):
        x = layer(graph, x, shared, recipe, leafs=leafs)
        ends.append(x)
    x = layer(graph, x, shared, [("MUL_MAT", 80, 0, 1), ("SCALE", 0, 0, 0)], leafs=0)
    graph.expand(x)
    repeated = [tuple(ends[:3])] if is_run else []
    return AllocationProgram([(t, 0) for t in graph.leafs], [(t, 0) for t in graph.nodes], repeated)


def packed(program: AllocationProgram, *times: int) -> Packing:
    sizes = program.sizes(lambda tensor, pool: tensor.n_bytes)
    left_out = [((),) * n for n in times]
    return program.run(sizes, program.likeness(), [128], left_out)


RECIPES = st.lists(
    st.tuples(
        st.sampled_from(["MUL_MAT", "SCALE", "ADD", "VIEW"]),
        st.integers(1, 400),
        st.integers(0, 6),
        st.integers(0, 6),
    ),
    min_size=1,
    max_size=10,
)


@given(RECIPES, st.integers(0, 20), st.integers(0, 2))
def test_what_is_left_out_changes_nothing(recipe: Recipe, n_more: int, leafs: int) -> None:
    cut = program(recipe, KEPT, is_run=True, leafs=leafs)
    if cut.is_whole:
        assert packed(cut, n_more) == packed(program(recipe, KEPT + n_more, leafs=leafs))


def test_layers_that_follow_one_another_are_a_loop() -> None:
    recipe = [("MUL_MAT", 200, 0, 1), ("SCALE", 0, 0, 0), ("MUL_MAT", 64, 0, 2)]
    cut = program(recipe, KEPT, is_run=True)
    assert cut.is_whole
    (loop,) = cut.loops
    assert (len(loop.before), loop.first) == (1, ())
    assert packed(cut, 40) == packed(program(recipe, KEPT + 40))


def test_leafs_of_their_own_lie_there_from_the_start() -> None:
    recipe = [("MUL_MAT", 8, 1, 0)]
    cut = program(recipe, KEPT, is_run=True, leafs=1)
    assert cut.is_whole
    assert len(cut.loops[0].first) == 1
    few, whole = packed(program(recipe, KEPT, leafs=1)), packed(cut, 10)
    assert whole.bytes[0] - few.bytes[0] == 10 * 256
    assert whole == packed(program(recipe, KEPT + 10, leafs=1))


def test_what_is_read_long_after_its_layer_is_no_loop() -> None:
    graph = Graph()
    x = graph.leaf(F32, 64, name="input", is_input=True)
    ends = []
    for _ in range(KEPT):
        x = graph.expand(graph.node("MUL_MAT", (64,), x))
        ends.append(x)
    graph.expand(graph.node("CONCAT", (192,), *ends))
    nodes = [(t, 0) for t in graph.nodes]
    assert not AllocationProgram([(t, 0) for t in graph.leafs], nodes, [tuple(ends)]).is_whole


def test_a_layer_unlike_the_one_before_is_no_loop() -> None:
    graph = Graph()
    x = graph.leaf(F32, 64, name="input", is_input=True)
    ends = []
    for width in (64, 64, 80):
        x = graph.expand(graph.node("MUL_MAT", (width,), x))
        ends.append(x)
    nodes = [(t, 0) for t in graph.nodes]
    assert not AllocationProgram([(t, 0) for t in graph.leafs], nodes, [tuple(ends)]).is_whole
