"""--split-mode tensor: how tensors and caches are cut, what is refused, and what is said of it.

That every byte is as llama-server takes it is held by `tests/bench/test_tensor_split.py`.
"""

from collections.abc import Sequence

import pytest
from bench.peers.architectures import shaped_model
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.build import build_of
from oomph.estimate.draft import DraftModel
from oomph.estimate.estimator import NO_TENSOR_SPEED, Estimator
from oomph.estimate.graph.hparams import resolve_hparams
from oomph.estimate.graph.placement import CPU, META, Placement
from oomph.estimate.graph.slices import Slices
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import PAIR_STAGING_BYTES, exchange_bytes
from oomph.estimate.prediction import as_printed
from oomph.gpus import gpu
from oomph.units import MIB

DENSE = catalogue_model("qwen3-0.6b", "Q4_0")
MIXTURE = catalogue_model("granite-3.1-3b-a800m", "Q4_K_M")
HYBRID = catalogue_model("qwen3.5-4b", "Q4_K_M")
SHARED_CACHE = catalogue_model("gemma-4-e2b", "Q4_K_M")
TWO = RunConfig(split_mode="tensor", n_devices=2, n_ctx=4096)


def slices_of(model: ModelSpec, n_cards: int, split: Sequence[float] | None = None) -> Slices:
    return Slices(model, resolve_hparams(model), n_cards, split)


def refusals(model: ModelSpec, config: RunConfig, build: int | None = None) -> list[str]:
    memory = MemoryModel(model, build_of(build))
    return [sentence for _, sentence in memory.refusals(config, memory.setup(config))]


@settings(max_examples=20, deadline=None)
@given(
    model=st.sampled_from((DENSE, MIXTURE, HYBRID)),
    shares=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any),
)
def test_the_slices_of_a_tensor_are_the_whole_or_each_is(
    model: ModelSpec, shares: list[int]
) -> None:
    slices = slices_of(model, len(shares), [*map(float, shares)])
    for info in model.tensors.values():
        cut = slices.tensor(info.name)
        full = (*info.ne, 1, 1, 1)[:4]
        axes = [axis for axis in range(4) if any(ne[axis] != full[axis] for ne in cut)]
        assert len(axes) <= 1
        assert all(sum(ne[axis] for ne in cut) == full[axis] for axis in axes)


def test_shares_are_whole_heads_and_the_rest_turns_from_layer_to_layer() -> None:
    """16 heads on 8 of K and V: a piece is two heads of 128 and their one of K."""
    slices = slices_of(DENSE, 3)
    queries = [[ne[1] for ne in slices.tensor(f"blk.{il}.attn_q.weight")] for il in range(3)]
    assert queries == [[512, 768, 768], [768, 512, 768], [768, 768, 512]]
    assert [slices.cache("cache_k", il, 1024) for il in range(2)] == [
        (256, 384, 384),
        (384, 256, 384),
    ]


def test_what_multiplies_together_is_cut_together() -> None:
    slices = slices_of(MIXTURE, 3, (1, 2, 2))
    for il in range(4):
        down = [ne[0] for ne in slices.tensor(f"blk.{il}.ffn_down_exps.weight")]
        assert down == [ne[1] for ne in slices.tensor(f"blk.{il}.ffn_up_exps.weight")]
        output = [ne[0] for ne in slices.tensor(f"blk.{il}.attn_output.weight")]
        assert output == [ne[1] for ne in slices.tensor(f"blk.{il}.attn_q.weight")]


def test_tied_embeddings_and_norms_are_whole_on_every_card() -> None:
    slices = slices_of(DENSE, 2)
    for name in ("token_embd.weight", "output_norm.weight", "blk.0.attn_q_norm.weight"):
        ne = (*DENSE.tensors[name].ne, 1, 1, 1)[:4]
        assert slices.tensor(name) == (ne, ne)


def test_all_cards_compute_as_one() -> None:
    place = Placement(TWO.with_(n_gpu_layers=20), DENSE.n_layer)
    assert place.backends == (META, CPU)
    assert place.cards == ("CUDA0", "CUDA1")
    assert [place.layer(il) for il in (0, DENSE.n_layer)] == [CPU, META]
    assert not place.pipeline
    with pytest.raises(ConfigError, match="the buffers are CPU"):
        Placement(TWO.with_(override_tensor="exps=CUDA1"), DENSE.n_layer)


def test_every_card_has_a_slice_and_the_whole_compute_buffer() -> None:
    cut = MemoryModel(DENSE).estimate(TWO).devices
    whole = MemoryModel(DENSE).estimate(TWO.with_(split_mode="none")).devices["CUDA0"]
    assert cut["CUDA0"].kv_cache_bytes == cut["CUDA1"].kv_cache_bytes == whole.kv_cache_bytes // 2
    assert cut["CUDA0"].compute_bytes == cut["CUDA1"].compute_bytes == whole.compute_bytes
    assert whole.weights_bytes / 2 < cut["CUDA0"].weights_bytes < whole.weights_bytes


def test_a_log_tells_the_largest_slice() -> None:
    devices = MemoryModel(DENSE).estimate(TWO.with_(tensor_split=(3, 1))).devices
    printed = as_printed(devices, META)
    assert printed is not None
    assert printed.weights_bytes == devices["CUDA0"].weights_bytes
    assert printed.weights_bytes > devices["CUDA1"].weights_bytes
    assert as_printed(devices, "CUDA1") == devices["CUDA1"]
    assert as_printed(devices, "CPU_Mapped") is None


@pytest.mark.parametrize(
    ("model", "knobs", "said"),
    [
        (catalogue_model("deepseek-v2-lite", "Q4_K_M"), {}, "for architecture deepseek2"),
        (DENSE, {"flash_attn": "off"}, "without flash attention"),
        (SHARED_CACHE, {}, "layer 15 reads the KV cache of layer 13"),
        (HYBRID, {"offload_kqv": False}, "KV cache on the host"),
        (MIXTURE, {"offload_kqv": False}, "KV cache on the host"),
        (DENSE, {"split_mode": "row"}, "refuses split_mode row"),
        (DENSE, {"split_mode": "row", "n_devices": 1}, "refuses split_mode row"),
        (DENSE, {"offload_kqv": False}, None),
        (SHARED_CACHE, {"n_devices": 1}, None),
        (HYBRID, {"n_devices": 0, "split_mode": "row"}, None),
        (DENSE, {"type_k": "q8_0", "type_v": "q8_0"}, None),
    ],
    ids=lambda each: each.name if isinstance(each, ModelSpec) else str(each),
)
def test_what_llama_cpp_does_not_split_is_refused(
    model: ModelSpec, knobs: dict[str, object], said: str | None
) -> None:
    found = refusals(model, TWO.with_(**knobs))
    assert [said in sentence for sentence in found] == [True] if said else not found


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("small-rwkv6", "the cache of layer 0 has no ssm_out.weight"),
        ("small-t5encoder", "the cache of layer 0 has no attn_output.weight"),
        ("small-graniteswitch", "the cache of layer 7 has no attn_output.weight"),
        ("small-nanbeige-loops", "has no attn_output.weight"),
        ("small-step35:Q8_0", "has no attn_output.weight to be cut by"),
        ("small-chameleon", "blk.0.attn_k_norm.bias has a row for each head"),
        ("small-deci", "has no KV heads to cut its output by"),
        ("small-granite-swa-moe:Q8_0", "is not twice as wide as expert_feed_forward_length says"),
        ("small-laguna", "whose rows are one block each"),
        ("small-laguna:Q8_0", None),
        ("small-hy3:Q8_0", None),
        ("small-cohere2moe-with-head:Q8_0", None),
        ("small-mimo2:Q8_0", "no kernel for heads this wide"),
        ("small-deepseek4", None),
        ("small-hrm_text", None),
        ("small-refact", None),
    ],
)
def test_what_llama_cpp_cannot_cut_is_told(named: str, why: str | None) -> None:
    """Each was tried on llama-server with two phantom cards: it aborted, or ran (None)."""
    found = refusals(shaped_model(named), TWO)
    assert len(found) == (why is not None), found
    assert why is None or why in found[0]


def test_a_turned_cache_of_one_head_is_not_cut() -> None:
    """llama-server aborts on Gemma 3 1B and on Refact's small likeness so."""
    model = shaped_model("small-refact")
    told = refusals(model, TWO.with_(type_k="q8_0", type_v="q8_0"))
    assert "one KV head" in told[0]
    assert not refusals(model, TWO.with_(type_k="f16"))


def test_groups_of_heads_are_cut_whole() -> None:
    """What llama-server printed of DeepSeek V4's small likeness: the larger card's weights."""
    memory = MemoryModel(shaped_model("small-deepseek4"))
    printed = as_printed(memory.estimate(TWO).devices, "Meta()")
    assert printed
    assert printed.weights_bytes / MIB == pytest.approx(275.56, abs=0.0051)


def test_older_builds_split_rows() -> None:
    assert not refusals(DENSE, TWO.with_(split_mode="row"), 8829)
    warned = MemoryModel(DENSE, build_of(8829)).estimate(TWO.with_(split_mode="row")).warnings
    assert "counted as layer" in warned[0]


@pytest.mark.parametrize(
    ("model", "knobs", "rows", "staging"),
    [
        (DENSE, {}, 512, PAIR_STAGING_BYTES),
        (MIXTURE, {"n_ubatch": 64}, 64 * MIXTURE.n_expert_used, PAIR_STAGING_BYTES),
        (MIXTURE, {"n_ubatch": 64, "n_cpu_moe": 99}, 64, PAIR_STAGING_BYTES),
        (DENSE, {"n_devices": 3}, 2 * 512, 0),
        (DENSE, {"n_devices": 4}, 2 * 512, 0),
        (DENSE, {"n_devices": 1}, 0, 0),
        (DENSE, {"split_mode": "layer"}, 0, 0),
    ],
)
def test_cards_take_room_to_sum_their_products(
    model: ModelSpec, knobs: dict[str, object], rows: int, staging: int
) -> None:
    taken = exchange_bytes(model, TWO.with_(**knobs), gpu("RTX 3090"))
    assert taken == staging + 4 * model.n_embd * rows


def test_a_pair_without_the_staging_kernel_has_no_room_for_it() -> None:
    assert exchange_bytes(DENSE, TWO, gpu("GTX 1080 Ti")) == 4 * DENSE.n_embd * 512


def test_memory_is_told_and_speed_is_not() -> None:
    prediction = Estimator(DENSE, "RTX 3090,RTX 3060").predict(TWO, longest=False)
    assert prediction.fits
    assert prediction.speed is None
    assert prediction.speed_reason == NO_TENSOR_SPEED
    assert any("equal slices" in warning for warning in prediction.warnings)
    assert not any("by free memory" in warning for warning in prediction.warnings)


def test_a_draft_beside_it_exchanges_too() -> None:
    """Seen with llama-server: each context stages its own copies."""
    estimator = Estimator(DENSE, "2x3060", riders=[DraftModel(DENSE)])
    beside = estimator.memory(TWO.with_(spec_type="draft-simple")).riders["draft"]
    exchange = exchange_bytes(DENSE, TWO, gpu("RTX 3060"))
    for device in ("CUDA0", "CUDA1"):
        assert beside[device].overhead_bytes > exchange > PAIR_STAGING_BYTES


def test_the_smaller_card_bounds_the_context_unless_a_split_says_otherwise() -> None:
    estimator = Estimator(catalogue_model("llama-3.1-8b", "Q8_0"), "RTX 3090,RTX 3060")
    equal = estimator.max_context(split_mode="tensor", n_devices=2)
    apt = estimator.max_context(split_mode="tensor", n_devices=2, tensor_split=(2, 1))
    assert 0 < equal < apt
    assert not estimator.fits(TWO.with_(n_ctx=equal + 256))
    assert estimator.memory(TWO).devices["CUDA1"].total_bytes < 12288 * MIB
