"""Cutting runs of equal layers: what stays, and that the answer is the one of the whole graph."""

from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_entries, catalogue_model
from oomph.config import RunConfig
from oomph.estimate import replays
from oomph.estimate.buffers import Batch
from oomph.estimate.graph.placement import layer_and_part, layer_of
from oomph.estimate.graph.tensor import Tensor
from oomph.estimate.memory import MemoryModel
from oomph.estimate.repeats import KEPT, Run, select_layers
from oomph.estimate.structure import is_multiplied
from oomph.gguf.ggml_types import quant


def test_a_dense_model_is_cut_to_three_layers_and_the_last() -> None:
    selection = select_layers("a" * 32, 3)
    assert selection.layers == (0, 1, 30, 31)
    assert selection.runs == (Run((0, 1, 30), 28),)


def test_a_period_is_a_run_of_its_own() -> None:
    selection = select_layers("sssssf" * 8, 3)
    assert [("sssssf" * 8)[il] for il in selection.layers] == list("sssssf" * 3 + "sss" + "f")
    assert selection.runs == (Run((5, 11, 41), 4), Run((42, 43, 46), 2))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.sampled_from(KEPT))
def test_every_kind_of_layer_stays_in_order(signatures: list[str], keep: int) -> None:
    selection = select_layers(signatures, keep)
    assert list(selection.layers) == sorted(set(selection.layers))
    assert selection.layers[-1] == len(signatures) - 1
    assert {signatures[il] for il in selection.layers} == set(signatures)
    left_out = sum(run.n_left_out * run.period for run in selection.runs)
    assert len(selection.layers) + left_out == len(signatures)
    for run in selection.runs:
        assert set(run.ends) <= set(selection.layers)
        assert len({signatures[il] for il in run.ends}) == 1
        for rank in range(1, run.n_left_out + 1):
            assert signatures[run.ends[1] + rank * run.period] == signatures[run.ends[1]]


@pytest.mark.parametrize(
    "model",
    [
        "qwen3-30b-a3b",
        "gemma-3-4b",
        "gpt-oss-20b",
        "phi-4-mini",
        "mamba2-2.7b",
        "granite-4.0-h-tiny",
    ],
)
@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"n_ctx": 32768, "n_ubatch": 2048},
        {"flash_attn": "off"},
        {"n_gpu_layers": 9},
        {"n_cpu_moe": 7},
        {"n_devices": 2},
        {"type_k": "q8_0", "type_v": "q8_0", "swa_full": False},
    ],
    ids=str,
)
def test_what_was_left_out_would_not_have_mattered(
    model: str, knobs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, config = catalogue_model(model, "Q4_K_M"), RunConfig().with_(**knobs)
    quick = MemoryModel(spec)
    with_cuts = quick.compute(quick.setup(config))
    monkeypatch.setattr(replays, "KEPT", (10_000,))
    whole = MemoryModel(spec)
    assert whole.compute(quick.setup(config)) == with_cuts


def test_types_decide_what_is_copied_and_no_node() -> None:
    """Q4_K_M mixes types; only those of weights on the host may be copied, and so decide sizes."""
    memory = MemoryModel(catalogue_model("qwen3-30b-a3b", "Q4_K_M"))
    setup = memory.setup(RunConfig(n_ctx=8192, n_cpu_moe=12))
    signatures = memory._compute._replays._signatures(setup)
    assert len({*signatures[:12]}) > 1
    assert len({*signatures[12:]}) == 1
    assert len({nodes for nodes, _ in signatures[:12]}) == 1


@pytest.mark.parametrize(
    "model", ["qwen3-30b-a3b", "qwen3-next-80b-a3b", "deepseek-v2-lite", "falcon-h1-7b"]
)
@given(
    st.lists(st.sampled_from(["Q4_K", "Q6_K", "Q8_0", "F16", "MXFP4"]), min_size=1, max_size=5),
    st.sampled_from([{"n_cpu_moe": 48}, {"n_cpu_moe": 20, "n_devices": 2}, {"n_gpu_layers": 3}]),
    st.sampled_from([8192, 12_345]),
)
@example(["Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q6_K"], {"n_cpu_moe": 48}, 8192)
@settings(max_examples=6)
def test_layers_of_mixed_types_on_the_host_are_gone_through_as_they_are(
    model: str, kinds: list[str], knobs: dict[str, int], n_ctx: int
) -> None:
    """Mixed as nobody mixes: by the number of the layer, and each matrix in another order."""
    spec = catalogue_model(model, "Q8_0")
    mixed = {
        name: replace(info, quant=quant(kinds[(layer_of(name) or 0) * len(name) % len(kinds)]))
        for name, info in spec.tensors.items()
        if is_multiplied(layer_and_part(name)[1])
    }
    spec = replace(spec, tensors=dict(spec.tensors) | mixed)
    config = RunConfig(n_ctx=n_ctx).with_(**knobs)
    quick, whole = MemoryModel(spec), MemoryModel(spec)
    with patch.object(replays, "KEPT", (10_000,)):
        wanted = [whole.compute(whole.setup(config.with_(n_ctx=n))) for n in (n_ctx, 40_960)]
    asked = [n_ctx, 16_384, 65_536, 40_960]
    assert [quick.compute(quick.setup(config.with_(n_ctx=n))) for n in asked][::3] == wanted
    selection = quick._compute._replays._select(quick.setup(config), KEPT[0])
    assert len(selection.layers) < spec.n_layer


@pytest.mark.parametrize(
    "model", {entry.arch: entry.name for entry in catalogue_entries()}.values()
)
def test_matrices_are_multiplied_and_nothing_else(model: str) -> None:
    """Of those whose types may differ from layer to layer: no view of one, no other operator."""
    memory = MemoryModel(catalogue_model(model, "Q4_K_M"))
    setup = memory.setup(RunConfig(n_ctx=4096, n_devices=0))
    composes = memory._compute._replays
    batch = Batch(n_tokens=64, n_outputs=64, n_seqs=1)
    graph = composes._composed(setup, batch, composes._select(setup, KEPT[0])).graph
    for node in graph.nodes:
        read = [i for i, source in enumerate(node.src) if _is_mixed(source)]
        assert not read or (read, node.op[:7]) == ([0], "MUL_MAT"), node
        assert node.view_src is None or not _is_mixed(node.view_src), node


def _is_mixed(tensor: Tensor) -> bool:
    return tensor.is_weight and is_multiplied(layer_and_part(tensor.name)[1])
