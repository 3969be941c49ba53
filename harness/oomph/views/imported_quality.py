"""What other tools printed of quality, as tables: means without items, and KL divergences."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from oomph.records.lm_eval import ORIGIN
from oomph.records.summary import RecordSummary
from oomph.units import NOT_MEASURED, share
from oomph.views.table import Cell, Table, number


def means_table(summaries: Sequence[RecordSummary]) -> Table:
    """The means of lm-evaluation-harness, of records without its samples."""
    rows = tuple(
        (
            Cell(summary.record.model.name),
            Cell(str(task)),
            Cell(metric),
            Cell(f"{value:.4g}" + ("" if error is None else f" ± {error:.2g}"), value),
            number(count if isinstance(count := metrics.get("n"), int) else None),
        )
        for summary in summaries
        for task, metrics in _said(summary, ORIGIN, "means").items()
        if isinstance(metrics, dict)
        for metric, value, error in _metrics(metrics)
    )
    columns = ("model", "task", "metric", "mean", "samples")
    caption = (
        f"Means that {ORIGIN} printed, ± one standard error: without samples they pair nothing"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _metrics(metrics: Mapping[str, Any]) -> list[tuple[str, float, float | None]]:
    """Name, value and standard error of each metric; `acc_stderr,none` is `acc,none`'s."""
    found = []
    for name, value in metrics.items():
        base, comma, kind = name.partition(",")
        if not base.endswith("_stderr") and name != "n" and isinstance(value, int | float):
            error = metrics.get(f"{base}_stderr{comma}{kind}")
            found.append((name, float(value), float(error) if _is_number(error) else None))
    return found


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def printed_table(summaries: Sequence[RecordSummary]) -> Table:
    """What llama-perplexity printed of whole texts."""
    rows = tuple(
        (
            Cell(summary.record.model.name),
            number(said.get("n_ctx")),
            number(said.get("n_chunks")),
            _with_error(said, "perplexity", 4),
            _with_error(said, "perplexity_ratio", 4),
            _with_error(said, "divergence_nats", 5),
            Cell(share(top / 100), top)
            if _is_number(top := said.get("same_top_percent"))
            else Cell(NOT_MEASURED),
        )
        for summary in summaries
        if (said := summary.record.workload.get("llama-perplexity"))
    )
    columns = (
        "model",
        "tokens a chunk",
        "chunks",
        "perplexity",
        "ratio to its reference",
        "KL divergence, nats",
        "same top token",
    )
    caption = "What llama-perplexity printed, ± one standard error; its reference is no record here"
    return Table(caption=caption, columns=columns, rows=rows)


def _with_error(said: Mapping[str, Any], name: str, digits: int) -> Cell:
    value, error = said.get(name), said.get(f"{name}_error")
    if not _is_number(value):
        return Cell(NOT_MEASURED)
    more = f" ± {error:.{digits}f}" if _is_number(error) else ""
    return Cell(f"{value:,.{digits}f}{more}", value)


def _said(summary: RecordSummary, tool: str, key: str) -> Mapping[str, Any]:
    told = summary.record.workload.get(tool)
    found = told.get(key) if isinstance(told, dict) else None
    return found if isinstance(found, dict) else {}
