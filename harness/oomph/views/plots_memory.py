"""Memory in bars: by context and by experts, measured beside predicted.

A bar is a stack of llama.cpp's components. Beside each measured bar stands the predicted one; a
point that failed has no measured bar but a cross at the height that was predicted for it. A view
takes predictions by record id and draws without them where there are none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.records.summary import RecordSummary
from oomph.units import MIB
from oomph.views.readings import COMPONENTS, predicted_components
from oomph.views.style import COMPONENT_COLOURS, VERMILLION, legend_above, new_figure, thousands

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBar:
    """One place on the axis: components in bytes, measured and predicted, and the outcome where the
    point failed."""

    at: int
    measured: Mapping[str, int]
    predicted: Mapping[str, int]
    failed: str | None = None


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
    )


def plot_memory(bars: Sequence[MemoryBar], *, axis: str, cards: bool) -> "Figure":
    """Stacked components, measured (left, filled) beside predicted (right, hatched), failed points
    crossed."""
    figure, (axes,) = new_figure(height=3.4)
    width = 0.38
    for place, bar in enumerate(bars):
        _stack(axes, place - width / 2, bar.measured, width, measured=True)
        _stack(axes, place + width / 2, bar.predicted, width, measured=False)
        if bar.failed:
            _cross(axes, place - width / 2, sum(bar.predicted.values()), bar.failed)
    _name_components(axes, bars)
    axes.set_xticks(range(len(bars)), [thousands(bar.at) for bar in bars])
    axes.set_xlabel(f"{axis}   (filled: measured, hatched: predicted)")
    axes.set_ylabel("VRAM, MiB" if cards else "memory, MiB")
    axes.yaxis.set_major_formatter(thousands)
    axes.margins(y=0.1)
    return figure


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


def _cross(axes: "Axes", x: float, n_bytes: int, outcome: str) -> None:
    axes.plot(
        [x],
        [n_bytes / MIB],
        marker="X",
        color=VERMILLION,
        markersize=8,
        linestyle="none",
        clip_on=False,
    )
    axes.annotate(
        plain(outcome),
        (x, n_bytes / MIB),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
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
