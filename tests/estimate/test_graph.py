"""ggml's tensors, a configuration's sizes and placement, and the graphs that are composed of
them."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.file_rules import RULES
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ConfigError, ModelFileError
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.compose import build_graph
from oomph.estimate.graph.hparams import resolve_hparams
from oomph.estimate.graph.placement import CPU, Placement
from oomph.estimate.graph.sizes import resolve_sizes
from oomph.estimate.graph.tensor import F32, Graph, Tensor
from oomph.estimate.memory import MemoryModel
from oomph.gguf.ggml_types import QUANTS

MakeModel = Callable[..., ModelSpec]


def graph_of(model: ModelSpec, **knobs: object) -> tuple[Graph, dict[int, Tensor]]:
    """The prompt graph of all layers."""
    setup = MemoryModel(model).setup(RunConfig().with_(**knobs))
    sizes = setup.sizes
    b = Builder(
        model,
        setup.hparams,
        setup.placement,
        sizes,
        setup.cache,
        n_tokens=sizes.n_tokens,
        n_outputs=sizes.n_outputs,
    )
    return build_graph(b, range(setup.hparams.n_layer))


# --- tensors


def test_a_fresh_tensor_is_contiguous_and_a_permuted_one_is_not() -> None:
    graph = Graph()
    x = graph.leaf(F32, 4, 3, 2, name="x")
    assert x.n_bytes == 4 * 3 * 2 * 4
    y = graph.permute(x, 0, 2, 1, 3)
    assert y.ne == (4, 2, 3, 1)
    assert not y.is_contiguous
    assert graph.cont(y).is_contiguous
    assert y.root is x


def test_a_quantized_tensor_counts_blocks() -> None:
    assert Graph().leaf(QUANTS["Q8_0"], 64, 3, name="w").n_bytes == 2 * 34 * 3


def test_a_view_of_a_view_is_a_view_of_the_root() -> None:
    graph = Graph()
    x = graph.leaf(F32, 16, 4, name="x")
    outer = graph.view(x, (8, 4), (x.nb[1],), 16)
    inner = graph.view(outer, (4, 4), (x.nb[1],), 8)
    assert inner.view_src is x
    assert inner.offset == 24
    assert inner.n_bytes == 3 * x.nb[1] + 4 * 4


def test_an_empty_view_has_no_bytes() -> None:
    graph = Graph()
    assert graph.view(graph.leaf(F32, 8, name="x"), (0,), (), 32).n_bytes == 0


def test_expanding_visits_sources_first_and_each_once() -> None:
    graph = Graph()
    x = graph.leaf(F32, 8, name="x", is_input=True)
    a, b = graph.scale(x), graph.rms_norm(x)
    total = graph.add(a, b)
    graph.expand(total)
    graph.expand(total)
    assert graph.nodes == [a, b, total]
    assert graph.leafs == [x]


# --- sizes


@pytest.mark.parametrize(
    ("knobs", "cells", "n_tokens", "n_outputs"),
    [
        ({"n_ctx": 90_000}, 90_112, 512, 512),
        ({"n_ctx": 1000, "n_ubatch": 4096}, 1024, 1000, 1000),
        ({"n_ctx": 5000, "n_seq_max": 4}, 1280, 512, 512),
        ({"n_ctx": 5000, "n_seq_max": 4, "kv_unified": True, "n_outputs_max": 4}, 5120, 512, 4),
        ({"n_ctx": 4096, "n_seq_max": 3, "n_ubatch": 100}, 1536, 102, 100),
    ],
    ids=str,
)
def test_contexts_and_batches_are_padded_as_llama_context_does(
    make_model: MakeModel, knobs: dict[str, object], cells: int, n_tokens: int, n_outputs: int
) -> None:
    sizes = resolve_sizes(RunConfig().with_(**knobs), resolve_hparams(make_model()))
    assert (sizes.cells, sizes.n_tokens, sizes.n_outputs) == (cells, n_tokens, n_outputs)


def test_a_window_keeps_its_own_cells_and_a_micro_batch_more(make_model: MakeModel) -> None:
    model = make_model("gemma3", metadata={"attention.sliding_window": 1024})
    small = resolve_sizes(RunConfig(n_ctx=32768, swa_full=False), resolve_hparams(model))
    assert small.cells_swa == 1536
    full = resolve_sizes(RunConfig(n_ctx=32768), resolve_hparams(model))
    assert full.cells_swa == full.cells == 32768
    assert [layer.is_swa for layer in resolve_hparams(model).layers] == [True] * 5 + [False]


# --- placement


@given(st.integers(0, 80), st.integers(-1, 90), st.integers(0, 4))
def test_layers_lie_on_the_cards_in_order_after_those_on_the_cpu(
    n_layer: int, n_gpu: int, n_cards: int
) -> None:
    place = Placement(RunConfig(n_gpu_layers=n_gpu, n_devices=n_cards), n_layer)
    devices = [place.layer(il) for il in range(n_layer + 1)]
    ranks = [-1 if device == CPU else int(device.removeprefix("CUDA")) for device in devices]
    assert ranks == sorted(ranks)
    on_cards = 0 if n_cards == 0 else n_layer + 1 if n_gpu < 0 else min(n_gpu, n_layer + 1)
    assert sum(rank >= 0 for rank in ranks) == on_cards


def test_a_split_divides_the_layers_by_its_shares() -> None:
    place = Placement(RunConfig(n_devices=2, tensor_split=(3, 1)), 31)
    assert [place.layer(il) for il in range(32)].count("CUDA0") == 24


def test_a_placement_is_the_same_whatever_shares_it_came_of() -> None:
    even, counted, other = (
        Placement(RunConfig(n_devices=2, tensor_split=split), 60).key
        for split in (None, (31, 30), (30, 31))
    )
    assert even == counted
    assert even != other
    caching = [
        Placement(RunConfig(n_devices=2, tensor_split=split, moe_cache_mib=64), 60).key
        for split in (None, (31, 30))
    ]
    assert len({even, *caching}) == 3, "its cache of experts is divided by the shares"


def test_experts_of_the_first_layers_stay_on_the_cpu() -> None:
    place = Placement(RunConfig(n_cpu_moe=2), 8)
    assert place.weight("blk.1.ffn_up_exps.weight") == CPU
    assert place.weight("blk.2.ffn_up_exps.weight") == "CUDA0"
    assert place.weight("blk.1.attn_q.weight") == "CUDA0"
    assert place.weight("token_embd.weight") == CPU


def test_the_first_pattern_that_matches_decides() -> None:
    place = Placement(RunConfig(override_tensor=r"blk\.1\.attn_q=CUDA1,attn_q=CPU", n_devices=2), 4)
    assert place.weight("blk.1.attn_q.weight") == "CUDA1"
    assert place.weight("blk.2.attn_q.weight") == CPU


@pytest.mark.parametrize(
    "knobs",
    [
        {"override_tensor": "attn"},
        {"override_tensor": "attn=CUDA7"},
        {"override_tensor": "(=CPU"},
        {"tensor_split": (1, -1), "n_devices": 2},
        {"split_mode": "none", "main_gpu": 3},
    ],
)
def test_impossible_placements_are_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Placement(RunConfig().with_(**knobs), 4)


# --- composition


@pytest.mark.parametrize("n_used", [8, 24, 25])
def test_qwen3_30b_has_two_more_nodes_a_layer_for_each_expert(n_used: int) -> None:
    """3,030 nodes as printed for 8 experts by llama.cpp 0.5.0 on the phantom card."""
    graph, _ = graph_of(catalogue_model("qwen3-30b-a3b", "Q4_K_M"), n_expert_used=n_used)
    assert len(graph.nodes) == 3030 + 2 * 48 * (n_used - 8)


@pytest.mark.parametrize("flash_attn", ["on", "off"])
def test_attention_is_fused_or_not(make_model: MakeModel, flash_attn: str) -> None:
    graph, ends = graph_of(make_model(), flash_attn=flash_attn)
    ops = [node.op for node in graph.nodes]
    assert ops.count("FLASH_ATTN_EXT") == (6 if flash_attn == "on" else 0)
    assert ops.count("SOFT_MAX") == (0 if flash_attn == "on" else 6)
    assert list(ends) == list(range(6))


def test_only_the_rows_that_need_logits_pass_the_last_layer(make_model: MakeModel) -> None:
    graph, ends = graph_of(make_model(), n_outputs_max=1)
    assert ends[4].ne[1] == 512
    assert ends[5].ne[1] == 1
    assert graph.nodes[-1].ne == (1000, 1, 1, 1)


def test_a_quantized_cache_is_rotated(make_model: MakeModel) -> None:
    plain, _ = graph_of(make_model())
    rotated, _ = graph_of(make_model(), type_k="q8_0", type_v="q8_0")
    assert {t.name for t in rotated.leafs} - {t.name for t in plain.leafs} == {
        "attn_inp_k_rot",
        "attn_inp_v_rot",
    }


def test_a_missing_tensor_is_named(make_model: MakeModel) -> None:
    model = make_model()
    del model.tensors["blk.3.ffn_up.weight"]  # type: ignore[attr-defined]
    with pytest.raises(ModelFileError, match=r"blk\.3\.ffn_up\.weight"):
        graph_of(model)


@pytest.mark.parametrize(
    "metadata",
    [
        {"nextn_predict_layers": 6},
        {"expert_count": 8, "expert_used_count": 9},
        {"embedding_length": 1 << 40},
    ],
)
def test_numbers_that_no_model_has_are_refused(
    make_model: MakeModel, metadata: dict[str, int]
) -> None:
    with pytest.raises(ModelFileError):
        resolve_hparams(make_model(metadata=metadata))


def test_as_many_experts_are_taken_as_a_file_may_have(make_model: MakeModel) -> None:
    most = int(RULES["expert_count"].most)
    model = make_model(metadata={"expert_count": most, "expert_used_count": 8})
    assert resolve_hparams(model).n_expert == most


@given(
    st.from_regex(
        r"(dec\.)?blk\.(0|[1-9][0-9]?)\.ffn_(up|down|gate|gate_up|norm)_(ch|)(ex|sh)ps",
        fullmatch=True,
    ),
    st.integers(0, 40),
)
def test_experts_stay_on_the_host_as_llama_cpps_patterns_say(name: str, n_cpu_moe: int) -> None:
    """It makes one of each layer (llm_ffn_exps_block_regex), and searches with all of them."""
    place = Placement(RunConfig(n_cpu_moe=n_cpu_moe), 99)
    patterns = [rf"blk\.{il}\.ffn_(up|down|gate|gate_up)_(ch|)exps" for il in range(n_cpu_moe)]
    on_host = any(re.search(pattern, name) for pattern in patterns)
    assert place.weight(f"{name}.weight") == ("CPU" if on_host else "CUDA0")
