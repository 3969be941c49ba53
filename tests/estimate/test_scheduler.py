"""Which node runs where and what is copied, on graphs of a few nodes and on whole models."""

from collections import Counter

import pytest

from oomph.estimate.fusions import Kept, group_shared_experts, kept_by_fusions
from oomph.estimate.graph.tensor import F16, F32, I32, Graph, Tensor
from oomph.estimate.scheduler import PIPELINE_COPIES, Schedule, schedule
from oomph.gguf.ggml_types import QUANTS

CARD = ("CUDA0", "CPU")


def product(graph: Graph, *, n_tokens: int, device: str) -> Tensor:
    weight = graph.leaf(F16, 64, 64, name="weight", device=device, is_weight=True)
    x = graph.leaf(F32, 64, n_tokens, name="x", is_input=True)
    return graph.expand(graph.mul_mat(weight, x))


def where(plan: Schedule, op: str) -> list[int]:
    return [backend for t, backend in plan.nodes if t.op == op]


def test_a_product_runs_where_its_weight_is() -> None:
    graph = Graph()
    product(graph, n_tokens=4, device="CUDA0")
    plan = schedule(graph, CARD)
    assert where(plan, "MUL_MAT") == [0]
    copied = [t for t, backend in plan.nodes if t.op == "NONE" and not t.view_src]
    assert [(t.name, t.kind) for t in copied] == [("x", "")]


@pytest.mark.parametrize(
    ("n_tokens", "op_offload", "backend"), [(31, True, 1), (32, True, 0), (32, False, 1)]
)
def test_a_large_batch_fetches_its_weights_from_the_cpu(
    n_tokens: int, op_offload: bool, backend: int
) -> None:
    graph = Graph()
    product(graph, n_tokens=n_tokens, device="CPU")
    assert where(schedule(graph, CARD, op_offload=op_offload), "MUL_MAT") == [backend]


def test_what_has_no_weight_joins_its_neighbours_on_the_card() -> None:
    graph = Graph()
    y = product(graph, n_tokens=4, device="CUDA0")
    graph.expand(graph.scale(graph.rms_norm(y)))
    plan = schedule(graph, CARD)
    assert where(plan, "RMS_NORM") == where(plan, "SCALE") == [0]
    assert plan.n_splits == 1


def test_a_tensor_is_copied_once_for_a_backend() -> None:
    graph = Graph()
    x = graph.leaf(F32, 64, 4, name="x", is_input=True)
    for name in ("a", "b"):
        weight = graph.leaf(F16, 64, 64, name=name, device="CUDA0", is_weight=True)
        graph.expand(graph.mul_mat(weight, x))
    plan = schedule(graph, CARD)
    assert sum(t.name == "x" for t, _ in plan.nodes) == 1


def test_one_weight_is_copied_at_a_time() -> None:
    graph = Graph()
    x = graph.leaf(F32, 64, 64, name="x", is_input=True)
    for name in ("a", "b", "c"):
        weight = graph.leaf(F16, 64, 64, name=name, device="CPU", is_weight=True)
        x = graph.mul_mat(weight, x)
    graph.expand(x)
    assert schedule(graph, CARD).n_splits == 3


def test_pipeline_parallelism_keeps_every_input_and_copy_several_times() -> None:
    graph = Graph()
    product(graph, n_tokens=4, device="CUDA0")
    plan = schedule(graph, ("CUDA0", "CUDA1", "CPU"), n_copies=PIPELINE_COPIES)
    kept = [t for t, _ in plan.leafs if t.is_output]
    assert len([t for t in kept if t.name.endswith("x")]) >= 2 * PIPELINE_COPIES


def weighted_sum(graph: Graph, n_used: int) -> tuple[Tensor, Tensor]:
    outputs = graph.expand(graph.node("MUL_MAT_ID", (8, n_used, 4)))
    weights = graph.expand(graph.node("GET_ROWS", (1, n_used, 4)))
    y = graph.expand(graph.mul(outputs, weights))
    parts = [graph.expand(graph.view(y, (8, 4), (y.nb[2],), i * y.nb[1])) for i in range(n_used)]
    total = parts[0]
    for part in parts[1:]:
        total = graph.expand(graph.add(total, part))
    return outputs, total


@pytest.mark.parametrize(("n_used", "is_fused"), [(1, False), (2, True), (15, True), (16, False)])
def test_the_weighted_sum_of_2_to_15_experts_is_fused(n_used: int, is_fused: bool) -> None:
    graph, kept = Graph(), Kept()
    outputs, total = weighted_sum(graph, n_used)
    kept_by_fusions(graph.nodes, 0, len(graph.nodes), {}, kept)
    assert (total in kept and outputs in kept[total]) == is_fused


@pytest.mark.parametrize(("n_expert", "is_fused"), [(64, True), (60, False), (576, True)])
def test_the_choice_of_experts_is_fused_for_powers_of_two(n_expert: int, is_fused: bool) -> None:
    graph, kept = Graph(), Kept()
    logits = graph.expand(graph.node("MUL_MAT", (n_expert, 4)))
    probs = graph.like("SOFT_MAX", logits)
    flat = graph.expand(graph.reshape(probs, 1, n_expert, 4))
    order = graph.expand(graph.node("ARGSORT", (n_expert, 4), probs, quant=I32))
    ids = graph.expand(graph.view(order, (8, 4), order.nb[1:]))
    weights = graph.expand(graph.get_rows(flat, ids))
    after = graph.expand(graph.scale(graph.scale(weights)))
    uses = {t: sum(s is t for node in graph.nodes for s in node.src) for t in graph.nodes}
    kept_by_fusions(graph.nodes, 0, len(graph.nodes), uses, kept)
    assert bool(kept) == is_fused
    assert not is_fused or logits in next(iter(kept.values()))
    assert after in graph.nodes


def test_a_shared_expert_moves_behind_the_routed_ones() -> None:
    """Between them stands what the fused kernel must not overwrite (0.6.0, from its source)."""
    graph, q8 = Graph(), QUANTS["Q8_0"]
    x = graph.leaf(F32, 64, 4, name="x", device="CUDA0")
    ids = graph.leaf(I32, 2, 4, name="ids", device="CUDA0")

    def weight(*ne: int) -> Tensor:
        return graph.leaf(q8, *ne, name="weight", device="CUDA0", is_weight=True)

    rows = graph.reshape(x, 64, 1, 4)
    gate, up = (graph.mul_mat_id(weight(64, 32, 8), rows, ids) for _ in range(2))
    graph.expand(graph.scale(graph.expand(graph.glu(gate, up))))
    own_gate, own_up = (graph.mul_mat(weight(64, 32), x) for _ in range(2))
    graph.expand(graph.scale(graph.expand(graph.glu(own_gate, own_up))))
    kept: Kept = {}
    n_uses = Counter(source for t in graph.nodes for source in t.src)
    group_shared_experts(graph.nodes, 0, len(graph.nodes), n_uses, kept)
    ops = [t.op for t in graph.nodes if t.op != "RESHAPE"]
    assert ops == ["MUL_MAT_ID"] * 2 + ["GLU"] + ["MUL_MAT"] * 2 + ["GLU", "SCALE", "SCALE"]
    assert [[rows, ids]] == [*kept.values()]
