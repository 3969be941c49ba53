"""One run's memory as each witness tells it: estimate, lines, dry run, peak.

Stands apart from the bars by context because the witnesses are held against each other here, run by
run, and what none of them explains gets a bar of its own. A dry run allots memory and computes
nothing: the same configuration on a phantom card, or llama.cpp's own breakdown from when it fits
its parameters to a card. A witness that was not asked has no bar.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.records.grouping import by_setting, setting
from oomph.records.schema import Record
from oomph.units import MIB
from oomph.views.plots_memory import COMPONENT_NAMES, plain
from oomph.views.readings import (
    COMPONENTS,
    baseline_bytes,
    has_cards,
    measured_components,
    memory_limit_bytes,
    n_ctx,
    n_expert_used,
    peak_bytes,
    predicted_components,
    run_words,
    succeeded,
)
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
BEFORE, LINES, REST = "before the load", "llama.cpp's lines", "unexplained"
_PEAK_COLOURS: Final[Mapping[str, str]] = {BEFORE: PURPLE, LINES: INK, REST: VERMILLION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one witness says a run took: bytes by component, or by BEFORE, LINES and REST for a
    peak."""

    witness: str
    parts: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """The sum of the parts."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAccounts:
    """One run and its witnesses. `unexplained_bytes` is the peak less what was there before the
    load and the lines: negative where a process never touched all that it asked for; None without a
    peak."""

    label: str
    accounts: tuple[Account, ...]
    unexplained_bytes: int | None


def run_accounts(
    records: Sequence[Record],
    predictions: Mapping[str, Prediction],
    dry_runs: Mapping[str, Record] | None = None,
) -> tuple[RunAccounts, ...]:
    """The runs that went well and had the whole machine, with two witnesses or more; each
    configuration once.

    `dry_runs` are records of the same configurations on phantom cards, by the record id of the real
    run.
    """
    chosen: dict[object, Record] = {}
    for record in records:
        if succeeded(record) and memory_limit_bytes(record) is None:
            chosen.setdefault((n_ctx(record), n_expert_used(record), setting(record)), record)
    settings = list(by_setting(records))
    runs = (
        _run(
            r,
            run_words(r, settings),
            predictions.get(r.record_id),
            (dry_runs or {}).get(r.record_id),
        )
        for r in chosen.values()
    )
    return tuple(run for run in runs if len(run.accounts) > 1)


def _run(
    record: Record, label: str, prediction: Prediction | None, dry: Record | None
) -> RunAccounts:
    lines, peak = measured_components(record), peak_bytes(record)
    before = baseline_bytes(record) or 0
    accounts = (
        [Account(witness="predicted", parts=predicted_components(prediction.memory))]
        if prediction
        else []
    )
    if lines:
        accounts.append(Account(witness=LINES, parts=lines))
    if (allotted := _dry_bytes(record, dry)) is not None:
        accounts.append(
            Account(witness="dry run", parts=_peak_parts(allotted, 0, sum(lines.values())))
        )
    if peak is not None:
        accounts.append(
            Account(
                witness=_peak_name(record), parts=_peak_parts(peak, before, sum(lines.values()))
            )
        )
    rest = peak - before - sum(lines.values()) if peak is not None and lines else None
    return RunAccounts(label=label, accounts=tuple(accounts), unexplained_bytes=rest)


def _dry_bytes(record: Record, dry: Record | None) -> int | None:
    """What a phantom's run of the configuration took, else what llama.cpp itself allotted to the
    cards beforehand."""
    allotted = record.conditions.get("dry_run_mib")
    return (
        peak_bytes(dry) if dry is not None else sum(allotted.values()) * MIB if allotted else None
    )


def _peak_name(record: Record) -> str:
    if record.environment.backend == "phantom":
        return "dry run"
    return "NVML peak" if has_cards(record) else "RSS peak"


def _peak_parts(peak: int, before: int, lines: int) -> dict[str, int]:
    """A peak as a bar: never longer than it is, whatever the lines say."""
    explained = max(min(lines, peak - before), 0)
    parts = {BEFORE: min(before, peak), LINES: explained, REST: peak - before - explained}
    return {name: n_bytes for name, n_bytes in parts.items() if n_bytes > 0}


def shown_runs(runs: Sequence[RunAccounts]) -> tuple[RunAccounts, ...]:
    """At most MOST_RUNS of them, from the smallest to the largest in even steps."""
    ordered = sorted(runs, key=lambda run: run.accounts[-1].total_bytes)
    if len(ordered) <= MOST_RUNS:
        return tuple(ordered)
    return tuple(
        ordered[round(step * (len(ordered) - 1) / (MOST_RUNS - 1))] for step in range(MOST_RUNS)
    )


def plot_accounts(runs: Sequence[RunAccounts], *, cards: bool) -> "Figure":
    """A group of bars for each run, one bar a witness; predicted hatched, the unexplained rest in
    vermillion."""
    n_rows = sum(len(run.accounts) + 1 for run in runs)
    figure, (axes,) = new_figure(height=1.3 + 0.17 * n_rows)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x")
    row, places, names = 0, [], []
    for run in runs:
        _name_run(axes, row, run.label)
        for account in run.accounts:
            row += 1
            _bar(axes, row, account)
            places.append(row)
            names.append(account.witness)
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
        plain(label),
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


def _bar(axes: "Axes", row: int, account: Account) -> None:
    left = 0.0
    for part in (*COMPONENTS, *_PEAK_COLOURS):
        width = account.parts.get(part, 0) / MIB
        if not width:
            continue
        colour = _colour(part)
        if account.witness == "predicted":
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


def _name_parts(axes: "Axes", runs: Sequence[RunAccounts]) -> None:
    used = {
        part
        for run in runs
        for account in run.accounts
        for part, n_bytes in account.parts.items()
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


def accounts_table(runs: Sequence[RunAccounts]) -> Table:
    """Every run with what each witness says in total, and the unexplained rest, in MiB."""
    witnesses = list(dict.fromkeys(account.witness for run in runs for account in run.accounts))
    rows = []
    for run in runs:
        totals = {account.witness: account.total_bytes for account in run.accounts}
        cells = (number(totals.get(witness), digits=1, unit=MIB) for witness in witnesses)
        rows.append((Cell(run.label), *cells, number(run.unexplained_bytes, digits=1, unit=MIB)))
    columns = ("run", *(f"{witness} MiB" for witness in witnesses), "unexplained MiB")
    return Table(caption="Each run as each witness tells it", columns=columns, rows=tuple(rows))
