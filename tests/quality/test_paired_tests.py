"""Exact tests against counts done by hand, by brute force and by scipy."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from oomph.quality.intervals import difference_interval, mean_interval, wilson
from oomph.quality.paired_tests import holm, mcnemar_p, sign_flip_p


@pytest.mark.parametrize(
    ("n_better", "n_worse", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (6, 0, 2 / 64), (5, 1, 14 / 64), (3, 3, 1.0)],
)
def test_mcnemar_counts_coins(n_better: int, n_worse: int, p: float) -> None:
    assert mcnemar_p(n_better, n_worse) == pytest.approx(p)
    assert mcnemar_p(n_worse, n_better) == pytest.approx(p)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_scipys_binomial_test(n_better: int, n_worse: int) -> None:
    if n_better + n_worse:
        expected = binomtest(n_better, n_better + n_worse).pvalue
        assert mcnemar_p(n_better, n_worse) == pytest.approx(expected)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_of_right_and_wrong_the_flips_are_mcnemars(n: int, m: int, same: int) -> None:
    steps = [1.0] * n + [-1.0] * m + [0.0] * same
    assert sign_flip_p(steps) == pytest.approx(mcnemar_p(n, m))


@given(st.lists(st.sampled_from([-1, -0.75, -0.5, -1 / 3, 0, 0.25, 1 / 3, 1]), max_size=9))
def test_flips_are_counted_as_by_hand(steps: list[float]) -> None:
    seen = abs(sum(steps))
    flips = list(itertools.product((1, -1), repeat=len(steps)))
    far = sum(
        abs(sum(s * d for s, d in zip(flip, steps, strict=True))) >= seen - 1e-9 for flip in flips
    )
    assert sign_flip_p(steps) == pytest.approx(far / len(flips))


def test_many_and_fine_scores_are_still_counted() -> None:
    steps = [((-1) ** k) * (k % 97) / 97 for k in range(600)]
    assert 0 < sign_flip_p(steps) <= 1
    assert sign_flip_p([0.01] * 600) == pytest.approx(2 / 2**600)


@pytest.mark.parametrize("n_better", [1450, 1500, 1520, 1600])
def test_beyond_what_is_counted_the_normal_curve_agrees(
    n_better: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_worse = 3000 - n_better
    exact = mcnemar_p(n_better, n_worse)
    monkeypatch.setattr("oomph.quality.paired_tests.MOST_COUNTED", 100)
    assert mcnemar_p(n_better, n_worse) == pytest.approx(exact, abs=2e-3)
    assert sign_flip_p([1.0] * n_better + [-1.0] * n_worse) == pytest.approx(exact, abs=2e-3)


def test_a_hundred_thousand_items_take_no_time() -> None:
    steps = [1.0] * 20_300 + [-0.25] * 19_700 + [0.0] * 60_000
    assert sign_flip_p(steps) < 1e-9
    assert 0 < mcnemar_p(20_300, 19_700) < 0.01


def test_holm_is_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5]) == [0.5]
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_wilson_is_as_published() -> None:
    """Newcombe 1998, table I: 81 of 263, and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


@given(st.integers(1, 500))
def test_wilson_holds_the_share_itself_to_the_last_bit(n: int) -> None:
    for n_right in {0, 1, n - 1, n}:
        low, high = wilson(n_right, n)
        assert 0 <= low <= n_right / n <= high <= 1


def test_scores_that_are_alike_are_not_certain() -> None:
    low, high = mean_interval([0.5] * 30)
    assert low < 0.5 < high
    low, high = difference_interval([0.0] * 30)
    assert -0.1 < low < 0 < high < 0.1
    assert math.isclose(-low, high, abs_tol=0.02)
