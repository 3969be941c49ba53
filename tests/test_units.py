"""Numbers as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.mib(90 * units.GIB), "92,160 MiB"),
        (units.mib(1.5 * units.MIB, 2), "1.50 MiB"),
        (units.gib(3 * units.GIB // 2), "1.50 GiB"),
        (units.size(512), "512 B"),
        (units.size(2048), "2.0 KiB"),
        (units.size(5 * units.MIB), "5.0 MiB"),
        (units.size(units.GIB), "1.00 GiB"),
        (units.count(90112), "90,112"),
        (units.rate(7.349), "7.35"),
        (units.rate(1234.5), "1,234"),
        (units.duration(350e3), "350 µs"),
        (units.duration(12.3e6), "12.3 ms"),
        (units.duration(4.2e9), "4.20 s"),
        (units.duration(185e9), "3 min 05 s"),
        (units.percent(0.031), "+3.1 %"),
        (units.percent(-0.5, 0), "-50 %"),
    ],
)
def test_quantity_is_shown_in_its_unit(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "show",
    [units.mib, units.gib, units.size, units.count, units.rate, units.duration, units.percent],
)
def test_what_was_not_measured_is_a_dash_and_never_zero(show) -> None:  # type: ignore[no-untyped-def]
    assert show(None) == units.NOT_MEASURED
    assert show(0) != units.NOT_MEASURED


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("97247", 97247 * units.MIB),
        ("97247MiB", 97247 * units.MIB),
        ("96 GiB", 96 * units.GIB),
        ("24GB", 24 * 10**9),
        ("1.5g", 3 * units.GIB // 2),
        ("100 B", 100),
        ("8 kib", 8192),
    ],
)
def test_size_is_parsed_with_or_without_unit(text: str, n_bytes: int) -> None:
    assert units.parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "MiB", "12 XB", "many", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|convert"):
        units.parse_size(text)


@given(st.integers(0, 2**40))
def test_mib_come_back_from_text(n_mib: int) -> None:
    assert units.parse_size(units.mib(n_mib * units.MIB).replace(",", "")) == n_mib * units.MIB


def test_a_wait_is_no_finer_than_a_prediction() -> None:
    waits = [units.wait(seconds) for seconds in (0.354, 3.44, 34.07, 59.6, 185.2, None)]
    assert waits == ["0.35 s", "3.4 s", "34 s", "1 min 00 s", "3 min 05 s", "—"]
