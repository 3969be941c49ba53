"""Speed: the formulas go the way that physics goes, in every corner of the configuration."""

import dataclasses
import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.card import card_facts, fused_share
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.prediction import SpeedEstimate
from oomph.estimate.speed import (
    NEWEST_YEAR,
    check_depth,
    decode_seconds,
    interval_width,
    predict_speed,
    prefill_seconds,
    prompt_around,
    speed_question,
)
from oomph.gpus import gpu, gpu_specs

LLAMA = catalogue_model("llama-3.1-8b", "Q4_K_M")
QWEN = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
CARD = gpu("RTX 4090")
SHIPPED = default_coefficients()
SOME_MODELS = (
    ("qwen3-30b-a3b", "Q4_K_M"),
    ("llama-3.1-8b", "F16"),
    ("gemma-3-4b", "Q4_0"),
    ("gpt-oss-20b", "MXFP4"),
    ("llama-4-scout", "Q4_K_M"),
    ("qwen3-next-80b-a3b", "Q4_K_M"),
    ("deepseek-v2-lite", "Q8_0"),
    ("granite-4.0-h-tiny", "Q4_K_M"),
    ("gemma-3n-e4b", "Q4_K_M"),
)
"""Experts, dense, windows, sinks, chunks, states, latent attention, shared caches."""


def predict(model=QWEN, card=CARD, **knobs) -> SpeedEstimate:  # type: ignore[no-untyped-def]
    """What the formulas give, whether or not it would load."""
    return predict_speed(
        speed_question(model, card, RunConfig(**{"n_ctx": 32768, **knobs})), SHIPPED
    )


@settings(max_examples=25, deadline=None)
@given(
    n_depth=st.integers(0, 16_000),
    more=st.integers(500, 16_000),
    flash=st.sampled_from(("on", "off")),
)
def test_a_deeper_context_is_never_faster(n_depth: int, more: int, flash: str) -> None:
    near, far = (
        predict(n_depth=d, flash_attn=flash).decode_tokens_per_s for d in (n_depth, n_depth + more)
    )
    assert far < near


@settings(max_examples=20, deadline=None)
@given(used=st.integers(1, 127))
def test_more_experts_are_never_faster_and_halving_them_never_doubles(used: int) -> None:
    fewer, more = predict(n_expert_used=used), predict(n_expert_used=used + 1)
    assert more.decode_tokens_per_s < fewer.decode_tokens_per_s
    assert more.prefill_tokens_per_s <= fewer.prefill_tokens_per_s * (1 + 1e-9)
    if used % 2 == 0:
        assert predict(n_expert_used=used // 2).decode_tokens_per_s < 2 * fewer.decode_tokens_per_s


def test_decode_of_a_dense_model_is_below_the_roofline_and_not_far() -> None:
    n_bytes = sum(t.n_bytes for name, t in LLAMA.tensors.items() if name != "token_embd.weight")
    roofline = CARD.bandwidth_bytes_per_s / n_bytes
    rate = predict(LLAMA).decode_tokens_per_s
    assert 0.5 * roofline < rate < roofline


def test_several_sequences_share_the_weights() -> None:
    alone, four = predict(LLAMA), predict(LLAMA, n_parallel=4, n_seq_max=4)
    assert alone.decode_tokens_per_s < four.decode_tokens_per_s < 4 * alone.decode_tokens_per_s


@settings(max_examples=10, deadline=None)
@given(n_parallel=st.integers(1, 63), model=st.sampled_from((LLAMA, QWEN)))
def test_one_more_sequence_is_never_slower_together_nor_faster_alone(
    n_parallel: int, model: ModelSpec
) -> None:
    """The context is shared between the sequences, so more of them take no more of the card's
    memory."""
    fewer, more = (
        predict(model, n_parallel=n, n_seq_max=n, n_depth=64).decode_tokens_per_s
        for n in (n_parallel, n_parallel + 1)
    )
    assert fewer <= more * (1 + 1e-9)
    assert more / (n_parallel + 1) <= fewer / n_parallel * (1 + 1e-9)


@pytest.mark.parametrize("knob", ["n_cpu_moe", "layers on the host"])
@pytest.mark.parametrize(
    "name", ["qwen3-30b-a3b:Q4_K_M", "qwen3-next-80b-a3b:Q4_K_M", "deepseek-v2-lite:Q4_0"]
)
def test_each_layer_to_the_host_costs_speed_and_frees_the_card(name: str, knob: str) -> None:
    model, card = catalogue_model(*name.split(":")), gpu("RTX PRO 6000 Blackwell")
    layers = range(0, model.n_layer + 1, 3)
    knobs = (
        {"n_cpu_moe": n} if knob == "n_cpu_moe" else {"n_gpu_layers": model.n_layer + 1 - n}
        for n in layers
    )
    answers = [predict(model, card, **each) for each in knobs]
    for rates in (
        [a.decode_tokens_per_s for a in answers],
        [a.prefill_tokens_per_s for a in answers],
    ):
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] < rates[0] / 2


def test_experts_on_the_host_cost_speed_and_the_host_binds() -> None:
    whole, split = predict(), predict(n_cpu_moe=48)
    assert split.decode_tokens_per_s < whole.decode_tokens_per_s / 2
    assert split.prefill_tokens_per_s < whole.prefill_tokens_per_s
    assert "host" in split.bound_by


def test_each_layer_off_the_card_costs() -> None:
    rates = [predict(LLAMA, n_gpu_layers=n).decode_tokens_per_s for n in (33, 30, 20, 10, 0)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("placed", [{"offload_kqv": False}, {"n_gpu_layers": 0}])
def test_attention_on_the_host_costs_in_decode_and_in_prompts(placed: dict[str, Any]) -> None:
    """It has no weights that op_offload would send to the card."""
    deep = {"n_ctx": 65_536, "n_depth": 60_000}
    for quick, slow in (
        (predict(LLAMA, **deep), predict(LLAMA, **deep, **placed)),
        (predict(LLAMA, n_ctx=65_536, **placed), predict(LLAMA, **deep, **placed)),
    ):
        assert slow.prefill_tokens_per_s < quick.prefill_tokens_per_s / 2
        assert slow.decode_tokens_per_s < quick.decode_tokens_per_s / 2
    assert "host attention" in predict(LLAMA, **deep, **placed).bound_by


def test_without_a_card_the_host_answers() -> None:
    estimate = predict(LLAMA, None, n_devices=0)
    assert 0 < estimate.decode_tokens_per_s < predict(LLAMA).decode_tokens_per_s
    assert estimate.decode_interval_90 is not None


def test_a_later_build_is_not_slower() -> None:
    def rate(year: float) -> float:
        return 1 / decode_seconds(
            speed_question(QWEN, CARD, RunConfig(), year), SHIPPED.values, n_depth=0
        )

    assert rate(2024.5) < rate(2025.8) <= rate(2026.5)
    assert [fused_share(year) for year in (2024.0, 2026.0)] == [0.0, 1.0]


def test_the_answer_is_for_the_newest_build_that_rows_are_of() -> None:
    assert predict() == predict_speed(
        speed_question(QWEN, CARD, RunConfig(n_ctx=32768), NEWEST_YEAR), SHIPPED
    )


@pytest.mark.parametrize(
    ("knobs", "prompt"),
    [
        ({"n_ctx": 512, "n_depth": 256}, (512, 0)),
        ({"n_ctx": 4608, "n_depth": 4352}, (512, 4096)),
        ({"n_ctx": 32768}, (512, 0)),
        ({"n_ctx": 256}, (256, 0)),
        ({"n_ctx": 32768, "n_depth": 200}, (512, 0)),
        ({"n_ctx": 90000, "n_depth": 90000}, (512, 89488)),
        ({"n_ctx": 4096, "n_depth": 1000, "n_ubatch": 2048, "n_batch": 256}, (256, 872)),
        ({"n_ctx": 8192, "n_depth": 2048, "n_seq_max": 4}, (512, 1536)),
        ({"n_ctx": 8192, "n_depth": 2048, "n_seq_max": 4, "kv_unified": True}, (512, 1792)),
    ],
)
def test_the_quoted_prompt_is_a_full_micro_batch_within_what_a_sequence_holds(
    knobs: dict[str, Any], prompt: tuple[int, int]
) -> None:
    assert prompt_around(RunConfig(**knobs)) == prompt


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_depth_of_any_model_on_any_card_is_faster_than_a_lesser_one(data: st.DataObject) -> None:
    model = catalogue_model(*data.draw(st.sampled_from(SOME_MODELS)))
    card = data.draw(st.sampled_from(gpu_specs()))
    n_ctx, n_ubatch = (
        data.draw(st.integers(1, 131_072)),
        data.draw(st.sampled_from((32, 64, 512, 2048))),
    )
    flash, n_cpu_moe = data.draw(st.sampled_from(("on", "off"))), data.draw(st.sampled_from((0, 7)))
    depths = sorted((data.draw(st.integers(0, n_ctx)), data.draw(st.integers(0, n_ctx)), n_ctx))
    knobs = {"n_ctx": n_ctx, "n_ubatch": n_ubatch, "flash_attn": flash, "n_cpu_moe": n_cpu_moe}
    answers = [predict(model, card, n_depth=n_depth, **knobs) for n_depth in depths]
    for rates in (
        [a.decode_tokens_per_s for a in answers],
        [a.prefill_tokens_per_s for a in answers],
    ):
        assert all(deeper <= nearer * (1 + 1e-9) for nearer, deeper in pairwise(rates))


def test_several_slots_are_told_alone_and_together() -> None:
    one, four = predict(LLAMA, n_depth=8192), predict(LLAMA, n_depth=8192, n_seq_max=4)
    assert one.slots is None
    assert four.decode_tokens_per_s == one.decode_tokens_per_s
    assert four.slots is not None
    assert (
        four.slots.decode_tokens_per_s
        == predict(LLAMA, n_depth=8192, n_parallel=4, n_seq_max=4).decode_tokens_per_s
    )
    assert (four.slots.n_slots, four.slots.n_depth) == (4, 8192)


def test_slots_of_a_unified_cache_share_what_it_holds() -> None:
    together = predict(LLAMA, n_ctx=32768, n_depth=32768, n_seq_max=4, kv_unified=True).slots
    assert together is not None
    assert together.n_depth == 8192


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        (
            {"n_ctx": 90000, "n_depth": 90001},
            "n_depth is 90,001, but the context holds 90,000 tokens",
        ),
        (
            {"n_ctx": 8192, "n_depth": 2049, "n_seq_max": 4},
            "each of 4 sequences has 2,048 of the 8,192 tokens",
        ),
        (
            {"n_ctx": 8192, "n_depth": 2049, "n_seq_max": 4, "kv_unified": True, "n_parallel": 4},
            "each of 4 sequences has 2,048 of the 8,192 tokens",
        ),
    ],
)
def test_a_depth_that_a_sequence_cannot_have_is_refused_by_name(
    knobs: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        check_depth(RunConfig(**knobs))
    check_depth(RunConfig(**{**knobs, "n_depth": knobs["n_depth"] - 1}))


def test_intervals_hold_the_rate_and_are_narrower_for_a_model_measured_on_the_card() -> None:
    measured, elsewhere = gpu("A40"), gpu("RTX 5070")
    assert LLAMA.name in SHIPPED.seen[measured.name]
    assert elsewhere.name not in SHIPPED.seen
    widths = []
    for card in (measured, elsewhere):
        estimate = predict(LLAMA, card)
        assert estimate.decode_interval_90 is not None
        low, high = estimate.decode_interval_90
        assert low < estimate.decode_tokens_per_s < high
        widths.append(high / low)
    assert widths[1] > widths[0]


def test_what_is_known_of_a_model_and_a_card_chooses_the_width() -> None:
    told = {"model on card": 0.1, "model elsewhere": 0.2, "new model": 0.3, "host": 0.4}
    coefficients = dataclasses.replace(
        SHIPPED, seen={"NVIDIA A40": ("m",)}, interval_widths={"decode dense": told}, covered={}
    )

    def width(model: str, card: str) -> float | None:
        question = dataclasses.replace(speed_question(LLAMA, gpu(card), RunConfig()), model=model)
        return interval_width(question, coefficients, "decode", n_prompt=1, n_depth=0)

    assert [width("m", "A40"), width("m", "RTX 5070"), width("other", "A40")] == [0.1, 0.2, 0.3]
    nobody = speed_question(LLAMA, None, RunConfig())
    assert interval_width(nobody, coefficients, "decode", n_prompt=1, n_depth=0) == 0.4


def test_an_interval_widens_beyond_the_depths_that_were_measured() -> None:
    def width(n_depth: int) -> float:
        interval = predict(LLAMA, n_ctx=1 << 19, n_depth=n_depth).decode_interval_90
        assert interval is not None
        return interval[1] / interval[0]

    assert SHIPPED.covered["n_depth"][1] < 300_000
    assert width(300_000) > width(10_000) == pytest.approx(width(0))


def test_the_formulas_take_arrays_for_coefficients() -> None:
    """A fit passes one entry a varied coefficient; each entry must be what the floats give."""
    question = speed_question(QWEN, CARD, RunConfig(n_cpu_moe=4))
    factors = np.array([1.0, 1.1, 0.9])
    arrays = {
        name: value * (factors if name.startswith("matvec") else np.ones(3))
        for name, value in SHIPPED.values.items()
    }
    together = decode_seconds(question, arrays, n_depth=500)  # type: ignore[arg-type]
    prompt = prefill_seconds(question, arrays, n_prompt=700, n_depth=500)  # type: ignore[arg-type]
    for i, factor in enumerate(factors):
        alone = {
            n: v * (float(factor) if n.startswith("matvec") else 1.0)
            for n, v in SHIPPED.values.items()
        }
        assert np.asarray(together)[i] == pytest.approx(
            decode_seconds(question, alone, n_depth=500)
        )
        assert np.asarray(prompt)[i] == pytest.approx(
            prefill_seconds(question, alone, n_prompt=700, n_depth=500)
        )


def test_a_card_is_judged_by_its_name_and_capability() -> None:
    facts = {
        name: card_facts(gpu(name)) for name in ("RTX 4090", "L40S", "H100 PCIe", "P100", "Titan V")
    }
    assert facts["RTX 4090"].is_consumer
    assert facts["L40S"].has_ecc
    assert not facts["L40S"].is_consumer
    assert facts["H100 PCIe"].is_server
    assert facts["P100"].generation == "P100"
    assert not facts["Titan V"].has_graphs
    assert math.isclose(facts["RTX 4090"].sm_hz, 128 * 2.52e9, rel_tol=0.01)
