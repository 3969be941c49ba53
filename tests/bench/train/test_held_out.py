"""What a fit did not see: which rows go together, and widths that hold for them."""

import dataclasses
import math

import numpy as np
import pytest
from bench.train.held_out import (
    LEFT_OUT,
    TELLS,
    known_widths,
    model_of,
    nested_coverage,
    pair_of,
    unseen_errors,
    where_kin_remains,
)
from bench.train.learn import learn

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate.observations import SpeedObservation
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.speed import speed_question
from oomph.gpus import gpu

SHIPPED = default_coefficients()
CARDS = ("RTX 3080", "RTX 3090", "RTX 4080", "RTX 4090")
MODELS = ("llama-3.1-8b", "llama-3.2-3b", "qwen2.5-7b")


def rows(
    noise: float, cards: tuple[str, ...] = CARDS, models: tuple[str, ...] = MODELS
) -> list[SpeedObservation]:
    """What machines with the shipped coefficients would have published, with this scatter."""
    rng = np.random.default_rng(5)
    found = []
    for card in cards:
        for name in models:
            question = speed_question(
                catalogue_model(name, "Q4_K_M"), gpu(card), RunConfig(), 2025.75
            )
            for depth in (0, 2048):
                row = SpeedObservation(
                    question=question,
                    test="decode",
                    n_prompt=0,
                    n_depth=depth,
                    tokens_per_s=1.0,
                    card=gpu(card).name,
                    model=f"{name}:Q4_K_M",
                    source="table",
                    label=f"tg at {depth}",
                )
                seconds = row.seconds_per_token(SHIPPED.values)
                found.append(
                    dataclasses.replace(row, tokens_per_s=math.exp(noise * rng.normal()) / seconds)
                )
    return found


@pytest.fixture(scope="module")
def noisy() -> list[SpeedObservation]:
    return rows(0.05)


@pytest.fixture(scope="module")
def errors(noisy: list[SpeedObservation]) -> dict[str, list[float]]:
    """Errors as fits that know the law but for its noise would leave them."""
    found = [o.log_error(SHIPPED.values) for o in noisy]
    return dict.fromkeys(LEFT_OUT, found)


@pytest.mark.slow
def test_each_row_has_an_error_for_each_thing_left_out() -> None:
    alone = rows(0.05, cards=("RTX 2080 Ti",), models=("llama-3.1-8b",))
    both = rows(0.05, cards=("RTX 3090",), models=("llama-3.1-8b", "qwen2.5-7b")) + alone
    found = unseen_errors(both, learn(both))
    assert set(found) == set(LEFT_OUT)
    assert all(np.isfinite(found[name]).all() for name in ("row", "model on card", "card"))
    assert np.isnan(found["model"][-len(alone) :]).all(), (
        "no other model has run on that generation"
    )


def test_a_width_chosen_without_a_label_covers_it_about_as_often_as_it_says(
    noisy: list[SpeedObservation], errors: dict[str, list[float]]
) -> None:
    for name in LEFT_OUT:
        found = nested_coverage(noisy, errors, "decode dense", name)
        assert found is not None
        assert 0.75 <= found.rows <= 1
        assert 0.04 < found.width < 0.2
    assert nested_coverage(noisy, errors, "prefill MoE", "card") is None


def test_every_knowledge_has_a_width_and_that_of_no_row_is_the_widest(
    noisy: list[SpeedObservation], errors: dict[str, list[float]]
) -> None:
    assert set(known_widths(noisy, errors, "decode dense")) == set(TELLS)
    blind = errors | {"model": [math.nan] * len(noisy)}
    widths = known_widths(noisy, blind, "decode dense")
    assert widths["new model"] == max(widths["model on card"], widths["model elsewhere"])


def test_a_model_that_alone_shows_a_kind_of_kernel_is_not_held_against_the_fit_without_it() -> None:
    alone = rows(0.05, cards=("RTX 2080 Ti",), models=("llama-3.1-8b",))
    both = rows(0.05, cards=("RTX 3090",), models=("llama-3.1-8b", "qwen2.5-7b")) + alone
    kept = where_kin_remains(both, [0.1] * len(both))
    assert np.isnan(kept[-len(alone) :]).all()
    assert kept[: -len(alone)] == [0.1] * (len(both) - len(alone))


def test_quantizations_of_a_model_are_left_out_together(noisy: list[SpeedObservation]) -> None:
    other = dataclasses.replace(noisy[0], model="llama-3.1-8b:Q8_0")
    assert (model_of(other), pair_of(other)) == (model_of(noisy[0]), pair_of(noisy[0]))
