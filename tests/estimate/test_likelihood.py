"""How likely it fits: even at the edge, surer with more memory, less sure where less is known."""

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.likelihood import (
    SDS_OF_HALF_WIDTH,
    context_half_width_bytes,
    fit_probabilities,
    reserve_bytes,
)
from oomph.estimate.overhead import NVIDIA_MEMORY
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, is_card
from oomph.gpus import gpu
from oomph.units import MIB

CARD = gpu("RTX 4090")
SHIPPED = default_coefficients()
FULL = DeviceMemory(weights_bytes=8000 * MIB, compute_bytes=900 * MIB, overhead_bytes=450 * MIB)
MEMORY = MemoryEstimate(devices={"CUDA0": FULL, "CPU": DeviceMemory(weights_bytes=300 * MIB)})
HALF_WIDTH = context_half_width_bytes(CARD, SHIPPED)


def probability(memory: MemoryEstimate, memory_bytes: int) -> float:
    return likelihood(memory, memory_bytes, SHIPPED)


def likelihood(memory: MemoryEstimate, memory_bytes: int, coefficients: Coefficients) -> float:
    cards = {
        name: Card(spec=CARD, memory_bytes=memory_bytes) for name in memory.devices if is_card(name)
    }
    return min(fit_probabilities(memory, cards, coefficients).values())


def test_half_of_an_interval_is_as_many_deviations_as_the_normal_distribution_says() -> None:
    assert NormalDist().inv_cdf(0.95) == SDS_OF_HALF_WIDTH


def test_what_just_fits_is_as_likely_to_fit_as_not() -> None:
    assert probability(MEMORY, FULL.total_bytes) == 0.5


def test_the_ends_of_the_90_percent_interval_hold_5_percent_each() -> None:
    assert probability(MEMORY, FULL.total_bytes + round(HALF_WIDTH)) == pytest.approx(
        0.95, abs=1e-4
    )
    assert probability(MEMORY, FULL.total_bytes - round(HALF_WIDTH)) == pytest.approx(
        0.05, abs=1e-4
    )


@given(smaller=st.integers(0, 24000), more=st.integers(1, 4000))
def test_more_memory_is_never_less_likely_to_do(smaller: int, more: int) -> None:
    low, high = probability(MEMORY, smaller * MIB), probability(MEMORY, (smaller + more) * MIB)
    assert 0 <= low <= high <= 1


def test_an_unknown_graph_is_less_sure_either_way() -> None:
    unknown = replace(MEMORY, exact_compute=False)
    for beyond in (-200 * MIB, 200 * MIB):
        sure, unsure = (
            probability(memory, FULL.total_bytes + beyond) for memory in (MEMORY, unknown)
        )
        assert abs(unsure - 0.5) < abs(sure - 0.5)


def test_the_fullest_card_decides() -> None:
    fuller = replace(FULL, kv_cache_bytes=100 * MIB)
    both = MemoryEstimate(devices={"CUDA0": FULL, "CUDA1": fuller})
    alone = MemoryEstimate(devices={"CUDA0": fuller})
    assert (
        probability(both, 9400 * MIB)
        == probability(alone, 9400 * MIB)
        < probability(MEMORY, 9400 * MIB)
    )


def test_a_calibrated_card_is_surer_and_other_cards_are_not() -> None:
    own = replace(
        SHIPPED,
        cards={CARD.name: {"memory.own_context_factor": 1.1}},
        interval_widths={**SHIPPED.interval_widths, "total_vram_bytes": {"calibrated": 6.0 * MIB}},
    )
    assert context_half_width_bytes(CARD, own) == 6 * MIB
    other = gpu("RTX 3090")
    without = replace(SHIPPED, cards={})  # what ships knows some cards' own contexts
    assert (
        context_half_width_bytes(other, own) == context_half_width_bytes(other, without) > 50 * MIB
    )


def test_a_prediction_says_how_likely_it_fits(make_model: Callable[..., ModelSpec]) -> None:
    model = make_model(n_ctx_train=12288)
    taken = Estimator(model, CARD).predict(RunConfig()).memory.devices["CUDA0"].total_bytes
    edge = Estimator(model, CARD, gpu_memory_bytes=taken).predict(RunConfig())
    assert edge.fits is True
    assert edge.fit_probability == 0.5
    short = Estimator(model, CARD, gpu_memory_bytes=taken - MIB).predict(RunConfig())
    assert short.fits is False
    assert short.fit_probability is not None
    assert 0.4 < short.fit_probability < 0.5
    assert Estimator(model, CARD).predict(RunConfig()).fit_probability == pytest.approx(1.0)


def test_nothing_is_said_where_no_card_is_named(make_model: Callable[..., ModelSpec]) -> None:
    assert (
        Estimator(make_model(), gpu_memory_bytes=MIB).predict(RunConfig()).fit_probability is None
    )


def test_what_llama_cpp_refuses_cannot_fit(make_model: Callable[..., ModelSpec]) -> None:
    refused = Estimator(make_model(), CARD).predict(RunConfig(type_v="q8_0", flash_attn="off"))
    assert refused.fits is False
    assert refused.fit_probability == 0.0


@given(st.floats(0.05, 0.95))
def test_what_is_kept_free_buys_the_probability(wanted: float) -> None:
    assert probability(
        MEMORY, FULL.total_bytes + reserve_bytes(CARD, SHIPPED, wanted)
    ) == pytest.approx(wanted, abs=1e-4)


def test_a_cautious_estimator_finds_the_last_context_that_is_likely_enough() -> None:
    model = catalogue_model("llama-3.1-8b", "Q4_K_M")
    estimator = Estimator(model, CARD)
    longest = estimator.cautious(0.9).max_context()
    at, beyond = (
        estimator.predict(RunConfig(n_ctx=n)).fit_probability or 0 for n in (longest, longest + 256)
    )
    assert beyond < 0.9 <= at
    assert longest < estimator.max_context() == estimator.cautious(0.5).max_context()
    nameless = Estimator(model, gpu_memory_bytes=CARD.memory_bytes)
    assert nameless.cautious(0.9) is nameless


def test_where_every_byte_is_known_there_is_nothing_in_between() -> None:
    certain = SHIPPED.with_values(
        values={**SHIPPED.values, **dict.fromkeys(NVIDIA_MEMORY, 0.0)}, cards={}
    )
    assert likelihood(MEMORY, FULL.total_bytes, certain) == 1.0
    assert likelihood(MEMORY, FULL.total_bytes - 1, certain) == 0.0
