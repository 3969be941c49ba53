"""Energy in pictures: joules of the cards for one token, against the depth of the context.

Apart from speed because hardly any record has it: a card must count energy, and the test must last
long enough.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from oomph.frozen import frozen
from oomph.records.summary import RecordSummary
from oomph.views.plots_speed import KIND_NAMES
from oomph.views.readings import experts_word
from oomph.views.style import depth_axis, legend_above, new_figure, series_style
from oomph.views.table import Cell, Table, number
from oomph.views.timings import joules_per_token

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@frozen
class TokenEnergy:
    """Joules of all cards for one token of `test`, with `n_depth` cells filled before."""

    test: str
    n_depth: int
    joules: float


def energy_by_experts(
    summaries: Sequence[RecordSummary], kind: str
) -> dict[int | None, tuple[TokenEnergy, ...]]:
    """Tests of `kind` (`"pp"` or `"tg"`) of the roomiest point of each number of experts, by depth;
    empty without."""
    found: dict[int | None, tuple[TokenEnergy, ...]] = {}
    for summary in sorted((r for r in summaries if r.succeeded), key=lambda each: each.n_ctx):
        if points := energies(summary, kind):
            found[summary.n_expert_used] = points
    return dict(sorted(found.items(), key=lambda item: item[0] or 0))


def energies(summary: RecordSummary, kind: str) -> tuple[TokenEnergy, ...]:
    """Joules for a token of each shown test of `kind` that counts energy, by depth."""
    points = (
        TokenEnergy(test=timing.test, n_depth=timing.n_depth, joules=joules)
        for timing in summary.timings
        if timing.test.startswith(kind)
        and timing.n_parallel == 1
        and (joules := joules_per_token(timing)) is not None
    )
    return tuple(sorted(points, key=lambda point: point.n_depth))


def plot_energy_by_depth(
    series: Mapping[int | None, Sequence[TokenEnergy]], *, kind: str
) -> "Figure":
    """Joules a token against the cells already filled, a line for each number of active experts."""
    figure, (axes,) = new_figure()
    for number_of_line, (experts, points) in enumerate(series.items()):
        axes.plot(
            [point.n_depth for point in points],
            [point.joules for point in points],
            **series_style(number_of_line),
            label=experts_word(experts) if len(series) > 1 else None,
        )
    depth_axis(axes, (point.n_depth for points in series.values() for point in points))
    axes.set_ylabel(f"{KIND_NAMES[kind]}, joules per token")
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=6, title="n_expert_used")
    return figure


def energy_table(series: Mapping[int | None, Sequence[TokenEnergy]]) -> Table:
    """What the figure draws, point by point."""
    rows = tuple(
        (
            Cell(experts_word(experts), experts),
            Cell(each.test),
            number(each.n_depth),
            number(each.joules, digits=3),
        )
        for experts, points in series.items()
        for each in points
    )
    return Table(
        caption="Joules per token by depth",
        columns=("n_expert_used", "test", "n_depth", "J/token"),
        rows=rows,
    )
