"""Timings as tables: every test with its spread and energy, and where the time went.

Apart from `tables`, which has a row per point: here a row is a test at a depth, and what puts one
in doubt stands on each of its rows.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from oomph.frozen import frozen
from oomph.measure.worker.ladder import median_half_width
from oomph.records.schema import Record, Timing
from oomph.records.summary import RecordSummary
from oomph.units import NOT_MEASURED, count, duration, rate, share
from oomph.views.table import Cell, Table, number


def timings_table(summaries: Sequence[RecordSummary]) -> Table:
    """Every warm test at every depth: the median rate, how sure it is, joules per token of all
    cards, remarks."""
    columns = (
        "point",
        "test",
        "depth",
        "sequences",
        "t/s",
        "slowest",
        "fastest",
        "± 95 %",
        "samples",
        "outliers",
        "J/token",
        "remarks",
    )
    rows = tuple(
        _timing_row(summary, timing)
        for summary in summaries
        for timing in sorted(summary.timings, key=lambda timing: (timing.test, timing.n_depth))
    )
    caption = (
        "Every test: median of its samples, and the 95 % interval of the median where six samples "
        "tell it"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _timing_row(summary: RecordSummary, timing: Timing) -> tuple[Cell, ...]:
    n_tokens = timing.n_tokens * timing.n_parallel
    middle, slowest, fastest = (
        n_tokens * 1e9 / pick(timing.samples_ns) for pick in (median, max, min)
    )
    several, half_width = len(timing.samples_ns) > 1, median_half_width(timing.samples_ns)
    return (
        Cell(summary.record.label),
        Cell(timing.test),
        Cell(count(timing.n_depth), timing.n_depth),
        Cell(str(timing.n_parallel) if timing.n_parallel > 1 else NOT_MEASURED, timing.n_parallel),
        Cell(rate(middle), middle),
        _rate(slowest if several else None),
        _rate(fastest if several else None),
        Cell(NOT_MEASURED) if math.isinf(half_width) else Cell(share(half_width), half_width),
        Cell(count(len(timing.samples_ns)), len(timing.samples_ns)),
        Cell(
            count(len(timing.outliers)) if timing.outliers else NOT_MEASURED, len(timing.outliers)
        ),
        number(joules_per_token(timing), digits=3),
        Cell("; ".join(summary.remarks)),
    )


def _rate(value: float | None) -> Cell:
    return Cell(rate(value), value)


def joules_per_token(timing: Timing) -> float | None:
    """Joules of all cards for one token of one sequence; None where no card told its energy for
    long enough."""
    n_tokens = timing.n_tokens * timing.n_parallel * len(timing.samples_ns)
    return None if timing.energy_j is None or not n_tokens else timing.energy_j / n_tokens


def first_token_table(summaries: Sequence[RecordSummary]) -> Table:
    """What a user waits for: the load, the first prompt after it (cold), the same prompt later
    (warm), in ms.

    The first token is there when the prompt is, so the wait for it is the prompt's prefill at depth
    0.
    """
    rows = tuple(row for summary in summaries if (row := _first_token_row(summary)))
    columns = (
        "point",
        "prompt",
        "load",
        "first token, cold",
        "first token, warm",
        "next token, cold",
        "remarks",
    )
    return Table(
        caption="Until the first token: after the load, and once everything is warm",
        columns=columns,
        rows=rows,
    )


def _first_token_row(summary: RecordSummary) -> tuple[Cell, ...] | None:
    cold, step = (
        next((t for t in summary.record.timings if t.test.startswith(kind)), None)
        for kind in ("cold_pp", "cold_tg")
    )
    if cold is None:
        return None
    warm = next(
        (t for t in summary.record.timings if f"cold_{t.test}" == cold.test and t.n_depth == 0),
        None,
    )
    return (
        Cell(summary.record.label),
        Cell(count(cold.n_tokens), cold.n_tokens),
        _wait(summary.record.load_ns),
        _wait(cold.samples_ns[0]),
        _wait(median(warm.samples_ns) if warm else None),
        _wait(step.samples_ns[0] if step else None),
        Cell("; ".join(summary.remarks)),
    )


def _wait(ns: float | None) -> Cell:
    return Cell(duration(ns), ns)


@frozen
class TimeSpent:
    """Nanoseconds of points, together: `wall_ns` holds the others, and what is left of it is the
    harness and starts."""

    wall_ns: int
    timed_ns: int
    scored_ns: int
    load_ns: int

    def __add__(self, other: "TimeSpent") -> "TimeSpent":
        return TimeSpent(
            wall_ns=self.wall_ns + other.wall_ns,
            timed_ns=self.timed_ns + other.timed_ns,
            scored_ns=self.scored_ns + other.scored_ns,
            load_ns=self.load_ns + other.load_ns,
        )

    def __str__(self) -> str:
        """`'2 min 03 s, of which 84 % timed tests, 9 % scored texts, 3 % loading'`, without what
        took nothing."""
        parts = {
            "timed tests": self.timed_ns,
            "scored texts": self.scored_ns,
            "loading": self.load_ns,
        }
        shares = [
            f"{share(ns / self.wall_ns, 0)} {name}"
            for name, ns in parts.items()
            if self.wall_ns and ns
        ]
        return duration(self.wall_ns) + (f", of which {', '.join(shares)}" if shares else "")

    @property
    def measuring(self) -> float:
        """The share of the wall time that was measuring: timed tests and scored texts."""
        return (self.timed_ns + self.scored_ns) / self.wall_ns if self.wall_ns else 0.0


def time_spent(records: Iterable[Record]) -> TimeSpent:
    """Where the time of these points went; a load counts once, with the first point of its
    process."""
    return sum(map(_time_of, records), TimeSpent(wall_ns=0, timed_ns=0, scored_ns=0, load_ns=0))


def _time_of(record: Record) -> TimeSpent:
    return TimeSpent(
        wall_ns=record.wall_ns,
        timed_ns=sum(sum(timing.samples_ns) for timing in record.timings),
        scored_ns=record.conditions.scored_ns or 0,
        load_ns=0 if record.conditions.context_index else record.load_ns or 0,
    )


def time_in_words(records: Iterable[Record]) -> str:
    """Where the time of these points went, as `TimeSpent` says it."""
    return str(time_spent(records))
