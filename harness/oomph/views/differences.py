"""Two result folders side by side, as tables and sentences: regressions first, and marked.

A change whose interval holds "none" is called no change.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from oomph.analysis.paired_runs import Difference, Overall, RunsCompared
from oomph.analysis.pairing import MOST_EXPLAINED, Alone
from oomph.units import MIB, NOT_MEASURED, counted, percent, rate
from oomph.views.table import Cell, Table

MOST_NAMED: Final = 3
"""Of what a point without a partner lacks, so much is named."""


def differences_table(differences: Sequence[Difference], *, threshold: float) -> Table:
    """One row per difference, in the order given: before, after, change with its interval, and a
    verdict."""
    rows = tuple(
        (
            Cell(difference.label),
            Cell(quantity_words(difference)),
            _value(difference, difference.before),
            _value(difference, difference.after),
            _change(difference.ratio),
            Cell(_interval(difference)),
            Cell(verdict(difference, threshold)),
        )
        for difference in differences
    )
    columns = ("point", "quantity", "before", "after", "change", "95 % interval", "verdict")
    return Table(caption="After against before, the worst first", columns=columns, rows=rows)


def verdict(difference: Difference, threshold: float) -> str:
    """`regression` beyond the threshold, else what can be said of the change."""
    if difference.is_regression(threshold):
        return "regression"
    if not difference.is_certain:
        return "no change beyond chance" if difference.low is not None else "within 1 %"
    if difference.worse == 0:
        return "same"
    return "worse, within the threshold" if difference.worse > 0 else "better"


def quantity_words(difference: Difference) -> str:
    """What was measured, as a table's cell and a figure's label say it."""
    return f"outcome: {difference.words}" if difference.words else _quantity(difference.quantity)


def _quantity(name: str) -> str:
    words = name.replace("_peak_bytes", " peak, MiB").replace(" joules", ", J/token")
    return words.replace(" tokens_per_s", ", tokens/s")


def _value(difference: Difference, value: float | None) -> Cell:
    if value is None:
        return Cell(NOT_MEASURED)
    return Cell(
        f"{value / MIB:,.1f}" if difference.quantity.endswith("bytes") else rate(value), value
    )


def _change(ratio: float | None) -> Cell:
    return Cell(NOT_MEASURED) if ratio is None else Cell(percent(ratio - 1), ratio)


def _interval(found: Difference | Overall) -> str:
    if found.low is None or found.high is None:
        return NOT_MEASURED
    return f"{percent(found.low - 1)} to {percent(found.high - 1)}"


def overall_table(overall: Sequence[Overall]) -> Table:
    """Each kind of quantity over all pairs."""
    rows = tuple(
        (
            Cell(_kind(each.kind)),
            Cell(f"{each.n_pairs:,}", each.n_pairs),
            _change(each.ratio),
            Cell(_interval(each)),
            _change(each.worst.ratio),
            Cell(each.worst.label),
        )
        for each in overall
    )
    columns = ("quantity", "pairs", "mean change", "95 % interval", "worst", "at")
    return Table(
        caption="Over all pairs (geometric means; a pair counts once)", columns=columns, rows=rows
    )


def _kind(name: str) -> str:
    """A kind of quantity in words: llama-bench's pp is prefill, its tg decode."""
    return re.sub(r"^tg\b", "decode", re.sub(r"^pp\b", "prefill", _quantity(name)))


def changes_table(changes: Sequence[tuple[str, str, str]]) -> Table:
    """What differs around the points: (what, before, after) as rows."""
    rows = tuple(tuple(Cell(text) for text in change) for change in changes)
    return Table(
        caption="What changed around the points", columns=("what", "before", "after"), rows=rows
    )


def alone_table(found: RunsCompared) -> Table:
    """The points without a partner, each with the nearest point of the other side and what the two
    do not share."""
    rows = tuple(
        (Cell(each.side), Cell(each.label), Cell(_apart(each)), Cell(each.nearest or NOT_MEASURED))
        for each in found.alone
    )
    n_alone = found.only_before + found.only_after
    of = f" (the first {MOST_EXPLAINED} of a side)" if n_alone > len(rows) else ""
    columns = ("side", "point", "differs in", "from the other side's")
    return Table(
        caption=f"{counted(n_alone, 'point')} without a partner{of}", columns=columns, rows=rows
    )


def _apart(alone: Alone) -> str:
    named = [f"{name} ({own}, not {other})" for name, own, other in alone.apart[:MOST_NAMED]]
    more = len(alone.apart) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "") or "it has a partner already"


def comparison_tables(found: RunsCompared, *, threshold: float) -> list[Table]:
    """What changed around the points, what differs by kind and one by one, and what has no
    partner; each where there is any."""
    tables = (
        changes_table(found.changes),
        overall_table(found.overall),
        differences_table(found.differences, threshold=threshold),
        alone_table(found),
    )
    return [table for table in tables if table.rows]


def comparison_lines(
    found: RunsCompared, *, threshold: float, said: str | None = None
) -> Iterator[str]:
    """How many points paired and which did not, and how many regressions there are; `said` is the
    threshold as it was asked for."""
    alike = f", {found.n_failed_alike} of them failed alike" if found.n_failed_alike else ""
    yield f"Pairs: {found.n_pairs}{alike}."
    if found.only_before or found.only_after:
        yield f"Without a partner: {found.only_before} before, {found.only_after} after."
    yield f"{headline(found, threshold=threshold, said=said)}."


def headline(found: RunsCompared, *, threshold: float, said: str | None = None) -> str:
    """The verdict in a sentence without its full stop."""
    if found.why_nothing_compared:
        return f"Nothing was compared: {found.why_nothing_compared}"
    beyond = f" beyond {said}" if said is not None else ""
    n_regressions, n_differences = found.n_regressions(threshold), len(found.differences)
    if not n_regressions:
        return f"No regression{beyond} among {counted(n_differences, 'difference')}"
    worst = next(each for each in found.differences if each.is_regression(threshold))
    by = "" if worst.ratio is None else f" {percent(worst.ratio - 1)}"
    are = "is a regression" if n_regressions == 1 else "are regressions"
    return (
        f"{n_regressions} of {counted(n_differences, 'difference')} {are}{beyond}, the worst "
        f"at {worst.label}: {quantity_words(worst).partition(',')[0]}{by}"
    )
