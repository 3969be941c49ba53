"""Planted differences: how often intervals hold the truth, and how often tests cry wolf."""

from random import Random
from statistics import fmean

import pytest

from oomph.quality.intervals import (
    MOST_KEPT,
    N_RESAMPLES,
    SEED,
    difference_interval,
    mean_interval,
    middle_of,
    resampled,
    wilson,
)
from oomph.quality.paired_tests import mcnemar_p, sign_flip_p
from oomph.quality.power import POWER, items_needed, power, smallest_shown

N_TRIES = 300
WIDE = 0.03
"""Three standard errors of a share of 95 % over N_TRIES, less what such a test may miss by."""


@pytest.mark.parametrize(("n", "share"), [(20, 0.8), (30, 0.95), (100, 0.5), (100, 0.9)])
def test_wilsons_interval_holds_the_planted_share(n: int, share: float) -> None:
    random = Random(1)
    held = 0
    for _ in range(4 * N_TRIES):
        low, high = wilson(sum(random.random() < share for _ in range(n)), n)
        held += low <= share <= high
    assert held / (4 * N_TRIES) == pytest.approx(0.955, abs=WIDE)


@pytest.mark.parametrize("n", [20, 100])
def test_the_interval_of_partial_scores_holds_the_planted_mean(n: int) -> None:
    random = Random(2)
    scores, weights = [0.0, 0.25, 0.5, 0.75, 1.0], [1, 1, 2, 3, 3]
    truth = sum(s * w for s, w in zip(scores, weights, strict=True)) / sum(weights)
    held = 0
    for _ in range(N_TRIES):
        low, high = mean_interval(random.choices(scores, weights=weights, k=n))
        held += low <= truth <= high
    assert held / N_TRIES == pytest.approx(0.96, abs=WIDE + 0.01)


@pytest.mark.parametrize(
    ("n", "better", "worse"), [(20, 0.05, 0.02), (30, 0.1, 0.1), (100, 0.02, 0.02), (100, 0.2, 0.1)]
)
def test_the_interval_of_a_difference_holds_the_planted_one(
    n: int, better: float, worse: float
) -> None:
    """Also where few pairs differ, which the plain bootstrap gets wrong."""
    random = Random(3)
    held = 0
    for _ in range(N_TRIES):
        steps = random.choices([1.0, -1.0, 0.0], weights=[better, worse, 1 - better - worse], k=n)
        low, high = difference_interval(steps)
        held += low - 1e-9 <= better - worse <= high + 1e-9
    assert 0.92 <= held / N_TRIES <= 1


@pytest.mark.parametrize("n", [1, 2, 7, MOST_KEPT, MOST_KEPT + 1])
def test_draws_that_are_kept_are_those_of_the_seed(n: int) -> None:
    source, drawn = Random(n), Random(SEED)
    for values in ([source.random() for _ in range(n + 2)] for _ in range(2)):
        drawn.seed(SEED)
        means = sorted(fmean(drawn.choices(values, k=n)) for _ in range(N_RESAMPLES))
        assert resampled(values, n) == middle_of(means)


@pytest.mark.parametrize("partial", [False, True])
def test_without_a_difference_p_is_as_uniform_as_a_count_can_be(partial: bool) -> None:
    """An exact p of counts lies above the uniform: never more than its level below it. With scores
    in between there are many sums, and it comes close."""
    random = Random(4)
    values = [0.2, 0.35, 0.5, 0.65, 0.8, 1.0] if partial else [1.0]
    found = []
    for _ in range(1500):
        steps = [random.choice((1, -1)) * random.choice(values) for _ in range(30)]
        found.append(sign_flip_p([*steps, *[0.0] * 70]))
    for level in (0.01, 0.05, 0.2, 0.5):
        below = sum(p <= level for p in found) / len(found)
        assert below <= level + 0.03
        assert below >= (level - 0.035 if partial else level / 4 - 0.002)


def test_mcnemars_p_is_uniform_where_it_is_spread_over_its_own_step() -> None:
    """A count has steps: drawn evenly within its step, p is uniform under no difference."""
    random = Random(5)
    bins = [0] * 10
    n_tries = 4000
    for _ in range(n_tries):
        n_better = sum(random.random() < 0.5 for _ in range(40))
        p = mcnemar_p(n_better, 40 - n_better)
        less = min(n_better, 40 - n_better)
        below = mcnemar_p(less - 1, 41 - less) if less else 0.0
        bins[min(int(10 * (below + random.random() * (p - below))), 9)] += 1
    expected = n_tries / 10
    assert sum((seen - expected) ** 2 / expected for seen in bins) < 27.9, "chi-square, p 0.001"


@pytest.mark.parametrize(("n", "discordant"), [(100, 0.1), (100, 0.3), (60, 0.4)])
def test_what_n_items_can_show_is_shown_in_four_tries_of_five(n: int, discordant: float) -> None:
    difference = smallest_shown(n, discordant)
    assert difference is not None
    better = (discordant + difference) / 2
    random = Random(6)
    shown = 0
    for _ in range(1000):
        steps = random.choices(
            [1, -1, 0], weights=[better, discordant - better, 1 - discordant], k=n
        )
        shown += mcnemar_p(steps.count(1), steps.count(-1)) <= 0.05
    assert shown / 1000 == pytest.approx(POWER, abs=0.04)


@pytest.mark.parametrize(("difference", "square"), [(0.05, 0.2), (0.1, 0.15), (-0.1, 0.3)])
def test_the_items_needed_have_the_promised_power(difference: float, square: float) -> None:
    n = items_needed(difference, square)
    assert n is not None
    assert power(n, square, abs(difference)) == pytest.approx(POWER, abs=0.035)


def test_no_difference_needs_no_number_of_items() -> None:
    assert items_needed(0.0, 0.3) is None
    assert items_needed(0.0001, 0.3) is None, "more than a million"
    assert smallest_shown(20, 0.1) is None, "two items that differ never show anything"
