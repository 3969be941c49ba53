"""Two result folders side by side, as tables.

Regressions stand first and are marked; a change whose interval holds "none" is called no change.
"""

from collections.abc import Iterator, Sequence

from oomph.analysis.paired_runs import Difference, RunsCompared
from oomph.units import MIB, NOT_MEASURED, percent, rate
from oomph.views.table import Cell, Table


def differences_table(differences: Sequence[Difference], *, threshold: float) -> Table:
    """One row per difference, in the order given: before, after, change with its interval, and a
    verdict."""
    rows = tuple(
        (
            Cell(difference.label),
            Cell(_quantity(difference)),
            _value(difference, difference.before),
            _value(difference, difference.after),
            _change(difference),
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
        return "no change beyond chance"
    if difference.worse == 0:
        return "same"
    return "worse, within the threshold" if difference.worse > 0 else "better"


def _quantity(difference: Difference) -> str:
    words = difference.quantity.replace("_peak_bytes", " peak, MiB").replace(
        " tokens_per_s", ", tokens/s"
    )
    words = words.replace(" joules", ", J/token")
    return f"outcome: {difference.words}" if difference.words else words


def _value(difference: Difference, value: float | None) -> Cell:
    if value is None:
        return Cell(NOT_MEASURED)
    return Cell(
        f"{value / MIB:,.1f}" if difference.quantity.endswith("bytes") else rate(value), value
    )


def _change(difference: Difference) -> Cell:
    if difference.ratio is None:
        return Cell(NOT_MEASURED)
    return Cell(percent(difference.ratio - 1), difference.ratio)


def _interval(difference: Difference) -> str:
    if difference.low is None or difference.high is None:
        return NOT_MEASURED
    return f"{percent(difference.low - 1)} to {percent(difference.high - 1)}"


def changes_table(changes: Sequence[tuple[str, str, str]]) -> Table:
    """What differs around the points: (what, before, after) as rows."""
    rows = tuple(tuple(Cell(text) for text in change) for change in changes)
    return Table(
        caption="What changed around the points", columns=("what", "before", "after"), rows=rows
    )


def comparison_tables(found: RunsCompared, *, threshold: float) -> list[Table]:
    """What changed around the points, if anything did, then what differs."""
    around = [changes_table(found.changes)] if found.changes else []
    return [*around, differences_table(found.differences, threshold=threshold)]


def comparison_lines(
    found: RunsCompared, *, threshold: float, said: str | None = None
) -> Iterator[str]:
    """What has no partner, and how many regressions there are; `said` is the threshold as it was
    asked for."""
    if found.only_before or found.only_after:
        yield f"Without a partner: {found.only_before} points before, {found.only_after} after."
    beyond = f" beyond {said}" if said is not None else ""
    n_regressions, n_differences = found.n_regressions(threshold), len(found.differences)
    yield f"{n_regressions} of {n_differences} differences are regressions{beyond}."
