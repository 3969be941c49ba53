"""Tasks in pictures: right answers against length, and what a setting costs against position."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.quality.positions import PositionCost
from oomph.quality.tasks import TaskRun, score_of
from oomph.views.plots_quality import CONTEXT_BINS
from oomph.views.style import (
    GRID,
    doubling_axis,
    legend_above,
    new_figure,
    series_style,
    spread_axis,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DODGE: Final = 0.04
"""Between two lines' points at one length, in factors of two."""


def plot_scores(runs: Mapping[str, TaskRun]) -> "Figure":
    """The share of right answers in percent against the length in tokens, a line for each setting,
    with Wilson's 95 % intervals."""
    figure, (axes,) = new_figure(height=3.6)
    lengths = sorted({n for run in runs.values() for n in run.lengths})
    for place, (name, run) in enumerate(runs.items()):
        scores = [(n, score) for n in run.lengths if (score := score_of(run.of(n_tokens=n)))]
        dodge = 2 ** (_DODGE * (place - (len(runs) - 1) / 2))
        axes.errorbar(
            [n * dodge for n, _ in scores],
            [100 * score.right for _, score in scores],
            yerr=[
                [100 * (score.right - score.right_interval[0]) for _, score in scores],
                [100 * (score.right_interval[1] - score.right) for _, score in scores],
            ],
            **series_style(place),
            capsize=2,
            elinewidth=0.9,
            label=name,
        )
    doubling_axis(axes, lengths, "length in tokens, prompt and answer")
    axes.set_ylim(-3, 103)
    axes.set_ylabel("right answers, %")
    legend_above(axes, columns=2)
    return figure


def plot_costs(costs: Mapping[str, Sequence[PositionCost]]) -> "Figure":
    """The ratio of perplexities against the context that a token was given, a line for each
    setting, with 95 % intervals; 1 is the reference."""
    figure, (axes,) = new_figure(height=3.6)
    axes.axhline(1, color=GRID, linewidth=1)
    for place, (name, bins) in enumerate(costs.items()):
        ratios = [math.exp(each.loss_nats.value) for each in bins]
        ends = [each.loss_nats.interval() for each in bins]
        axes.errorbar(
            [math.sqrt(each.first * each.last) for each in bins],
            ratios,
            yerr=[
                [r - math.exp(e[0]) if e else 0 for r, e in zip(ratios, ends, strict=True)],
                [math.exp(e[1]) - r if e else 0 for r, e in zip(ratios, ends, strict=True)],
            ],
            **series_style(place),
            capsize=2,
            elinewidth=0.9,
            label=name,
        )
    edges = sorted({each.last for bins in costs.values() for each in bins})
    doubling_axis(axes, edges, CONTEXT_BINS)
    axes.set_ylabel("perplexity / the reference's")
    spread_axis(axes, "y", [math.exp(b.loss_nats.value) for bins in costs.values() for b in bins])
    legend_above(axes, columns=2)
    return figure
