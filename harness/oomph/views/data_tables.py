"""The data of each figure as a table, for whoever listens, copies or doubts.

Apart from `tables`, which shows records: these rows are what a figure draws, point by point, in the
figure's units.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from oomph.quality.positions import PositionLoss
from oomph.records.perplexity import Perplexity
from oomph.records.summary import Rate
from oomph.units import MIB, NOT_MEASURED, rate, share
from oomph.views.map_squares import MemoryMap
from oomph.views.plots_fit import QUANTITY_NAMES, is_memory
from oomph.views.plots_memory import COMPONENT_NAMES, MemoryBar
from oomph.views.plots_quality import TradePoint, not_beaten
from oomph.views.readings import COMPONENTS, experts_word
from oomph.views.table import Cell, Table, number

if TYPE_CHECKING:
    from oomph.calibrate.comparison import Comparison


def bars_table(bars: Sequence[MemoryBar], *, axis: str) -> Table:
    """MiB by component, measured and predicted, of each place on the axis."""
    used = [
        c
        for c in COMPONENTS
        if any(c in parts for bar in bars for parts in (bar.measured, bar.predicted))
    ]
    rows = []
    for bar in bars:
        for what, parts in (("measured", bar.measured), ("predicted", bar.predicted)):
            if parts:
                cells = (number(parts.get(component), digits=1, unit=MIB) for component in used)
                total = number(sum(parts.values()), digits=1, unit=MIB)
                rows.append((number(bar.at), Cell(what), *cells, total))
        if bar.failed:
            blank = (Cell(NOT_MEASURED) for _ in range(len(used) + 1))
            rows.append((number(bar.at), Cell(bar.failed), *blank))
    columns = (axis, "", *(COMPONENT_NAMES[component] for component in used), "total")
    return Table(caption="MiB by component", columns=columns, rows=tuple(rows))


def map_table(charts: Mapping[str, MemoryMap]) -> Table:
    """Every square by setting: MiB, whether it is measured, how it ended, and the row's predicted
    frontier."""
    rows = tuple(
        (
            Cell(name),
            _experts(square.n_expert_used),
            number(square.n_ctx),
            number(square.n_bytes, digits=1, unit=MIB),
            Cell("measured" if square.measured else "predicted"),
            Cell(square.outcome or "not tried"),
            number(chart.predicted.get(square.n_expert_used)),
        )
        for name, chart in charts.items()
        for square in chart.squares
    )
    columns = (
        "setting",
        "n_expert_used",
        "n_ctx",
        "MiB",
        "",
        "outcome",
        "predicted to fit up to",
    )
    return Table(caption="Memory by context and experts", columns=columns, rows=rows)


def rates_table(series: Mapping[int | None, Sequence[Rate]]) -> Table:
    """Tokens per second at each depth: median, slowest and fastest sample."""
    rows = tuple(
        (
            _experts(experts),
            Cell(f"{point.test} @ d{point.n_depth}", point.n_depth),
            _rate(point.tokens_per_s),
            _rate(point.slowest),
            _rate(point.fastest),
            number(point.n_samples),
            Cell("disturbed" if point.is_disturbed else ""),
        )
        for experts, points in series.items()
        for point in points
    )
    columns = ("n_expert_used", "test", "median t/s", "slowest", "fastest", "samples", "remark")
    return Table(caption="Tokens per second by depth", columns=columns, rows=rows)


def perplexity_table(quality: Mapping[int, Perplexity]) -> Table:
    """Perplexity and one standard error to either side."""
    rows = tuple(
        (
            _experts(experts),
            number(p.value, digits=2),
            number(p.low, digits=2),
            number(p.high, digits=2),
            number(p.n_tokens),
        )
        for experts, p in quality.items()
    )
    columns = ("n_expert_used", "perplexity", "one error below", "one above", "tokens")
    return Table(caption="Perplexity by active experts", columns=columns, rows=rows)


def losses_table(losses: Mapping[int | None, Sequence[PositionLoss]]) -> Table:
    """Nats a token by bins of context, with the standard error and the number of tokens."""
    rows = tuple(
        (
            _experts(experts),
            Cell(f"{each.first:,} to {each.last:,}", each.first),
            number(each.mean_nats, digits=3),
            number(each.error_nats, digits=3),
            number(each.n_tokens),
        )
        for experts, bins in losses.items()
        for each in bins
    )
    columns = ("n_expert_used", "context", "nats per token", "standard error", "tokens")
    return Table(caption="Negative log-likelihood by context", columns=columns, rows=rows)


def trade_table(points: Sequence[TradePoint]) -> Table:
    """Speed, quality and memory of each point, and whether another beats it in all three."""
    best = set(not_beaten(points))
    rows = tuple(
        (
            _experts(p.n_expert_used),
            number(p.n_ctx),
            _rate(p.decode_tokens_per_s),
            number(p.perplexity, digits=2),
            number(p.n_bytes, digits=1, unit=MIB),
            Cell("not beaten" if p in best else "beaten"),
        )
        for p in points
    )
    columns = ("n_expert_used", "n_ctx", "decode t/s", "perplexity", "MiB", "")
    return Table(caption="Speed, quality and memory", columns=columns, rows=rows)


def comparisons_table(comparisons: Sequence["Comparison"]) -> Table:
    """Predicted beside measured with the 90 % band and the residual, in MiB or tokens per
    second."""
    rows = tuple(
        (
            Cell(c.label),
            Cell(QUANTITY_NAMES.get(c.quantity, c.quantity)),
            Cell(c.device),
            number(c.n_depth),
            *(_quantity(c, value) for value in (c.measured, c.predicted, c.lower, c.upper)),
            Cell(f"{100 * (c.predicted / c.measured - 1):+.1f} %", c.predicted / c.measured),
        )
        for c in comparisons
    )
    columns = (
        "point",
        "quantity",
        "device",
        "n_depth",
        "measured",
        "predicted",
        "low",
        "high",
        "residual",
    )
    unit = "MiB" if comparisons and is_memory(comparisons[0]) else "tokens per second"
    return Table(caption=f"Predicted against measured, {unit}", columns=columns, rows=rows)


def within(comparisons: Sequence["Comparison"]) -> str | None:
    """How many measurements that nothing disturbed lie inside their 90 % band; None where none has
    a band."""
    banded = [
        c.lower <= c.measured <= c.upper
        for c in comparisons
        if c.lower is not None and c.upper is not None and not c.is_disturbed
    ]
    return (
        f"{share(sum(banded) / len(banded), 0)} of {len(banded)} lie inside the 90 % band (bars)"
        if banded
        else None
    )


def _quantity(comparison: "Comparison", value: float | None) -> Cell:
    return number(value, digits=2, unit=MIB) if is_memory(comparison) else _rate(value)


def _experts(experts: int | None) -> Cell:
    return Cell(experts_word(experts), experts)


def _rate(value: float | None) -> Cell:
    return Cell(rate(value), value)
