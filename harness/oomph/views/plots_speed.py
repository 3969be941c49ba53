"""Speed in pictures: against the depth of the context, in llama-bench's words.

One line for each number of active experts; a point is the median of its samples, the bar runs from
the slowest to the fastest. A hollow point was disturbed. Ticks are llama-bench's: `tg128 @ d4096`
is the point of `tg128` at `d4096`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.records.summary import Rate
from oomph.views.readings import experts_word
from oomph.views.style import depth_axis, legend_above, new_figure, series_style, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KIND_NAMES: Final = {"pp": "prefill", "tg": "decode"}
LONG: Final = 24
"""Characters of tests' names that fit beside an axis."""


def plot_speed_by_depth(series: Mapping[int | None, Sequence[Rate]], *, kind: str) -> "Figure":
    """Tokens per second against the cells already filled, a line for each number of active
    experts."""
    figure, (axes,) = new_figure()
    for number, (experts, points) in enumerate(series.items()):
        name = f"{experts_word(experts)}"
        draw_rates(axes, points, number, name if len(series) > 1 else None)
    label_depths(axes, [point for points in series.values() for point in points], kind)
    legend_above(axes, columns=6, title="n_expert_used")
    return figure


def draw_rates(axes: "Axes", points: Sequence[Rate], number: int, name: str | None) -> None:
    """One line of medians with the span of their samples; disturbed ones are hollow."""
    look = series_style(number)
    axes.errorbar(
        [rate.n_depth for rate in points],
        [rate.tokens_per_s for rate in points],
        yerr=[
            [rate.tokens_per_s - rate.slowest for rate in points],
            [rate.fastest - rate.tokens_per_s for rate in points],
        ],
        **look,
        markerfacecolor="none" if all(rate.is_disturbed for rate in points) else look["color"],
        capsize=2,
        elinewidth=0.9,
        label=name,
    )
    hollow = [rate for rate in points if rate.is_disturbed]
    if hollow and len(hollow) < len(points):
        axes.plot(
            [rate.n_depth for rate in hollow],
            [rate.tokens_per_s for rate in hollow],
            linestyle="none",
            marker=look["marker"],
            color=look["color"],
            markersize=7,
            markerfacecolor="none",
        )


def label_depths(axes: "Axes", points: Sequence[Rate], kind: str) -> None:
    """Depth below as llama-bench writes it, the tests' names and the unit at the side."""
    tests = ", ".join(dict.fromkeys(point.test for point in points))
    depth_axis(axes, (point.n_depth for point in points))
    axes.set_ylabel(f"{KIND_NAMES[kind]} ({tests if len(tests) < LONG else kind}), tokens/s")
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylim(bottom=0)
