"""One run's memory as each source tells it: estimate, lines, dry run, peak.

Stands apart from the bars by context because the sources are held against each other here, run by
run, and what none of them explains gets a bar of its own. A dry run allots memory and computes
nothing: the same configuration on a phantom card, or llama.cpp's own breakdown from when it fits
its parameters to a card. A source that was not asked has no bar.
"""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.frozen import frozen
from oomph.records.grouping import SettingNames
from oomph.records.summary import RecordSummary, by_setting
from oomph.units import MIB
from oomph.views.plots_memory import COMPONENT_NAMES, plain
from oomph.views.readings import COMPONENTS, predicted_components, run_words
from oomph.views.style import (
    COMPONENT_COLOURS,
    INK,
    PURPLE,
    VERMILLION,
    legend_above,
    new_figure,
    thousands,
)
from oomph.views.table import Cell, Table, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_RUNS: Final = 8
LONGEST_NAME: Final = 48
"""Characters over a run's bars; the figure's data have all of them."""
BEFORE, LINES, REST = "before the load", "llama.cpp's lines", "unexplained"
_PEAK_COLOURS: Final[Mapping[str, str]] = {BEFORE: PURPLE, LINES: INK, REST: VERMILLION}


@frozen
class MemorySource:
    """What one source says a run took: bytes by component, or by BEFORE, LINES and REST for a
    peak."""

    name: str
    parts: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """The sum of the parts."""
        return sum(self.parts.values())


@frozen
class RunSources:
    """One run and its sources. `unexplained_bytes` is the peak less what was there before the
    load and the lines: negative where a process never touched all that it asked for; None without a
    peak."""

    label: str
    sources: tuple[MemorySource, ...]
    unexplained_bytes: int | None


def run_sources(
    summaries: Sequence[RecordSummary],
    predictions: Mapping[str, Prediction],
    dry_runs: Mapping[str, RecordSummary] | None = None,
) -> tuple[RunSources, ...]:
    """The runs that went well and had the whole machine, with two sources or more; each
    configuration once.

    `dry_runs` are records of the same configurations on phantom cards, by the record id of the real
    run.
    """
    chosen: dict[object, RecordSummary] = {}
    for summary in summaries:
        if summary.succeeded and summary.memory_limit_bytes is None:
            chosen.setdefault((summary.n_ctx, summary.n_expert_used, summary.setting), summary)
    names = SettingNames(by_setting(summaries))
    runs = (
        _run(
            r,
            run_words(r, names),
            predictions.get(r.record.record_id),
            (dry_runs or {}).get(r.record.record_id),
        )
        for r in chosen.values()
    )
    return tuple(run for run in runs if len(run.sources) > 1)


def _run(
    summary: RecordSummary, label: str, prediction: Prediction | None, dry: RecordSummary | None
) -> RunSources:
    lines, peak = summary.components, summary.peak_bytes
    before = summary.baseline_bytes or 0
    sources = (
        [MemorySource(name="predicted", parts=predicted_components(prediction.memory))]
        if prediction
        else []
    )
    if lines:
        sources.append(MemorySource(name=LINES, parts=lines))
    if (allotted := _dry_bytes(summary, dry)) is not None:
        sources.append(
            MemorySource(name="dry run", parts=_peak_parts(allotted, 0, sum(lines.values())))
        )
    if peak is not None:
        sources.append(
            MemorySource(
                name=_peak_name(summary), parts=_peak_parts(peak, before, sum(lines.values()))
            )
        )
    rest = peak - before - sum(lines.values()) if peak is not None and lines else None
    return RunSources(label=label, sources=tuple(sources), unexplained_bytes=rest)


def _dry_bytes(summary: RecordSummary, dry: RecordSummary | None) -> int | None:
    """What a phantom's run of the configuration took, else what llama.cpp itself allotted to the
    cards beforehand."""
    allotted = summary.record.conditions.dry_run_mib
    return (
        dry.peak_bytes
        if dry is not None
        else round(sum(allotted.values()) * MIB)
        if allotted
        else None
    )


def _peak_name(summary: RecordSummary) -> str:
    if summary.record.environment.backend == "phantom":
        return "dry run"
    return "NVML peak" if summary.has_cards else "RSS peak"


def _peak_parts(peak: int, before: int, lines: int) -> dict[str, int]:
    """A peak as a bar: never longer than it is, whatever the lines say."""
    explained = max(min(lines, peak - before), 0)
    parts = {BEFORE: min(before, peak), LINES: explained, REST: peak - before - explained}
    return {name: n_bytes for name, n_bytes in parts.items() if n_bytes > 0}


def shown_runs(runs: Sequence[RunSources]) -> tuple[RunSources, ...]:
    """At most MOST_RUNS of them, from the smallest to the largest in even steps."""
    ordered = sorted(runs, key=lambda run: run.sources[-1].total_bytes)
    if len(ordered) <= MOST_RUNS:
        return tuple(ordered)
    return tuple(
        ordered[round(step * (len(ordered) - 1) / (MOST_RUNS - 1))] for step in range(MOST_RUNS)
    )


def plot_memory_sources(runs: Sequence[RunSources], *, cards: bool) -> "Figure":
    """A group of bars for each run, one bar a source; predicted hatched, the unexplained rest in
    vermillion."""
    n_rows = sum(len(run.sources) + 1 for run in runs)
    figure, (axes,) = new_figure(height=1.3 + 0.17 * n_rows)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x")
    row, places, names = 0, [], []
    for run in runs:
        _name_run(axes, row, run.label)
        for source in run.sources:
            row += 1
            _bar(axes, row, source)
            places.append(row)
            names.append(source.name)
        row += 1
    _name_parts(axes, runs)
    axes.set_yticks(places, names, fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(n_rows - 0.4, -0.7)
    axes.xaxis.set_major_formatter(thousands)
    axes.set_xlabel(f"{'VRAM' if cards else 'memory'}, MiB")
    return figure


def _name_run(axes: "Axes", row: int, label: str) -> None:
    """Over its bars, and no part of the layout, so that a long name costs the bars no room."""
    name = axes.annotate(
        plain(shorten(label, LONGEST_NAME, placeholder=" …")),
        (0, row),
        xycoords=("axes fraction", "data"),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        weight="bold",
        color=INK,
    )
    name.set_in_layout(False)


def _bar(axes: "Axes", row: int, source: MemorySource) -> None:
    left = 0.0
    for part in (*COMPONENTS, *_PEAK_COLOURS):
        width = source.parts.get(part, 0) / MIB
        if not width:
            continue
        colour = _colour(part)
        if source.name == "predicted":
            axes.barh(
                row,
                width,
                0.8,
                left=left,
                fill=False,
                edgecolor=colour,
                hatch="////",
                linewidth=0.8,
            )
        else:
            axes.barh(row, width, 0.8, left=left, color=colour, alpha=0.45 if part == LINES else 1)
        left += width


def _colour(part: str) -> str:
    return COMPONENT_COLOURS[part] if part in COMPONENT_COLOURS else _PEAK_COLOURS[part]


def _name_parts(axes: "Axes", runs: Sequence[RunSources]) -> None:
    used = {
        part
        for run in runs
        for source in run.sources
        for part, n_bytes in source.parts.items()
        if n_bytes
    }
    for part in (*COMPONENTS, *_PEAK_COLOURS):
        if part in used:
            axes.barh(
                [0],
                [0],
                color=_colour(part),
                alpha=0.45 if part == LINES else 1,
                label=COMPONENT_NAMES.get(part, part),
            )
    legend_above(axes, columns=3)


def sources_table(runs: Sequence[RunSources]) -> Table:
    """Every run with what each source says in total, and the unexplained rest, in MiB."""
    sources = list(dict.fromkeys(source.name for run in runs for source in run.sources))
    rows = []
    for run in runs:
        totals = {source.name: source.total_bytes for source in run.sources}
        cells = (number(totals.get(source), digits=1, unit=MIB) for source in sources)
        rows.append((Cell(run.label), *cells, number(run.unexplained_bytes, digits=1, unit=MIB)))
    columns = ("run", *(f"{source} MiB" for source in sources), "unexplained MiB")
    return Table(caption="Each run as each source tells it", columns=columns, rows=tuple(rows))
