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
    for row, each in enumerate(differences):
        ratio = each.ratio or 1.0
        low, high = each.low or ratio, each.high or ratio
        colour, marker = _mark(each, threshold)
        axes.plot([100 * (low - 1), 100 * (high - 1)], [row, row], color=colour, linewidth=1.4)
        axes.plot([100 * (ratio - 1)], [row], color=colour, marker=marker, markersize=5)
        place = axes.get_yaxis_transform()  # over its row, so that a telephone can show both
        axes.text(0, row - 0.22, _label(each), transform=place, fontsize=9, va="bottom", color=INK)
        axes.plot([0, 0], [row - 0.16, row + 0.16], color=INK, linewidth=1)  # no line through text
    axes.set_yticks([])
    axes.set_ylim(len(differences) - 0.5, -0.9)
    axes.set_xlabel("after against before, %")
    axes.grid(visible=False)
    return figure


def _mark(difference: Difference, threshold: float) -> tuple[str, str]:
    if difference.is_regression(threshold):
        return VERMILLION, "s"
    return (GREEN, "^") if difference.is_certain and difference.worse < 0 else (INK, "o")


def _label(difference: Difference) -> str:
    words = f"{difference.label}: {quantity_words(difference).partition(',')[0]}"
    return words if len(words) <= LONGEST_LABEL else f"…{words[-LONGEST_LABEL:]}"
