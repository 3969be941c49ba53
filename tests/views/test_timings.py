"""Timings as tables, from records that are made up."""

from collections.abc import Callable
from typing import Any

import pytest

from oomph.records.schema import Record, Timing
from oomph.records.summary import summaries_of
from oomph.units import NOT_MEASURED
from oomph.views.table import Table
from oomph.views.timings import (
    first_token_table,
    joules_per_token,
    time_in_words,
    time_spent,
    timings_table,
)

SECOND = 10**9
COLD = [
    {"test": "cold_pp512", "n_tokens": 512, "samples_ns": [3 * SECOND]},
    {"test": "cold_tg1", "n_tokens": 1, "samples_ns": [SECOND // 20]},
]
WARM = [
    {
        "test": "pp512",
        "n_tokens": 512,
        "n_depth": 0,
        "samples_ns": [2 * SECOND] * 3,
        "energy_j": 1536.0,
    },
    {"test": "pp512", "n_tokens": 512, "n_depth": 512, "samples_ns": [4 * SECOND]},
    {
        "test": "tg32",
        "n_tokens": 32,
        "n_depth": 0,
        "n_parallel": 2,
        "samples_ns": [SECOND] * 11 + [2 * SECOND],
        "outliers": [11],
    },
]


def rows(table: Table) -> list[dict[str, str]]:
    return [
        dict(zip(table.columns, (cell.text for cell in row), strict=True)) for row in table.rows
    ]


def test_every_warm_test_has_a_row_with_its_spread_and_its_energy(
    make_record: Callable[..., Record],
) -> None:
    shallow, deep, decode = rows(timings_table(summaries_of([make_record(timings=COLD + WARM)])))
    assert (shallow["t/s"], shallow["J/token"], shallow["samples"]) == ("256", "1.000", "3")
    assert (deep["depth"], deep["t/s"], deep["slowest"], deep["J/token"]) == (
        "512",
        "128",
        NOT_MEASURED,
        NOT_MEASURED,
    )
    assert (decode["sequences"], decode["t/s"], decode["slowest"]) == ("2", "64", "32")
    assert (decode["± 95 %"], decode["outliers"], shallow["± 95 %"]) == ("0.0 %", "1", NOT_MEASURED)


@pytest.mark.parametrize(
    ("energy_j", "n_parallel", "expected"),
    [(None, 1, None), (32.0, 1, 0.5), (32.0, 4, 0.125), (0.0, 1, 0.0)],
)
def test_joules_are_for_one_token_of_one_sequence(
    energy_j: float | None, n_parallel: int, expected: float | None
) -> None:
    timing = Timing(
        test="tg32", n_tokens=32, n_parallel=n_parallel, samples_ns=[1, 1], energy_j=energy_j
    )
    assert joules_per_token(timing) == expected


def test_the_first_token_is_told_cold_and_warm(make_record: Callable[..., Record]) -> None:
    (row,) = rows(
        first_token_table(
            summaries_of([make_record(timings=COLD + WARM, load_ns=SECOND // 2), make_record()])
        )
    )
    assert (row["prompt"], row["load"]) == ("512", "500.0 ms")
    assert (row["first token, cold"], row["first token, warm"]) == ("3.00 s", "2.00 s")
    assert row["next token, cold"] == "50.0 ms"


def test_a_disturbed_point_says_so_in_both_tables(make_record: Callable[..., Record]) -> None:
    record = make_record(
        timings=COLD + WARM, conditions={"throttle_reasons": ["power_cap"], "other_processes": [{}]}
    )
    for table in (timings_table(summaries_of([record])), first_token_table(summaries_of([record]))):
        assert all(
            row["remarks"] == "throttled (power_cap); beside 1 other process" for row in rows(table)
        )


def test_the_time_is_that_of_tests_texts_and_loads_which_points_of_a_process_share(
    make_record: Callable[..., Record],
) -> None:
    shared: dict[str, Any] = {"timings": COLD, "wall_ns": 10 * SECOND, "load_ns": 2 * SECOND}
    records = [
        make_record(conditions={"context_index": index, "scored_ns": SECOND}, **shared)
        for index in (0, 1)
    ]
    spent = time_spent(records)
    assert (spent.wall_ns, spent.load_ns, spent.scored_ns) == (20 * SECOND, 2 * SECOND, 2 * SECOND)
    assert spent.measuring == pytest.approx((2 * 3.05 + 2) / 20)
    assert (
        time_in_words(records)
        == "20.00 s, of which 30 % timed tests, 10 % scored texts, 10 % loading"
    )
    assert time_in_words([make_record(timings=[], wall_ns=0)]) == "0 µs"
