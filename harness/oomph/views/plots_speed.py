"""Speed in pictures: against depth, and what quality costs in it.

One line for each number of active experts; a point is the median of its samples, the bar runs from the slowest
to the fastest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oomph.records.schema import Record
from oomph.units import MIB
from oomph.views.by_experts import quality_by_experts
from oomph.views.readings import (
    Perplexity,
    Rate,
    measured_components,
    memory_limit_bytes,
    n_ctx,
    n_expert_used,
    rates,
    succeeded,
)
from oomph.views.style import INK, MARKERS, SERIES, legend_above, new_figure, spread_axis, thousands

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KIND_NAMES: Final = {"pp": "prefill", "tg": "decode"}


def plot_speed_by_depth(series: dict[int | None, tuple[Rate, ...]], *, kind: str) -> "Figure":
    """Tokens per second against the cells already filled, a line for each number of active experts."""
    figure, (axes,) = new_figure()
    for number, (experts, points) in enumerate(series.items()):
        axes.errorbar(
            [rate.n_depth for rate in points], [rate.tokens_per_s for rate in points],
            yerr=[[rate.tokens_per_s - rate.slowest for rate in points],
                  [rate.fastest - rate.tokens_per_s for rate in points]],
            color=SERIES[number % len(SERIES)], marker=MARKERS[number % len(MARKERS)], capsize=2, elinewidth=0.9,
            label="dense" if experts is None else str(experts),
        )  # fmt: skip
    axes.set_xlabel("n_depth: cells filled before the test")
    axes.set_ylabel(f"{KIND_NAMES[kind]}, tokens per second")
    axes.xaxis.set_major_formatter(thousands)
    axes.yaxis.set_major_formatter(thousands)
    axes.set_ylim(bottom=0)
    legend_above(axes, columns=6, title="n_expert_used")
    return figure


def plot_quality(quality: dict[int, Perplexity]) -> "Figure":
    """Perplexity against active experts, logarithmic, with one standard error to either side."""
    figure, (axes,) = new_figure()
    experts, values = list(quality), [point.value for point in quality.values()]
    below = [point.value - (point.low or point.value) for point in quality.values()]
    above = [(point.high or point.value) - point.value for point in quality.values()]
    axes.errorbar(experts, values, yerr=[below, above], color=SERIES[0], marker=MARKERS[0], capsize=3)
    for expert, value in zip(experts, values, strict=True):
        axes.annotate(
            f"{value:,.0f}" if value >= 100 else f"{value:.1f}", (expert, value), xytext=(6, 5),
            textcoords="offset points", fontsize=8, color=INK,
        )  # fmt: skip
    spread_axis(axes, "y", values)
    axes.set_xticks(experts)
    axes.margins(x=0.12, y=0.12)
    axes.set_xlabel("n_expert_used")
    axes.set_ylabel("perplexity (lower is better)")
    return figure


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePoint:
    """One successful point as a trade: decode speed where the context is empty, perplexity, bytes."""

    n_expert_used: int
    n_ctx: int
    decode_tokens_per_s: float
    perplexity: float
    n_bytes: int

    def dominated_by(self, other: "TradePoint") -> bool:
        """Whether `other` is at least as good in speed, quality and memory at the same context, and better in one."""
        mine = (-self.decode_tokens_per_s, self.perplexity, self.n_bytes)
        theirs = (-other.decode_tokens_per_s, other.perplexity, other.n_bytes)
        return other.n_ctx >= self.n_ctx and theirs != mine and all(t <= m for t, m in zip(theirs, mine, strict=True))


def trade_points(records: Sequence[Record]) -> tuple[TradePoint, ...]:
    """The points whose speed, quality and memory are all known; quality is taken from its number of experts."""
    quality = quality_by_experts(records)
    points = []
    for record in records:
        experts, decode, parts = n_expert_used(record), rates(record, "tg"), measured_components(record)
        if experts in quality and decode and parts and succeeded(record) and memory_limit_bytes(record) is None:
            points.append(
                TradePoint(
                    n_expert_used=experts,
                    n_ctx=n_ctx(record),
                    n_bytes=sum(parts.values()),
                    decode_tokens_per_s=decode[0].tokens_per_s,
                    perplexity=quality[experts].value,
                )
            )
    return tuple(points)


def plot_trade(points: Sequence[TradePoint], *, cards: bool) -> "Figure":
    """Decode speed against perplexity; the area of a point is its memory, a ring marks what nothing else beats."""
    figure, (axes,) = new_figure()
    largest = max(point.n_bytes for point in points)
    for number, experts in enumerate(sorted({point.n_expert_used for point in points})):
        own = [point for point in points if point.n_expert_used == experts]
        axes.scatter(
            [point.decode_tokens_per_s for point in own], [point.perplexity for point in own],
            s=[90 * point.n_bytes / largest for point in own], color=SERIES[number % len(SERIES)],
            marker=MARKERS[number % len(MARKERS)], alpha=0.75, linewidths=0, label=str(experts),
        )  # fmt: skip
    best = [point for point in points if not any(point.dominated_by(other) for other in points)]
    axes.scatter(
        [point.decode_tokens_per_s for point in best], [point.perplexity for point in best], s=170, facecolors="none",
        edgecolors=INK, linewidths=1, label="not beaten",
    )  # fmt: skip
    spread_axis(axes, "y", [point.perplexity for point in points])
    axes.xaxis.set_major_formatter(thousands)
    axes.margins(0.12)
    axes.set_xlabel("decode at the shallowest depth, tokens/s (right is better)")
    axes.set_ylabel("perplexity (down is better)")
    what = "VRAM" if cards else "memory"
    legend_above(axes, columns=6, title=f"n_expert_used; area is {what}, at most {thousands(largest / MIB)} MiB")
    return figure
