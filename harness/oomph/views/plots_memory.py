"""Memory in pictures: by context, by experts, and the map of both.

A bar is a stack of llama.cpp's components. Beside each measured bar stands the predicted one; a point that failed
has no measured bar but a cross at the height that was predicted for it. A view takes predictions by record id and
draws without them where there are none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.records.schema import Record
from oomph.units import MIB
from oomph.views.readings import (
    COMPONENTS,
    measured_components,
    memory_limit_bytes,
    n_ctx,
    n_expert_used,
    predicted_components,
    succeeded,
)
from oomph.views.style import COMPONENT_COLOURS, INK, VERMILLION, legend_above, new_figure, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMPONENT_NAMES: Final[Mapping[str, str]] = {
    "weights": "weights", "kv_cache": "KV cache", "recurrent": "recurrent state", "compute": "compute buffer",
    "output": "output", "overhead": "overhead",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBar:
    """One place on the axis: components in bytes, measured and predicted, and the outcome where the point failed."""

    at: int
    measured: Mapping[str, int]
    predicted: Mapping[str, int]
    failed: str | None = None


def memory_bars(
    records: Sequence[Record], predictions: Mapping[str, Prediction], *, by: Callable[[Record], int | None]
) -> tuple[MemoryBar, ...]:
    """One bar for each value of `by`, ascending; of several records there, the first that was measured to its end."""
    chosen: dict[int, Record] = {}
    for record in records:
        at = by(record)
        if at is not None and (at not in chosen or (succeeded(record) and not succeeded(chosen[at]))):
            chosen[at] = record
    return tuple(_bar(at, chosen[at], predictions.get(chosen[at].record_id)) for at in sorted(chosen))


def _bar(at: int, record: Record, prediction: Prediction | None) -> MemoryBar:
    ok = succeeded(record)
    return MemoryBar(
        at=at, measured=measured_components(record) if ok else {},
        predicted=predicted_components(prediction.memory) if prediction else {},
        failed=None if ok else record.outcome.label,
    )  # fmt: skip


def plot_memory(bars: Sequence[MemoryBar], *, axis: str, cards: bool) -> "Figure":
    """Stacked components, measured (left, filled) beside predicted (right, hatched), failed points crossed."""
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


def _stack(axes: "Axes", x: float, components: Mapping[str, int], width: float, *, measured: bool) -> None:
    bottom = 0.0
    for component in COMPONENTS:
        height = components.get(component, 0) / MIB
        if not height:
            continue
        colour = COMPONENT_COLOURS[component]
        if measured:
            axes.bar(x, height, width, bottom=bottom, color=colour)
        else:
            axes.bar(x, height, width, bottom=bottom, fill=False, edgecolor=colour, hatch="////", linewidth=0.8)
        bottom += height


def _cross(axes: "Axes", x: float, n_bytes: int, outcome: str) -> None:
    axes.plot([x], [n_bytes / MIB], marker="X", color=VERMILLION, markersize=8, linestyle="none", clip_on=False)
    axes.annotate(
        plain(outcome), (x, n_bytes / MIB), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=7.5,
        color=VERMILLION,
    )  # fmt: skip


def _name_components(axes: "Axes", bars: Sequence[MemoryBar]) -> None:
    used = {component for bar in bars for part in (bar.measured, bar.predicted) for component in part}
    for component in COMPONENTS:
        if component in used:
            axes.bar([0], [0], color=COMPONENT_COLOURS[component], label=COMPONENT_NAMES[component])
    legend_above(axes)


def plain(text: str) -> str:
    """Text that came from a record, so that matplotlib takes no dollar sign in it for mathematics."""
    return text.replace("$", r"\$")


@dataclass(frozen=True, slots=True, kw_only=True)
class MapCell:
    """One square of the map: bytes measured, else predicted (`measured` False), and the outcome if it failed."""

    n_ctx: int
    n_expert_used: int
    n_bytes: int | None
    measured: bool
    outcome: str


def map_cells(records: Sequence[Record], predictions: Mapping[str, Prediction]) -> tuple[MapCell, ...]:
    """A square for each context and number of experts: the last record there speaks, unlimited ones before limited."""
    latest: dict[tuple[int, int], Record] = {}
    for record in sorted(records, key=lambda r: memory_limit_bytes(r) is None):
        experts = n_expert_used(record)
        if experts is not None:
            latest[n_ctx(record), experts] = record
    cells = []
    for (context, experts), record in sorted(latest.items()):
        parts = measured_components(record) if succeeded(record) else {}
        prediction = predictions.get(record.record_id)
        guess = sum(predicted_components(prediction.memory).values()) if prediction else None
        cells.append(
            MapCell(
                n_ctx=context,
                n_expert_used=experts,
                measured=bool(parts),
                outcome=record.outcome.label,
                n_bytes=sum(parts.values()) if parts else guess,
            )
        )
    return tuple(cells)


def plot_map(cells: Sequence[MapCell], *, cards: bool, budget_bytes: int | None = None) -> "Figure":
    """The map n_ctx x n_expert_used, coloured by memory, failed squares crossed and named.

    `budget_bytes` is what the card has: the line along which the memory of neighbouring squares crosses it is drawn.
    """
    contexts = sorted({cell.n_ctx for cell in cells})
    experts = sorted({cell.n_expert_used for cell in cells})
    figure, (axes,) = new_figure(height=0.9 + 0.5 * max(len(experts), 3))
    axes.grid(visible=False)
    known = [cell.n_bytes / MIB for cell in cells if cell.n_bytes]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    for cell in cells:
        _square(axes, contexts.index(cell.n_ctx), experts.index(cell.n_expert_used), cell, low, high)
    if budget_bytes is not None:
        _frontier(axes, cells, contexts, experts, budget_bytes)
    axes.set_xticks(range(len(contexts)), [thousands(context) for context in contexts])
    axes.set_yticks(range(len(experts)), [str(expert) for expert in experts])
    axes.set_xlim(-0.5, len(contexts) - 0.5)
    axes.set_ylim(-0.5, len(experts) - 0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel("n_ctx")
    axes.set_ylabel("n_expert_used")
    axes.set_title(f"{'VRAM' if cards else 'memory'} in MiB (in brackets: predicted; crossed: failed)", fontsize=8.5)
    return figure


def _square(axes: "Axes", x: int, y: int, cell: MapCell, low: float, high: float) -> None:
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    if cell.n_bytes is None:
        axes.text(x, y, plain(cell.outcome), ha="center", va="center", fontsize=7.5, color=INK)
        return
    share = (cell.n_bytes / MIB - low) / (high - low) if high > low else 0.5
    face = mpl.colormaps["cividis"](share)
    failed = cell.outcome != "ok"
    axes.add_patch(
        Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=face, linewidth=0, alpha=0.45 if failed else 1.0)
    )
    figure_text = thousands(cell.n_bytes / MIB)
    text = figure_text if cell.measured else f"({figure_text})"
    colour = "#000000" if share > 0.5 or failed else "#ffffff"
    if failed:
        axes.plot([x - 0.48, x + 0.48], [y - 0.47, y + 0.47], color=VERMILLION, linewidth=1)
        text = f"{text}\n{plain(cell.outcome)}"
    axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color=colour)


def _frontier(
    axes: "Axes", cells: Sequence[MapCell], contexts: list[int], experts: list[int], budget_bytes: int
) -> None:
    """A step line between the last square that fits and the first that does not, row by row."""
    amounts = {(cell.n_ctx, cell.n_expert_used): cell.n_bytes for cell in cells}
    for y, expert in enumerate(experts):
        too_large = [x for x, context in enumerate(contexts) if (amounts.get((context, expert)) or 0) > budget_bytes]
        if too_large:
            axes.plot([min(too_large) - 0.5] * 2, [y - 0.5, y + 0.5], color=VERMILLION, linewidth=2.5)
