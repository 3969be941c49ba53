"""Speed of kinds of chips, caches, tensors and machines: each goes the way that its physics
goes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.machine import LINUX, Machine
from oomph.estimate.prediction import SpeedEstimate
from oomph.estimate.speed import predict_speed, speed_question
from oomph.gpus import GpuSpec, gpu

LLAMA = catalogue_model("llama-3.1-8b", "Q4_K_M")
QWEN = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
SHIPPED = default_coefficients()


def predict(
    model: ModelSpec = LLAMA,
    card: str | GpuSpec = "RTX 4090",
    machine: Machine = LINUX,
    year: float | None = None,
    **knobs: object,
) -> SpeedEstimate:
    spec = gpu(card) if isinstance(card, str) else card
    config = RunConfig.from_mapping({"n_ctx": 131072, **knobs}, where="a test")
    shared = SHIPPED.with_values(cards={})  # one card's own effects are not its kind's
    return predict_speed(speed_question(model, spec, config, year, machine=machine), shared)


def kept(n_depth: int, **knobs: object) -> float:
    """The share of decode's speed that is left at this depth."""
    deep, empty = predict(n_depth=n_depth, **knobs), predict(n_depth=0, **knobs)  # type: ignore[arg-type]
    return deep.decode_tokens_per_s / empty.decode_tokens_per_s


@settings(max_examples=15, deadline=None)
@given(n_depth=st.integers(4096, 120_000), kind=st.sampled_from(("q8_0", "q4_0")))
def test_a_quantized_cache_slows_more_with_depth_than_f16(n_depth: int, kind: str) -> None:
    """It holds fewer bytes, but each query head unpacks every element anew: where bandwidth is
    ample, as an H200's, that decides."""
    assert kept(n_depth, card="H200", type_k=kind, type_v=kind) < kept(n_depth, card="H200")


def test_heads_that_share_a_head_of_the_cache_lose_less_to_depth_since_mid_2025() -> None:
    """Eight query heads a head of the cache (Qwen3 30B) read it together from 8,192 cells on."""

    def slope_s(year: float, low: int, high: int) -> float:
        deep, shallow = (
            predict(QWEN, "H200", n_depth=n, year=year).decode_tokens_per_s for n in (high, low)
        )
        return (1 / deep - 1 / shallow) / (high - low)

    assert slope_s(2026.6, 10_000, 60_000) < 0.7 * slope_s(2026.6, 1_000, 8_000)
    assert slope_s(2025.3, 10_000, 60_000) == pytest.approx(slope_s(2025.3, 1_000, 8_000), rel=0.01)


@pytest.mark.parametrize("card", ["H200", "RTX 4090", "RTX 3090"])
def test_where_the_kernel_changes_a_deeper_cache_is_no_faster(card: str) -> None:
    rates = [
        predict(QWEN, card, n_depth=n).decode_tokens_per_s
        for n in (8_000, 8_191, 8_192, 8_193, 9_000, 12_000, 20_000)
    ]
    assert rates == sorted(rates, reverse=True)


def test_large_heads_have_a_quantized_cache_unpacked_through_memory() -> None:
    """The one-token kernel takes no head of 512: clocks for each element do not matter there."""
    values = SHIPPED.with_values(cards={})
    slow = values.with_values(
        values={**values.values, "attention.quantized_clocks_per_element": 3.0}
    )

    def lost(name: str) -> float:
        question = speed_question(
            catalogue_model(name, "Q8_0"),
            gpu("RTX 4070"),
            RunConfig(n_ctx=131_072, n_depth=60_000, type_k="q8_0", type_v="q8_0", swa_full=False),
        )
        before, after = (predict_speed(question, c).decode_tokens_per_s for c in (values, slow))
        return after / before

    assert lost("gemma-4-e4b") > 0.9, "its windows have heads of 256"
    assert lost("llama-3.1-8b") < 0.6


def test_cells_that_a_window_masks_cost_a_card_time_where_the_cache_keeps_them() -> None:
    """On an H200 at 16,400 cells Gemma 3 12B decoded 143 tokens a second, 117 with swa_full."""
    gemma = catalogue_model("gemma-3-12b", "Q4_K_M")
    within, whole = (
        predict(gemma, "H200", n_ctx=32_768, n_depth=16_400, swa_full=full)
        for full in (False, True)
    )
    share = whole.decode_tokens_per_s / within.decode_tokens_per_s
    assert share == pytest.approx(117 / 143, abs=0.05)
    assert whole.prefill_tokens_per_s < within.prefill_tokens_per_s


def test_float_experts_are_multiplied_one_by_one_in_a_prompt() -> None:
    """Four times the bytes cost an H200 more than half of its prompt's speed: 128 products a layer
    and matrix, with launches of their own."""
    whole = catalogue_model("qwen3-30b-a3b", "F16")
    share = predict(whole, "H200").prefill_tokens_per_s / predict(QWEN, "H200").prefill_tokens_per_s
    assert share == pytest.approx(4_181 / 9_507, rel=0.2)
    dense = catalogue_model("qwen3-8b", "F16"), catalogue_model("qwen3-8b", "Q4_K_M")
    a, b = (predict(model, "H200").prefill_tokens_per_s for model in dense)
    assert a > 0.9 * b


def test_without_flash_attention_newer_builds_lose_less_to_depth() -> None:
    def lost_s(year: float) -> float:
        deep, empty = (
            predict(n_depth=n, year=year, flash_attn="off").decode_tokens_per_s for n in (16_000, 0)
        )
        return 1 / deep - 1 / empty

    assert lost_s(2026.6) < 0.8 * lost_s(2024.4)


def test_a_quantized_cache_slows_a_deep_prompt_too() -> None:
    deep = {"n_depth": 100_000}
    quantized = predict(type_k="q8_0", type_v="q8_0", **deep).prefill_tokens_per_s  # type: ignore[arg-type]
    assert quantized < predict(**deep).prefill_tokens_per_s  # type: ignore[arg-type]


def test_newer_builds_lose_less_to_depth() -> None:
    def lost_s(year: float) -> float:
        deep, empty = (predict(n_depth=n, year=year).decode_tokens_per_s for n in (60_000, 0))
        return 1 / deep - 1 / empty

    assert lost_s(2026.6) < lost_s(2025.3)


def test_turing_without_tensor_cores_is_slower_at_prompts_than_with_them() -> None:
    """TU116 has 22 SMs of 30, and an eighth of the operations at least is not in the SMs but in the
    tensor cores."""
    without, with_them = predict(card="GTX 1660 SUPER"), predict(card="RTX 2060")
    assert without.prefill_tokens_per_s < with_them.prefill_tokens_per_s * 22 / 30 / 1.5
    assert without.decode_tokens_per_s > with_them.decode_tokens_per_s / 2, "the memory is alike"


def test_memory_shared_with_the_host_has_dearer_launches() -> None:
    spark = gpu("GB10")
    apart = replace(spark, compute_capability="12.0")
    assert predict(QWEN, spark).decode_tokens_per_s < predict(QWEN, apart).decode_tokens_per_s


def test_wide_tensor_cores_are_not_filled() -> None:
    orin = gpu("Jetson AGX Orin 64GB")
    consumer = replace(orin, compute_capability="8.6")
    assert predict(card=orin).prefill_tokens_per_s < predict(card=consumer).prefill_tokens_per_s


def test_blackwell_multiplies_fp4_natively_since_late_2025() -> None:
    model = catalogue_model("gpt-oss-20b", "MXFP4")

    def gained(card: str) -> float:
        before, after = (
            predict(model, card, year=year).prefill_tokens_per_s for year in (2025.96, 2025.98)
        )
        return after / before

    assert gained("RTX 5090") > 1.1
    assert gained("RTX 4090") < 1.05


def test_unpacking_few_bits_costs_most_where_arithmetic_is_scarce() -> None:
    """Bits a weight fall, clocks a byte rise: an old card gains less from IQ2 than one with many
    clocks a byte."""
    small, plain = (catalogue_model("llama-3.1-8b", quant) for quant in ("IQ2_M", "Q4_0"))

    def gained(card: str) -> float:
        return predict(small, card).decode_tokens_per_s / predict(plain, card).decode_tokens_per_s

    assert gained("RTX 3090") < gained("RTX 4090")


def test_a_tiny_models_prompt_is_bound_by_more_than_products() -> None:
    tiny, large = catalogue_model("qwen2.5-0.5b", "Q8_0"), catalogue_model("qwen2.5-7b", "Q8_0")

    def weights(model: ModelSpec) -> float:
        return sum(t.n_elements for name, t in model.tensors.items() if name.startswith("blk."))

    ratio = predict(tiny).prefill_tokens_per_s / predict(large).prefill_tokens_per_s
    assert 1 < ratio < 0.8 * weights(large) / weights(tiny)


@settings(max_examples=20, deadline=None)
@given(low=st.floats(100, 440), more=st.floats(1, 200))
def test_a_lower_power_limit_is_never_faster(low: float, more: float) -> None:
    capped, freer = (predict(machine=Machine(power_limit_w=watts)) for watts in (low, low + more))
    assert capped.decode_tokens_per_s <= freer.decode_tokens_per_s
    assert capped.prefill_tokens_per_s <= freer.prefill_tokens_per_s


def test_a_power_limit_costs_prompts_more_than_single_tokens() -> None:
    half = Machine(power_limit_w=gpu("RTX 4090").power_limit_w / 2)
    capped, free = predict(machine=half), predict()
    lost_prefill = 1 - capped.prefill_tokens_per_s / free.prefill_tokens_per_s
    lost_decode = 1 - capped.decode_tokens_per_s / free.decode_tokens_per_s
    assert lost_prefill > lost_decode > 0


def test_windows_costs_launches_and_so_small_models_most() -> None:
    tiny = catalogue_model("qwen2.5-0.5b", "Q4_K_M")

    def kept_under_windows(model: ModelSpec) -> float:
        return (
            predict(model, machine=Machine(system="windows")).decode_tokens_per_s
            / predict(model).decode_tokens_per_s
        )

    assert kept_under_windows(tiny) < kept_under_windows(LLAMA) < 1


@settings(max_examples=20, deadline=None)
@given(slow=st.floats(10e9, 200e9), more=st.floats(1.05, 4), layers=st.integers(1, 48))
def test_faster_memory_makes_experts_on_the_host_faster(
    slow: float, more: float, layers: int
) -> None:
    rates = [
        predict(QWEN, machine=Machine(host_bandwidth_bytes_per_s=rate), n_cpu_moe=layers)
        for rate in (slow, slow * more)
    ]
    assert rates[0].decode_tokens_per_s < rates[1].decode_tokens_per_s
    assert rates[0].prefill_tokens_per_s < rates[1].prefill_tokens_per_s


def test_told_memory_narrows_the_band_and_untold_says_nothing_of_the_rate() -> None:
    def width(machine: Machine) -> float:
        interval = predict(QWEN, machine=machine, n_cpu_moe=48).decode_interval_90
        assert interval is not None
        return interval[1] / interval[0]

    assert width(Machine(host_bandwidth_bytes_per_s=48e9)) < width(LINUX)


def test_memory_of_the_host_is_nothing_to_what_is_all_on_the_card() -> None:
    assert predict(machine=Machine(host_bandwidth_bytes_per_s=10e9)) == predict()


def test_what_no_row_had_is_named_and_widens_the_band() -> None:
    bare = SHIPPED.with_values(
        tested={name: n for name, n in SHIPPED.tested.items() if "Ada" not in name}
    )
    config = RunConfig()
    known, unknown = (
        predict_speed(speed_question(LLAMA, gpu("RTX 4090"), config), each)
        for each in (SHIPPED, bare)
    )
    assert known.untested == ()
    assert unknown.untested == ("prefill on Ada", "decode on Ada")
    assert known.decode_interval_90 is not None
    assert unknown.decode_interval_90 is not None
    assert unknown.decode_interval_90[0] < known.decode_interval_90[0]
    assert unknown.decode_tokens_per_s == pytest.approx(known.decode_tokens_per_s)
