"""Changes with their intervals as a figure: the worst on top, regressions marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from oomph.analysis.paired_runs import Difference, quantity_kind
from oomph.views.differences import quantity_words
from oomph.views.style import GREEN, INK, VERMILLION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DRAWN: Final = 20
"""Rows that can be read; the table has them all."""
LONGEST_LABEL: Final = 60
USUAL_SHARE: Final = 0.8
"""Of the changes; the axis is made for these where the rest are far off."""
LEAST_REACH: Final = 10.0
"""Percent that the axis reaches at least where something is off it."""
HEAD_INCHES: Final = 0.8
ROW_INCHES: Final = 0.34


def drawn_differences(differences: Sequence[Difference]) -> list[Difference]:
    """Those that have a place on the figure: the worst of each kind of quantity, in the order
    given."""
    by_kind: dict[str, list[Difference]] = {}
    for each in differences:
        if each.ratio is not None:
            by_kind.setdefault(quantity_kind(each.quantity), []).append(each)
    most = MOST_DRAWN // max(len(by_kind), 1)
    chosen = {id(each) for own in by_kind.values() for each in own[: max(most, 1)]}
    return [each for each in differences if id(each) in chosen][:MOST_DRAWN]


def plot_differences(differences: Sequence[Difference], *, threshold: float) -> "Figure":
    """After against before in percent, one row a difference in the order given, with the 95 %
    interval where there is one. Regressions are squares, what is better is a triangle, the rest
    circles: colour is not needed to tell them apart."""
    figure, (axes,) = new_figure(height=HEAD_INCHES + ROW_INCHES * max(len(differences), 2))
    reach = _reach(differences)
    for row, each in enumerate(differences):
        ratio = each.ratio or 1.0
        change, low, high = (100 * (x - 1) for x in (ratio, each.low or ratio, each.high or ratio))
        colour, marker = _mark(each, threshold)
        ends = [min(max(end, -reach), reach) for end in (low, high)]
        axes.plot(ends, [row, row], color=colour, linewidth=1.4)
        if abs(change) <= reach:
            axes.plot([change], [row], color=colour, marker=marker, markersize=5)
        else:  # off the scale: an arrow at its end, and the figure
            edge, words = (reach, "{:+,.0f} % ▸") if change > 0 else (-reach, "◂ {:+,.0f} %")
            side = "right" if change > 0 else "left"
            said = words.format(change)
            axes.text(edge, row, said, ha=side, va="center", fontsize=8.5, color=colour)
        place = axes.get_yaxis_transform()  # over its row, so that a telephone can show both
        axes.text(0, row - 0.22, _label(each), transform=place, fontsize=9, va="bottom", color=INK)
        axes.plot([0, 0], [row - 0.16, row + 0.16], color=INK, linewidth=1)  # no line through text
    axes.set_yticks([])
    axes.set_ylim(len(differences) - 0.5, -0.9)
    if any(abs(100 * ((each.ratio or 1.0) - 1)) > reach for each in differences):
        axes.set_xlim(-1.02 * reach, 1.02 * reach)
    axes.set_xlabel("after against before, %")
    axes.grid(visible=False)
    return figure


def _reach(differences: Sequence[Difference]) -> float:
    """How far the axis goes, in percent: as far as the changes do, unless a few are so much larger
    than the rest that these could not be told apart."""
    changes = sorted(abs(100 * ((each.ratio or 1.0) - 1)) for each in differences) or [0.0]
    usual = 1.5 * changes[int(USUAL_SHARE * (len(changes) - 1))]
    return max(usual, LEAST_REACH) if changes[-1] > 2 * max(usual, LEAST_REACH) else changes[-1]


def _mark(difference: Difference, threshold: float) -> tuple[str, str]:
    if difference.is_regression(threshold):
        return VERMILLION, "s"
    return (GREEN, "^") if difference.is_certain and difference.worse < 0 else (INK, "o")


def _label(difference: Difference) -> str:
    words = f"{difference.label}: {quantity_words(difference).partition(',')[0]}"
    return words if len(words) <= LONGEST_LABEL else f"…{words[-LONGEST_LABEL:]}"
