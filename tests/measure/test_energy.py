"""Joules of spans, held against powers that are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.measure.energy import LEAST_READINGS, energy_of, integrated

SECOND = 10**9


def readings_of(
    watts: float, *, n: int = 101, every_ns: int = SECOND // 10
) -> list[tuple[int, float]]:
    """A counter that runs at a constant power, from a beginning that is not ours."""
    return [(index * every_ns, 5_000 + watts * index * every_ns / SECOND) for index in range(n)]


@given(st.floats(1, 1000), st.integers(0, 4 * SECOND), st.integers(SECOND, 5 * SECOND))
def test_at_a_constant_power_it_is_power_times_time(watts: float, first: int, taken: int) -> None:
    found = energy_of([(first, first + taken)], readings_of(watts))
    assert found == pytest.approx(watts * taken / SECOND, rel=1e-6)


def test_only_the_spans_count_not_what_lies_between_them() -> None:
    powers = [
        (tenth * SECOND // 10, 300.0 if 10 <= tenth < 20 or 30 <= tenth < 40 else 10.0)
        for tenth in range(60)
    ]
    readings = integrated([(at_ns, watts) for at_ns, watts in powers])
    spans = [(11 * SECOND // 10, 18 * SECOND // 10), (31 * SECOND // 10, 38 * SECOND // 10)]
    assert energy_of(spans, readings) == pytest.approx(300 * 1.4)
    assert energy_of([(spans[0][0], spans[1][1])], readings) < 300 * 2.7 - 200


@pytest.mark.parametrize(
    ("spans", "n_readings"),
    [
        ([(0, SECOND)], 1),  # no second reading
        ([], 101),
        ([(0, 20 * SECOND)], 101),  # the readings end at ten
        ([(0, (LEAST_READINGS - 1) * SECOND // 10)], 101),  # a few readings' time: mostly edges
    ],
)
def test_what_the_readings_do_not_hold_is_none(
    spans: list[tuple[int, int]], n_readings: int
) -> None:
    assert energy_of(spans, readings_of(300, n=n_readings)) is None


def test_power_is_integrated_where_there_is_no_counter() -> None:
    assert integrated([(0, None), (SECOND, 100.0), (3 * SECOND, 200.0), (4 * SECOND, None)]) == [
        (SECOND, 0.0),
        (3 * SECOND, 300.0),
    ]
    assert integrated([(0, None)]) == []
