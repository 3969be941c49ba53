"""Memory in bars: by context and by experts, measured beside predicted.

A bar is a stack of llama.cpp's components. Beside each measured bar stands the predicted one; a
point that failed has no measured bar but a cross at the height that was predicted for it, and the
stage at which it failed. The card's memory is a line. A view takes predictions by record id and
draws without them where there are none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.frozen import frozen
from oomph.records.summary import RecordSummary
from oomph.units import MIB
from oomph.views.readings import COMPONENTS, predicted_components, stage_words
from oomph.views.style import (
    COMPONENT_COLOURS,
    INK,
    VERMILLION,
    legend_above,
    new_figure,
    thousands,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPONENT_NAMES: Final[Mapping[str, str]] = {
    "weights": "weights",
    "kv_cache": "KV cache",
    "recurrent": "recurrent state",
    "compute": "compute buffer",
    "output": "output",
    "overhead": "overhead",
}

NEAR: Final = 0.4
"""Share of the card from which bars are drawn against its line."""
ROOM: Final = 48
"""Characters that stand side by side under an axis."""


@frozen
class MemoryBar:
    """One place on the axis: components in bytes, measured and predicted, and where the point
    failed its outcome and in words the stage."""

    at: int
    measured: Mapping[str, int]
    predicted: Mapping[str, int]
    failed: str | None = None
    stage: str = ""


def memory_bars(
    summaries: Sequence[RecordSummary],
    predictions: Mapping[str, Prediction],
    *,
    by: Callable[[RecordSummary], int | None],
) -> tuple[MemoryBar, ...]:
    """One bar for each value of `by`, ascending; of several records there, the first that was
    measured to its end."""
    chosen: dict[int, RecordSummary] = {}
    for summary in summaries:
        at = by(summary)
        if at is not None and (
            at not in chosen or (summary.succeeded and not chosen[at].succeeded)
        ):
            chosen[at] = summary
    return tuple(
        _bar(at, chosen[at], predictions.get(chosen[at].record.record_id)) for at in sorted(chosen)
    )


def _bar(at: int, summary: RecordSummary, prediction: Prediction | None) -> MemoryBar:
    ok = summary.succeeded
    return MemoryBar(
        at=at,
        measured=summary.components if ok else {},
        predicted=predicted_components(prediction.memory) if prediction else {},
        failed=None if ok else summary.record.outcome.label,
        stage="" if ok else stage_words(summary.record),
    )


def plot_memory(
    bars: Sequence[MemoryBar], *, axis: str, cards: bool, card_bytes: int | None = None
) -> "Figure":
    """Stacked components, measured (left, filled) beside predicted (right, hatched), failed points
    crossed, with a line where the card is full."""
    figure, (axes,) = new_figure(height=3.4)
    width = 0.38
    for place, bar in enumerate(bars):
        _stack(axes, place - width / 2, bar.measured, width, measured=True)
        _stack(axes, place + width / 2, bar.predicted, width, measured=False)
        if bar.failed:
            _cross(axes, place - width / 2, sum(bar.predicted.values()), bar.stage)
    _name_components(axes, bars)
    labels = [thousands(bar.at) for bar in bars]
    axes.set_xticks(range(len(bars)), labels, rotation=_turned(labels))
    axes.set_xlim(-0.6, len(bars) - 0.4)
    axes.set_xlabel(f"{axis}   (filled: measured, hatched: predicted)")
    axes.set_ylabel("VRAM, MiB" if cards else "memory, MiB")
    axes.yaxis.set_major_formatter(thousands)
    axes.margins(y=0.12)
    if card_bytes is not None:
        _draw_card(axes, bars, card_bytes)
    return figure


def _turned(labels: Sequence[str]) -> int:
    """Degrees by which the labels are turned so that they do not run into each other."""
    return 45 if sum(map(len, labels)) > ROOM else 0


def _draw_card(axes: "Axes", bars: Sequence[MemoryBar], card_bytes: int) -> None:
    """The card's memory as a line; of a card that is far larger only the size."""
    highest = max(sum(parts.values()) for bar in bars for parts in (bar.measured, bar.predicted))
    near = highest > NEAR * card_bytes
    if near:
        axes.axhline(card_bytes / MIB, color=INK, linewidth=1.1, linestyle=(0, (5, 2)))
        axes.set_ylim(top=max(axes.get_ylim()[1], 1.14 * card_bytes / MIB))
    where = (1, card_bytes / MIB) if near else (1, 1)
    axes.annotate(
        f"the card: {card_bytes / MIB:,.0f} MiB" + ("" if near else ", far above"),
        where,
        xycoords=("axes fraction", "data") if near else "axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        ha="right",
        va="bottom" if near else "top",
        fontsize=7.5,
        color=INK,
    )


def _stack(
    axes: "Axes", x: float, components: Mapping[str, int], width: float, *, measured: bool
) -> None:
    bottom = 0.0
    for component in COMPONENTS:
        height = components.get(component, 0) / MIB
        if not height:
            continue
        colour = COMPONENT_COLOURS[component]
        if measured:
            axes.bar(x, height, width, bottom=bottom, color=colour)
        else:
            axes.bar(
                x,
                height,
                width,
                bottom=bottom,
                fill=False,
                edgecolor=colour,
                hatch="////",
                linewidth=0.8,
            )
        bottom += height


def _cross(axes: "Axes", x: float, n_bytes: int, stage: str) -> None:
    at = x, n_bytes / MIB
    axes.plot(*at, marker="X", color=VERMILLION, markersize=7, linestyle="none", zorder=5)
    axes.annotate(
        plain(stage),
        at,
        xytext=(0, -7),
        textcoords="offset points",
        ha="center",
        va="top",
        rotation=90,
        fontsize=7,
        color=VERMILLION,
    )


def _name_components(axes: "Axes", bars: Sequence[MemoryBar]) -> None:
    used = {
        component for bar in bars for part in (bar.measured, bar.predicted) for component in part
    }
    for component in COMPONENTS:
        if component in used:
            axes.bar([0], [0], color=COMPONENT_COLOURS[component], label=COMPONENT_NAMES[component])
    legend_above(axes)


def plain(text: str) -> str:
    """Text that came from a record, so that matplotlib takes no dollar sign in it for
    mathematics."""
    return text.replace("$", r"\$")
