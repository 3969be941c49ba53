"""Sizes between replayed contexts are those that a replay of the context itself gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.estimate.affine_sizes import AffineSizes
from oomph.estimate.allocator import AllocationProgram, Placed
from oomph.estimate.graph.tensor import F32, Graph, Tensor
from oomph.estimate.memory import MemoryModel
from oomph.gguf.ggml_types import QUANTS, QuantType


@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("gemma-3-4b", {}),
        ("gemma-3-4b", {"swa_full": False}),
        ("qwen3-0.6b", {"n_cpu_moe": 4, "op_offload": True}),
        ("qwen3-0.6b", {"flash_attn": "off", "n_ubatch": 256}),
        ("granite-4.0-h-tiny", {"n_seq_max": 3}),
        ("deepseek-v2-lite", {"n_gpu_layers": 7, "type_k": "q8_0"}),
        ("phi-4-mini", {"n_devices": 2}),
        ("deepseek-v4-flash", {"n_devices": 8}),
        ("deepseek-v4-flash", {"n_cpu_moe": 9, "type_k": "q8_0"}),
    ],
)
def test_a_context_between_replayed_ones_has_the_buffers_of_its_own_replay(
    name: str, knobs: dict[str, object]
) -> None:
    model = catalogue_model(name, "Q4_K_M")
    warm = MemoryModel(model)
    for n_ctx in (65_536, 32_768, 16_384):
        warm.estimate(RunConfig(n_ctx=n_ctx).with_(**knobs))
    for n_ctx in (256, 4_352, 40_192, 131_072):
        config = RunConfig(n_ctx=n_ctx).with_(**knobs)
        assert warm.compute(warm.setup(config)) == MemoryModel(model).compute(warm.setup(config))


def program(
    n_cells: int, *, quant: QuantType = F32, extra: int = 0
) -> tuple[AllocationProgram, list[int]]:
    """A node over all cells whose place a node of 1,024 elements takes, if they are as many."""
    graph = Graph()
    x = graph.leaf(F32, 1024, name="x", is_input=True)
    over_cells = graph.expand(graph.node("MUL_MAT", (n_cells,), x, quant=quant))
    wide = graph.expand(Tensor("ADD", F32, (1024, 1, 1, 1), [over_cells]))
    for _ in range(extra):
        wide = graph.expand(graph.scale(wide))
    leafs: list[Placed] = [(t, 0) for t in graph.leafs]
    made = AllocationProgram(leafs, [(t, 0) for t in graph.nodes])
    return made, made.sizes(lambda tensor, pool: tensor.n_bytes)


def learned(*cells: int, **described: int) -> AffineSizes:
    affine = AffineSizes()
    for n_cells in cells:
        affine.learn((n_cells,), *program(n_cells, **described))
    return affine


@given(st.integers(1, 4096))
def test_what_may_take_a_place_at_one_context_only_does_so_there(blocks: int) -> None:
    affine = learned(256, 512, 768)
    known, sizes, alike = affine.at((256 * blocks,))
    own, own_sizes = program(256 * blocks)
    assert (sizes, alike) == (own_sizes, own.likeness())
    assert alike == [blocks == 4]
    assert known.run(sizes, alike, [128]) == own.run(own_sizes, own.likeness(), [128])


def test_so_many_different_contexts_are_replayed_first() -> None:
    assert not learned(256, 512, 512, 256).knows((1024,))
    assert learned(256, 512, 512, 768).knows((1024,))
    known = AffineSizes(n_checks=0)
    known.learn((256,), *program(256))
    assert not known.knows((1024,))
    known.learn((768,), *program(768))
    assert known.knows((1024,))


def test_another_graph_or_a_size_off_the_line_is_not_drawn_through() -> None:
    affine = learned(256, 512)
    affine.learn((768,), *program(768, extra=1))
    assert affine.is_rigid
    bent = learned(256, 512)
    made, sizes = program(768)
    bent.learn((768,), made, [size + 1 for size in sizes])
    assert bent.is_rigid
    assert not bent.knows((1024,))


def test_a_quantized_row_of_cells_is_padded_and_no_line() -> None:
    affine = AffineSizes()
    for n_cells in (512, 1024, 1536):
        affine.learn((n_cells,), *program(n_cells, quant=QUANTS["Q8_0"]))
    assert affine.is_rigid
