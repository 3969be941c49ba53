"""Likelihood by position: bins that double, errors of the mean, and no position where none is
told."""

import itertools
import math
from collections.abc import Callable
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.quality.positions import FEWEST_TOKENS, losses_by_position
from oomph.records.schema import Quality, Record
from oomph.records.summary import summaries_of
from oomph.views.data_tables import losses_table
from oomph.views.plots_quality import (
    losses_by_experts,
    plot_losses,
)

Make = Callable[..., Record]


def _quality(n_pass: int, n_passes: int = 1, start: float = 0.0) -> Quality:
    nll = [start + position / 100 for _ in range(n_passes) for position in range(1, n_pass)]
    return Quality(text="t", n_tokens=len(nll), nll_nats=nll, n_pass=n_pass)


def test_bins_double_in_length() -> None:
    bins = losses_by_position(_quality(257))
    assert [(each.first, each.last, each.n_tokens) for each in bins] == [
        (1, 32, 32),
        (33, 64, 32),
        (65, 128, 64),
        (129, 256, 128),
    ]
    values = [position / 100 for position in range(33, 65)]
    assert bins[1].mean_nats == pytest.approx(fmean(values))
    assert bins[1].error_nats == pytest.approx(stdev(values) / math.sqrt(32))


def test_passes_fall_into_the_same_bins_and_positions_go_before_passes() -> None:
    assert [each.n_tokens for each in losses_by_position(_quality(65, n_passes=3))] == [96, 96]
    told = Quality(text="t", n_tokens=10, nll_nats=[1.0] * 10, positions=[100] * 10)
    (only,) = losses_by_position(told)
    assert (only.first, only.last) == (65, 128)
    assert losses_by_position(Quality(text="t", n_tokens=10, nll_nats=[1.0] * 10)) == ()


@given(n_pass=st.integers(2, 3000), n_passes=st.integers(1, 3))
def test_no_token_is_counted_twice(n_pass: int, n_passes: int) -> None:
    bins = losses_by_position(_quality(n_pass, n_passes))
    assert sum(each.n_tokens for each in bins) <= (n_pass - 1) * n_passes
    assert all(each.n_tokens >= FEWEST_TOKENS for each in bins)
    assert all(before.last < after.first for before, after in itertools.pairwise(bins))


def test_a_line_for_each_number_of_experts(make_record: Make) -> None:
    records = [
        make_record(n_expert_used=e, quality=_quality(257, start=-e / 10).model_dump())
        for e in (2, 4)
    ]
    losses = losses_by_experts(summaries_of(records))
    assert list(losses) == [2, 4]
    axes = plot_losses(losses).axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["2", "4"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["32", "64", "128", "256"]
    assert losses_table(losses).rows[0][1].text == "1 to 32"
    assert losses_by_experts(summaries_of([make_record()])) == {}
