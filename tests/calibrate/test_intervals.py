"""Interval widths: order statistics that cover what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.calibrate.intervals import FEW_FACTOR, conformal_width, coverage


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=200))
def test_a_width_covers_its_share_of_what_it_was_made_from(errors: list[float]) -> None:
    assert coverage(errors, conformal_width(errors)) >= 0.9 or len(errors) < 9


def test_new_errors_of_the_same_kind_are_covered_at_the_level() -> None:
    """Marginal coverage over many calibrations lies between the level and the level + 1 / (n +
    1)."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(4000):
        errors = rng.standard_t(3, size=40)
        hits += abs(errors[0]) <= conformal_width(errors[1:].tolist())
    assert hits / 4000 == pytest.approx(0.9 + 0.5 / 40, abs=0.02)


def test_errors_of_one_cluster_count_as_the_facts_that_they_are() -> None:
    """Twenty rows of one bad run do not outweigh twenty runs of one row; counted one by one they
    would."""
    errors = [0.5] * 20 + [0.1] * 20
    assert conformal_width(errors, [1 / 20] * 20 + [1.0] * 20) == 0.1
    assert conformal_width(errors) == 0.5
    assert conformal_width(errors, [2.0] * 40) == conformal_width(errors)


def test_too_few_errors_take_the_largest_and_more() -> None:
    assert conformal_width([0.1, -0.3, 0.2]) == pytest.approx(0.3 * FEW_FACTOR)


def test_no_error_has_no_width() -> None:
    with pytest.raises(ValueError, match="at least one"):
        conformal_width([])
