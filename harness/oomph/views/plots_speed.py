"""Speed in pictures: against the depth of the context.

One line for each number of active experts; a point is the median of its samples, the bar runs from
the slowest to the fastest.
"""

from typing import TYPE_CHECKING, Final

from oomph.records.summary import Rate
from oomph.views.readings import experts_word
from oomph.views.style import legend_above, new_figure, series_style, thousands

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND_NAMES: Final = {"pp": "prefill", "tg": "decode"}


def plot_speed_by_depth(series: dict[int | None, tuple[Rate, ...]], *, kind: str) -> "Figure":
    """Tokens per second against the cells already filled, a line for each number of active
    experts."""
    figure, (axes,) = new_figure()
    for number, (experts, points) in enumerate(series.items()):
        axes.errorbar(
            [rate.n_depth for rate in points],
            [rate.tokens_per_s for rate in points],
            yerr=[
                [rate.tokens_per_s - rate.slowest for rate in points],
                [rate.fastest - rate.tokens_per_s for rate in points],
            ],
            **series_style(number),
            capsize=2,
            elinewidth=0.9,
            label=experts_word(experts),
        )
    axes.set_xlabel("n_depth: cells filled before the test")
    axes.set_ylabel(f"{KIND_NAMES[kind]}, tokens per second")
    axes.xaxis.set_major_formatter(thousands)
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=6, title="n_expert_used")
    return figure
