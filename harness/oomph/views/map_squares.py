"""The squares of a map of memory, n_ctx by n_expert_used: measured, or else predicted."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.frozen import frozen
from oomph.measure.accidents import ran_out
from oomph.records.grouping import evenly
from oomph.records.summary import RecordSummary
from oomph.units import count, mib
from oomph.views.readings import experts_word, predicted_components

if TYPE_CHECKING:
    from oomph.advise.memory_map import MemoryGrid

MOST_CONTEXTS: Final = 32
"""Points of a row: more hide each other."""


@frozen
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


@frozen
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
