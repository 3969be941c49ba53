"""Quality in pictures: against experts, against the place in the context, and speed.

A text's tokens are judged one by one, so the error of a mean is that of its tokens; where they
stand in the context tells whether fewer experts hurt more, or less, the more there is to attend to.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.frozen import frozen
from oomph.quality.positions import PositionLoss, losses_by_position
from oomph.records.grouping import evenly
from oomph.records.perplexity import Perplexity
from oomph.records.summary import RecordSummary
from oomph.units import MIB, count
from oomph.views.by_experts import quality_by_experts, quality_records
from oomph.views.readings import experts_word
from oomph.views.style import (
    GRID,
    INK,
    doubling_axis,
    legend_above,
    new_figure,
    series_style,
    spread_axis,
    thousands,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONTEXT_BINS: Final = "tokens of context before the judged one (bins double in length)"
"""What stands on the axis of positions in a text."""
NAME_STEP: Final = 0.13
"""Share of the axes' height that a point's name takes."""


def plot_quality(quality: Mapping[int, Perplexity]) -> "Figure":
    """Perplexity against active experts, logarithmic, with one standard error to either side."""
    figure, (axes,) = new_figure()
    experts, values = list(quality), [point.value for point in quality.values()]
    below = [point.value - (point.low or point.value) for point in quality.values()]
    above = [(point.high or point.value) - point.value for point in quality.values()]
    axes.errorbar(experts, values, yerr=[below, above], **series_style(0), capsize=3)
    for expert, value in zip(experts, values, strict=True):
        axes.annotate(
            f"{value:,.0f}" if value >= 100 else f"{value:.1f}",
            (expert, value),
            xytext=(6, 5),
            textcoords="offset points",
            fontsize=8,
            color=INK,
        )
    spread_axis(axes, "y", values)
    axes.set_xticks(experts)
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel("n_expert_used")
    axes.set_ylabel("perplexity (lower is better)")
    return figure


def losses_by_experts(
    summaries: Sequence[RecordSummary],
) -> dict[int | None, tuple[PositionLoss, ...]]:
    """`losses_by_position` of the first successful record of each number of experts that has
    positions."""
    found = {
        experts: losses_by_position(summary.record.quality)
        for experts, summary in quality_records(summaries).items()
        if summary.record.quality is not None
    }
    return {experts: losses for experts, losses in found.items() if len(losses) > 1}


def plot_losses(losses: Mapping[int | None, Sequence[PositionLoss]]) -> "Figure":
    """Nats a token against the context it was given, a line for each number of experts, one
    standard error."""
    figure, (axes,) = new_figure()
    for number, (experts, bins) in enumerate(losses.items()):
        axes.errorbar(
            [math.sqrt(each.first * each.last) for each in bins],
            [each.mean_nats for each in bins],
            yerr=[each.error_nats for each in bins],
            **series_style(number),
            capsize=2,
            elinewidth=0.9,
            label=experts_word(experts),
        )
    edges = sorted({each.last for bins in losses.values() for each in bins})
    doubling_axis(axes, edges, CONTEXT_BINS)
    axes.set_ylabel("nats per token (lower is better)")
    legend_above(axes, columns=6, title="n_expert_used")
    return figure


@frozen
class TradePoint:
    """One successful point as a trade: decode speed where the context is empty, perplexity,
    bytes."""

    n_expert_used: int
    n_ctx: int
    decode_tokens_per_s: float
    perplexity: float
    n_bytes: int

    def dominated_by(self, other: "TradePoint") -> bool:
        """Whether `other` is at least as good in speed, quality and memory at the same context, and
        better in one."""
        mine = (-self.decode_tokens_per_s, self.perplexity, self.n_bytes)
        theirs = (-other.decode_tokens_per_s, other.perplexity, other.n_bytes)
        return (
            other.n_ctx >= self.n_ctx
            and theirs != mine
            and all(t <= m for t, m in zip(theirs, mine, strict=True))
        )


def trade_points(summaries: Sequence[RecordSummary]) -> tuple[TradePoint, ...]:
    """The points whose speed, quality and memory are all known; quality is taken from its number of
    experts."""
    quality = quality_by_experts(summaries)
    points = []
    for summary in summaries:
        experts, decode, parts = (
            summary.n_expert_used,
            summary.rates("tg"),
            summary.components,
        )
        if (
            experts in quality
            and decode
            and parts
            and summary.succeeded
            and summary.memory_limit_bytes is None
        ):
            points.append(
                TradePoint(
                    n_expert_used=experts,
                    n_ctx=summary.n_ctx,
                    n_bytes=sum(parts.values()),
                    decode_tokens_per_s=decode[0].tokens_per_s,
                    perplexity=quality[experts].value,
                )
            )
    return tuple(points)


def not_beaten(points: Sequence[TradePoint]) -> tuple[TradePoint, ...]:
    """The Pareto front: points that no other beats in speed, quality and memory at their
    context."""
    front: list[TradePoint] = []
    # what beats a point comes before it, and what is beaten beats nothing that the front does not
    for point in sorted(points, key=lambda p: (-p.decode_tokens_per_s, p.perplexity, p.n_bytes)):
        if not any(point.dominated_by(other) for other in front):
            front.append(point)
    kept = set(front)
    return tuple(point for point in points if point in kept)


def sampled_trades(points: Sequence[TradePoint], most: int) -> Sequence[TradePoint]:
    """The points, or of more than `most` those that nothing beats and as many others, in even
    steps, as make up the number."""
    if len(points) <= most:
        return points
    best = evenly(not_beaten(points), most // 2)
    kept = set(best)
    others = [point for point in points if point not in kept]
    return [*best, *evenly(others, most - len(best))]


def plot_trade(points: Sequence[TradePoint], *, cards: bool) -> "Figure":
    """Decode speed against perplexity; the area of a point is its memory. What nothing else beats
    is full and named, the rest is pale."""
    figure, (axes,) = new_figure(height=3.6)
    largest = max(point.n_bytes for point in points)
    best = set(not_beaten(points))
    for number, experts in enumerate(sorted({point.n_expert_used for point in points})):
        for is_best in (False, True):
            own = [p for p in points if p.n_expert_used == experts and (p in best) == is_best]
            axes.scatter(
                [point.decode_tokens_per_s for point in own],
                [point.perplexity for point in own],
                s=[90 * point.n_bytes / largest for point in own],
                **series_style(number),
                alpha=0.95 if is_best else 0.25,
                linewidths=0,
            )
    spread_axis(axes, "y", [point.perplexity for point in points])
    axes.xaxis.set_major_formatter(thousands)
    axes.margins(x=0.08, y=0.14)
    figure.draw_without_rendering()  # where a point lies is known when the axes are laid out
    _name_best(axes, sorted(best, key=lambda point: point.n_ctx))
    axes.set_xlabel("decode at the shallowest depth, tokens/s (right is better)")
    axes.set_ylabel("perplexity (down is better)")
    what = "VRAM" if cards else "memory"
    axes.set_title(
        f"named: not beaten in speed, quality and {what}\n"
        f"area: {what}, at most {thousands(largest / MIB)} MiB",
        loc="left",
        fontsize=7.5,
        color=INK,
    )
    return figure


def _name_best(axes: "Axes", best: Sequence[TradePoint]) -> None:
    """A name for each number of experts, beside the plot: the contexts at which nothing beats
    it."""
    by_experts: dict[int, list[TradePoint]] = {}
    for point in best:
        by_experts.setdefault(point.n_expert_used, []).append(point)
    named = sorted(
        (
            (
                axes.transAxes.inverted().transform(
                    axes.transData.transform((0, own[0].perplexity))
                )[1],
                experts,
                own,
            )
            for experts, own in by_experts.items()
        ),
        key=lambda each: each[0],
    )
    floor = -1.0
    for height, experts, own in named:
        floor = max(height, floor + NAME_STEP)
        contexts = sorted({point.n_ctx for point in own})
        at = max(own, key=lambda point: point.decode_tokens_per_s)
        words = f"n_ctx {count(contexts[0])}" + (
            f" to {count(contexts[-1])}" if len(contexts) > 1 else ""
        )
        axes.annotate(
            f"{experts} experts\n{words}",
            (at.decode_tokens_per_s, at.perplexity),
            xytext=(1.03, floor),
            textcoords="axes fraction",
            va="center",
            fontsize=7,
            color=INK,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": GRID, "linewidth": 0.6, "shrinkB": 5},
        )
