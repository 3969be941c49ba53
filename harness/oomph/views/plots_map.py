"""The map of memory: n_ctx by n_expert_used, with the line along which the card is full.

Stands apart from the bars because it also shows what nobody has measured: a square without a record
holds the prediction, in brackets. The predicted frontier is a line, the measured one a point
between the last context that ran and the first that ran out of memory. One map shows one setting;
of several, each has its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.measure.accidents import ran_out
from oomph.records.grouping import evenly
from oomph.records.summary import RecordSummary
from oomph.units import GIB, MIB, count, mib
from oomph.views.plots_memory import plain
from oomph.views.readings import experts_word, predicted_components
from oomph.views.style import INK, VERMILLION, legend_above, new_figure, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from oomph.advise.memory_map import MemoryGrid

IN_GIB: Final = 10 * GIB
"""From here on squares are told in GiB: five digits of MiB do not fit in one."""
MOST_CONTEXTS: Final = 32
"""Columns of a map: more have no room for their figures."""
LIMIT_WORDS: Final = "≤ "


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSquare:
    """One square: bytes measured, else predicted (`measured` False), and how it ended; None where
    it was not tried.

    `is_full`: it ran out of memory.
    """

    n_ctx: int
    n_expert_used: int | None
    n_bytes: int | None
    measured: bool
    outcome: str | None = None
    is_full: bool = False

    @property
    def failed(self) -> bool:
        """Whether it was tried, or skipped as hopeless, and did not run."""
        return self.outcome is not None and self.outcome != "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMap:
    """The squares of one setting; `predicted` has the largest context that fits, by experts, where
    a card is known."""

    squares: tuple[MapSquare, ...]
    predicted: Mapping[int | None, int]

    @property
    def contexts(self) -> list[int]:
        """The columns."""
        return sorted({square.n_ctx for square in self.squares})

    @property
    def experts(self) -> list[int | None]:
        """The rows, from the bottom; None is a dense model."""
        return sorted({square.n_expert_used for square in self.squares}, key=lambda e: e or 0)

    def measured(self, experts: int | None) -> tuple[int | None, int | None]:
        """The largest context that ran with so many experts, and the smallest beyond it that ran
        out of memory."""
        row = [square for square in self.squares if square.n_expert_used == experts]
        ran = max((square.n_ctx for square in row if square.outcome == "ok"), default=None)
        full = min(
            (square.n_ctx for square in row if square.is_full and square.n_ctx > (ran or 0)),
            default=None,
        )
        return ran, full


def memory_map(
    summaries: Sequence[RecordSummary],
    predictions: Mapping[str, Prediction],
    grid: "MemoryGrid | None" = None,
) -> MemoryMap:
    """The map of records of one setting: the last record of a square speaks, unlimited ones before
    limited.

    On cards a measured square is the peak that a probe saw, without one what llama.cpp's buffers
    take together.
    """
    latest: dict[tuple[int, int | None], RecordSummary] = {}
    for summary in sorted(summaries, key=lambda r: r.memory_limit_bytes is None):
        latest[summary.n_ctx, summary.n_expert_used] = summary
    squares = {
        at: _square(at, summary, predictions.get(summary.record.record_id))
        for at, summary in latest.items()
    }
    if grid is not None:
        squares = {
            at: MapSquare(n_ctx=at[0], n_expert_used=at[1], n_bytes=n_bytes, measured=False)
            for at, n_bytes in grid.n_bytes.items()
        } | squares
    ordered = sorted(squares.values(), key=lambda square: (square.n_ctx, square.n_expert_used or 0))
    return MemoryMap(squares=tuple(ordered), predicted=grid.frontier if grid else {})


def thinned(chart: MemoryMap) -> MemoryMap:
    """The map with at most MOST_CONTEXTS columns, in even steps, and those between which a row
    runs out of memory."""
    if len(chart.contexts) <= MOST_CONTEXTS:
        return chart
    ends = {n_ctx for experts in chart.experts for n_ctx in chart.measured(experts)}
    kept = ends | set(evenly(chart.contexts, MOST_CONTEXTS))
    squares = tuple(square for square in chart.squares if square.n_ctx in kept)
    return MemoryMap(squares=squares, predicted=chart.predicted)


def _square(
    at: tuple[int, int | None], summary: RecordSummary, prediction: Prediction | None
) -> MapSquare:
    n_bytes = _measured_bytes(summary) if summary.succeeded else None
    measured = n_bytes is not None
    if n_bytes is None and prediction is not None:
        n_bytes = sum(predicted_components(prediction.memory).values())
    return MapSquare(
        n_ctx=at[0],
        n_expert_used=at[1],
        n_bytes=n_bytes,
        measured=measured,
        outcome=summary.record.outcome.label,
        is_full=ran_out(summary.record),
    )


def _measured_bytes(summary: RecordSummary) -> int | None:
    """A card's peak; on a host the buffers, since resident memory holds the interpreter and lacks
    untouched pages."""
    parts = summary.components
    together = sum(parts.values()) if parts else None
    return (summary.peak_bytes or together) if summary.has_cards else together


def plot_map(chart: MemoryMap, *, cards: bool) -> "Figure":
    """The squares coloured by memory, failed ones struck through and named, with both frontiers."""
    contexts, experts = chart.contexts, chart.experts
    figure, (axes,) = new_figure(height=1.1 + 0.5 * max(len(experts), 2))
    axes.grid(visible=False)
    known = [square.n_bytes for square in chart.squares if square.n_bytes]
    low, high = (min(known), max(known)) if known else (0, 0)
    unit = GIB if high >= IN_GIB else MIB
    for square in chart.squares:
        at = contexts.index(square.n_ctx), experts.index(square.n_expert_used)
        share = ((square.n_bytes or 0) - low) / (high - low) if high > low else 0.5
        _draw_square(axes, at, square, share, unit)
    for y, expert in enumerate(experts):
        _predicted_frontier(axes, y, contexts, chart.predicted.get(expert))
        _measured_frontier(axes, y, contexts, *chart.measured(expert))
    axes.set_xticks(range(len(contexts)), [thousands(context) for context in contexts], fontsize=7)
    axes.set_yticks(range(len(experts)), [experts_word(expert) for expert in experts])
    axes.set_xlim(-0.5, len(contexts) - 0.5)
    axes.set_ylim(-0.5, len(experts) - 0.5)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(
        f"n_ctx   ({'VRAM' if cards else 'memory'} in {'GiB' if unit == GIB else 'MiB'})"
    )
    axes.set_ylabel("n_expert_used")
    _name_marks(axes, chart)
    return figure


def _draw_square(
    axes: "Axes", at: tuple[int, int], square: MapSquare, share: float, unit: int
) -> None:
    import matplotlib as mpl
    from matplotlib.patches import Rectangle

    x, y = at
    word = plain((square.outcome or "").removeprefix("oom_")) if square.failed else ""
    if square.n_bytes is None:
        axes.text(x, y, word, ha="center", va="center", fontsize=6.5, color=INK)
        return
    face = mpl.colormaps["cividis"](share)
    axes.add_patch(
        Rectangle(
            (x - 0.48, y - 0.47),
            0.96,
            0.94,
            facecolor=face,
            linewidth=0,
            alpha=0.45 if square.failed else 1.0,
        )
    )
    said = f"{square.n_bytes / GIB:.1f}" if unit == GIB else thousands(square.n_bytes / MIB)
    text = said if square.measured else f"({said})"
    if square.failed:
        axes.plot([x - 0.48, x + 0.48], [y - 0.47, y + 0.47], color=VERMILLION, linewidth=1)
        text = f"{text}\n{word}"
    colour = "#000000" if share > 0.5 or square.failed else "#ffffff"
    axes.text(x, y, text, ha="center", va="center", fontsize=7, color=colour)


def _predicted_frontier(axes: "Axes", y: int, contexts: Sequence[int], largest: int | None) -> None:
    """A line behind the last column that is predicted to fit, and the context itself at the row's
    end."""
    if largest is None:
        return
    x = sum(context <= largest for context in contexts) - 0.5
    axes.plot([x, x], [y - 0.5, y + 0.5], color=VERMILLION, linewidth=2.5, clip_on=False)
    axes.annotate(
        f"{LIMIT_WORDS}{thousands(largest)}",
        (1, y),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=7,
        color=VERMILLION,
        annotation_clip=False,
    )


def _measured_frontier(
    axes: "Axes", y: int, contexts: Sequence[int], ran: int | None, full: int | None
) -> None:
    """A point between the last context that ran and the first that did not; none where nothing ran
    out of memory."""
    if full is None:
        return
    right = contexts.index(full)
    left = contexts.index(ran) if ran is not None else right - 1
    axes.plot(
        [(left + right) / 2],
        [y],
        marker="D",
        markersize=6,
        color=VERMILLION,
        markeredgecolor="#ffffff",
        markeredgewidth=0.8,
        linestyle="none",
        clip_on=False,
        zorder=5,
    )


def _name_marks(axes: "Axes", chart: MemoryMap) -> None:
    if chart.predicted:
        axes.plot([], [], color=VERMILLION, linewidth=2.5, label="predicted frontier")
    if any(chart.measured(expert)[1] is not None for expert in chart.experts):
        axes.plot([], [], marker="D", color=VERMILLION, linestyle="none", label="measured frontier")
    if any(not square.measured for square in chart.squares):
        axes.plot([], [], linestyle="none", label="(in brackets: predicted)")
    legend_above(axes, columns=3)


def map_in_words(chart: MemoryMap) -> str:
    """Row by row: what was measured, and where the frontiers lie."""
    return "; ".join(_row_in_words(chart, expert) for expert in chart.experts)


def _row_in_words(chart: MemoryMap, expert: int | None) -> str:
    row = [square for square in chart.squares if square.n_expert_used == expert and square.outcome]
    said = ", ".join(
        f"{count(square.n_ctx)} {mib(square.n_bytes)} {square.outcome}" for square in row
    )
    fits = (
        f", predicted to fit to {count(chart.predicted[expert])}"
        if expert in chart.predicted
        else ""
    )
    return f"n_expert_used {experts_word(expert)}: {said}{fits}"
