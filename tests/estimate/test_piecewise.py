"""Packings on a line between two that were gone through are those of the allocator itself."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate.affine_sizes import AffineSizes
from oomph.estimate.allocator import AllocationProgram
from oomph.estimate.backends import alignment
from oomph.estimate.buffers import Packing
from oomph.estimate.graph.tensor import F32, Graph
from oomph.estimate.memory import MemoryModel
from oomph.estimate.piecewise import PiecewisePackings
from oomph.estimate.pool import Pool

Sizes = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=10)
"""Of each node: 128 bytes so often, and so many bytes a cell."""


def program(lines: Sequence[tuple[int, int]]) -> AllocationProgram:
    """Nodes that read the two before them, so that what is freed lies between what is not."""
    graph = Graph()
    made = [graph.leaf(F32, 32, name="x", is_input=True)]
    for base, step in lines:
        made.append(graph.node("MUL_MAT", (base, step + 1), *made[-2:], made[len(made) // 2]))
    graph.expand(made[-1])
    return AllocationProgram([(t, 0) for t in graph.leafs], [(t, 0) for t in graph.nodes])


def sizes(program: AllocationProgram, cells: int) -> list[int]:
    return [128 * t.ne[0] + (t.ne[1] - 1) * cells for t in program.tensors]


@given(Sizes, st.lists(st.integers(1, 40), min_size=6, max_size=30))
def test_every_context_is_as_when_it_is_gone_through(
    lines: list[tuple[int, int]], steps: list[int]
) -> None:
    made = program(lines)

    def run(cells: int) -> tuple[Packing, Sequence[int]]:
        return made.run_traced(sizes(made, cells), made.likeness(), [128])

    known = PiecewisePackings(run, ())
    for step in steps:
        expected = made.run(sizes(made, 256 * step), made.likeness(), [128])
        assert known.at(256 * step) == expected


@pytest.mark.parametrize("name", ["qwen3-30b-a3b", "gemma-3-4b", "granite-4.0-h-tiny"])
@pytest.mark.parametrize("order", ["rising", "falling", "any"])
def test_a_model_at_many_contexts(name: str, order: str) -> None:
    memory, chance = MemoryModel(catalogue_model(name, "Q4_K_M")), random.Random(name + order)
    for n_ctx in (8192, 16_384, 32_768, 65_536):
        setup = memory.setup(RunConfig(n_ctx=n_ctx))
        memory.compute(setup)
    alignments = [alignment(device) for device in setup.placement.backends]
    steps = chance.sample(range(16, 1024), 60)
    if order != "any":
        steps.sort(reverse=order == "falling")
    asked = 0
    for affine in memory._compute._learned.shared.affine.values():
        for rest, times in affine._piecewise:
            assert rest == ()
            for step in steps:
                found = affine.at((256 * step,))
                assert found is not None
                made, own, alike = found
                expected = made.run(own, alike, alignments, times)
                assert affine.packing((256 * step,), alignments, times) == expected
                asked += 1
    assert asked >= len(steps)


def test_contexts_between_are_not_gone_through() -> None:
    gone_through: list[int] = []

    def run(cells: int) -> tuple[Packing, Sequence[int]]:
        gone_through.append(cells)
        return Packing(bytes=(cells,), live_bytes=(cells,)), (int(cells > 51_200),)

    known = PiecewisePackings(run, {2560})
    for step in range(1, 401):
        assert known.at(256 * step).bytes == (256 * step,)
    assert 2560 in gone_through
    assert len(gone_through) < 40


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.randoms())
def test_blocks_twice_as_large_are_decided_on_alike(
    blocks: list[int], chance: random.Random
) -> None:
    one, other = Pool(), Pool()
    held: list[tuple[int, int]] = []
    for n in blocks:
        at = one.take(128 * n)
        assert other.take(256 * n) == 2 * at
        held.append((at, 128 * n))
        if chance.random() < 0.6:
            place, size = held.pop(chance.randrange(len(held)))
            one.give_back(place, size)
            other.give_back(2 * place, 2 * size)
        assert one.decisions == other.decisions
        assert (2 * one.peak, 2 * one.live_peak) == (other.peak, other.live_peak)
        assert (one.peak_at, one.live_peak_at) == (other.peak_at, other.live_peak_at)
        assert [2 * at for at, _ in one.free] == [at for at, _ in other.free]


def test_another_hole_is_another_decision() -> None:
    one, other = Pool(), Pool()
    for pool, sizes in ((one, (128, 256)), (other, (256, 128))):
        first, second = (pool.take(n) for n in sizes)
        pool.take(128)
        pool.give_back(first, sizes[0])
        pool.take(128)
        pool.give_back(second, sizes[1])
    assert one.decisions != other.decisions


def test_a_context_is_learned_once() -> None:
    affine = AffineSizes()
    assert affine.at((256,)) is None
    made = program([(1, 1), (2, 0)])
    affine.learn((256,), made, sizes(made, 256))
    assert affine.at((256,)) == (made, sizes(made, 256), made.likeness())
    assert affine.at((512,)) is None


def test_a_model_whose_cells_are_of_several_kinds() -> None:
    """DeepSeek-V4 compresses old tokens by 4 and by 128: contexts are rows, along the first."""
    memory = MemoryModel(catalogue_model("deepseek-v4-flash", "Q4_K_M"))
    config, chance = RunConfig(n_devices=2, swa_full=False), random.Random(4)
    rows = [chance.randint(1, 16) for _ in range(3)]
    asked = [128 * row + step for row in rows for step in chance.sample(range(0, 128, 4), 8)]
    for steps in (*asked, *asked[::-1]):
        setup = memory.setup(config.with_(n_ctx=256 * steps))
        apart = MemoryModel(catalogue_model("deepseek-v4-flash", "Q4_K_M"))
        assert memory.compute(setup) == apart.compute(setup)
    assert any(
        rest and packings._n_asked > len(packings._cells)
        for affine in memory._compute._learned.shared.affine.values()
        for (rest, _), packings in affine._piecewise.items()
    )
