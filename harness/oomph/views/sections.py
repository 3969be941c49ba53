"""What a page is made of: its sections, in reading order.

Stands between the views, which know one thing each, and `report`, which knows only how to write. A section for
which there are no data is left out. Captions say what is drawn, alternative texts what can be read off it.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oomph.estimate.prediction import Prediction
from oomph.records.schema import Record
from oomph.units import MIB, mib, rate, share
from oomph.views.by_experts import quality_by_experts, rates_by_experts
from oomph.views.headline import evidence, headline
from oomph.views.plots_fit import QUANTITY_NAMES, agreements, is_memory, plot_predicted_vs_measured
from oomph.views.plots_memory import MemoryBar, map_cells, memory_bars, plot_map, plot_memory
from oomph.views.plots_speed import (
    KIND_NAMES,
    plot_quality,
    plot_speed_by_depth,
    plot_trade,
    trade_points,
)
from oomph.views.readings import card_bytes, has_cards, memory_limit_bytes, n_ctx, n_expert_used, succeeded
from oomph.views.table import Table, trim
from oomph.views.tables import (
    experts_table,
    fit_table,
    machine_table,
    memory_word,
    outcomes_table,
    points_table,
    time_taken,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oomph.fitting.compare import Comparison
    from oomph.fitting.result import FitResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure with its caption; `name` names its file, `alt` says what can be read off it, `table` holds its data."""

    name: str
    figure: "Figure"
    caption: str
    alt: str
    table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    title: str
    text: str = ""
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One model on one machine: the answer, its evidence, the sections."""

    title: str
    headline: str
    evidence: tuple[str, ...]
    sections: tuple[Section, ...]


def build_chapter(
    records: Sequence[Record],
    *,
    predictions: Mapping[str, Prediction],
    comparisons: Sequence["Comparison"],
    fit: "FitResult | None" = None,
) -> Chapter:
    """A chapter of records of one model on one machine, which must not be empty; `fit` is the calibration on them."""
    sections = (
        Section(title="At a glance", tables=(trim(experts_table(records)),)),
        Section(title="Memory", pictures=tuple(_memory_pictures(records, predictions))),
        Section(title="Speed", pictures=tuple(_speed_pictures(records))),
        Section(title="Quality", pictures=tuple(_quality_pictures(records))),
        _estimate_section(comparisons, fit),
        _outcome_section(records),
        Section(title="Every point", tables=(trim(points_table(records, predictions)),)),
        Section(title="Machine and model", tables=(machine_table(records[-1]),)),
        _repeat_section(records),
    )
    return Chapter(
        title=f"{records[0].model.name} on {records[0].environment.machine}", headline=headline(records),
        evidence=evidence(records, comparisons),
        sections=tuple(s for s in sections if s.pictures or s.commands or any(t.rows for t in s.tables)),
    )  # fmt: skip


def _memory_pictures(records: Sequence[Record], predictions: Mapping[str, Prediction]) -> Iterator[Picture]:
    cards, capital = has_cards(records[0]), memory_word(records).replace("memory", "Memory")
    free = [record for record in records if memory_limit_bytes(record) is None]
    most = max((e for record in free if (e := n_expert_used(record))), default=None)
    by_context = memory_bars([r for r in free if n_expert_used(r) == most], predictions, by=n_ctx)
    if by_context:
        with_experts = f" with {most} active experts" if most else ""
        yield Picture(
            name="memory-by-context", figure=plot_memory(by_context, axis="n_ctx", cards=cards),
            caption=f"{capital} by context{with_experts}, stacked by llama.cpp's buffers.",
            alt=f"{capital} by n_ctx{with_experts}: {_bars_in_words(by_context)}",
        )  # fmt: skip
    deepest = max((n_ctx(record) for record in free if succeeded(record)), default=None)
    by_experts = memory_bars([r for r in free if n_ctx(r) == deepest], predictions, by=n_expert_used)
    if len(by_experts) > 1:
        yield Picture(
            name="memory-by-experts", figure=plot_memory(by_experts, axis="n_expert_used", cards=cards),
            caption=f"{capital} by active experts at n_ctx {deepest:,}. All experts are resident, whatever is active.",
            alt=f"{capital} by n_expert_used at n_ctx {deepest}: {_bars_in_words(by_experts)}",
        )  # fmt: skip
    cells = map_cells(free, predictions)
    if len(cells) > 1:
        yield Picture(
            name="memory-map", figure=plot_map(cells, cards=cards, budget_bytes=card_bytes(records[0])),
            caption=f"{capital} for each context and number of active experts.",
            alt="; ".join(f"n_ctx {c.n_ctx}, {c.n_expert_used} experts: {mib(c.n_bytes)}, {c.outcome}" for c in cells),
        )  # fmt: skip
    yield from _limited_pictures(records, predictions)


def _limited_pictures(records: Sequence[Record], predictions: Mapping[str, Prediction]) -> Iterator[Picture]:
    """One picture for each memory limit that workers were put under."""
    for limit in sorted({size for record in records if (size := memory_limit_bytes(record)) is not None}):
        limited = [record for record in records if memory_limit_bytes(record) == limit]
        bars = memory_bars(limited, predictions, by=n_ctx)
        exempt = limited[0].limits.get("memory_kind") == "data"
        words = "private memory, from which mapped weights are exempt" if exempt else "everything mapped"
        yield Picture(
            name=f"memory-limit-{limit // MIB}", figure=plot_memory(bars, axis="n_ctx", cards=has_cards(records[0])),
            caption=f"Under a limit of {mib(limit)} on {words}: a cross is a point that llama.cpp could not allocate,"
            " or one that was skipped because it asks for more.",
            alt=f"Memory by n_ctx under a limit of {mib(limit)}: {_bars_in_words(bars)}",
        )  # fmt: skip


def _bars_in_words(bars: Sequence[MemoryBar]) -> str:
    return "; ".join(
        f"{bar.at:,}: {bar.failed or mib(sum(bar.measured.values())) + ' measured'}"
        + (f", {mib(sum(bar.predicted.values()))} predicted" if bar.predicted else "")
        for bar in bars
    )


def _speed_pictures(records: Sequence[Record]) -> Iterator[Picture]:
    for kind, name in KIND_NAMES.items():
        series = rates_by_experts(records, kind)
        if not series:
            continue
        words = "; ".join(
            f"{experts or 'dense'}: " + ", ".join(f"{rate(r.tokens_per_s)} at {r.n_depth:,}" for r in points)
            for experts, points in series.items()
        )
        yield Picture(
            name=f"{name}-by-depth", figure=plot_speed_by_depth(series, kind=kind),
            caption=f"{name.capitalize()} against depth: medians, bars from the slowest to the fastest sample.",
            alt=f"{name.capitalize()} in tokens per second by n_expert_used and depth: {words}",
        )  # fmt: skip


def _quality_pictures(records: Sequence[Record]) -> Iterator[Picture]:
    quality = quality_by_experts(records)
    if len(quality) < 2:
        return
    n_tokens = max(point.n_tokens for point in quality.values())
    yield Picture(
        name="quality-by-experts", figure=plot_quality(quality),
        caption=f"Perplexity of {n_tokens:,} tokens by active experts, with one standard error to either side.",
        alt="Perplexity by n_expert_used: " + "; ".join(f"{e}: {p.value:,.1f}" for e, p in quality.items()),
    )  # fmt: skip
    points = trade_points(records)
    if len(points) > 1:
        yield Picture(
            name="speed-quality-memory", figure=plot_trade(points, cards=has_cards(records[0])),
            caption="Speed, quality and memory at once: a ring marks points that no other beats in all three.",
            alt="; ".join(
                f"{p.n_expert_used} experts at n_ctx {p.n_ctx}: {rate(p.decode_tokens_per_s)} tokens/s, perplexity"
                f" {p.perplexity:,.1f}, {mib(p.n_bytes)}" for p in points
            ),
        )  # fmt: skip


def _estimate_section(comparisons: Sequence["Comparison"], fit: "FitResult | None") -> Section:
    pictures = []
    for name, memory in (("memory", True), ("speed", False)):
        own = [c for c in comparisons if is_memory(c) == memory and c.measured and c.predicted > 0]
        if own:
            words = "; ".join(
                f"{QUANTITY_NAMES.get(a.quantity, a.quantity)}: median error {share(a.median_error)}, worst"
                f" {share(a.worst_error)}, {a.n} measurements" for a in agreements(own)
            )  # fmt: skip
            pictures.append(
                Picture(
                    name=f"predicted-{name}",
                    figure=plot_predicted_vs_measured(own),
                    alt=words,
                    caption=f"Predicted {name} against measured, residuals beneath.",
                )
            )
    title = "Predicted against measured"
    if fit is None:
        return Section(title=title, text="With the coefficients that ship with oomph.", pictures=tuple(pictures))
    text = (
        f"With coefficients fitted to {fit.n_measurements} measurements of {fit.n_records} of these very points: the"
        " residuals say how well the formulas describe this machine, not how well they foretell another."
    )
    notes, tables = (*fit.residual_patterns, *fit.advice), (trim(fit_table(fit)),)
    return Section(title=title, text=text, notes=notes, pictures=tuple(pictures), tables=tables)


def _outcome_section(records: Sequence[Record]) -> Section:
    text = "A point that fails is a result too: its outcome, the line of llama.cpp's log that shows it, the next step."
    return Section(title="Outcomes", text=text, tables=(trim(outcomes_table(records)),))


def _repeat_section(records: Sequence[Record]) -> Section:
    commands = []
    for sweep in dict.fromkeys(record.sweep for record in records):
        model = next(record.model.path for record in records if record.sweep == sweep)
        file = shlex.quote(model.replace("\\", "/").rpartition("/")[2])
        spec, out = shlex.quote(f"bench/sweeps/{sweep}.toml"), shlex.quote(f"results/{sweep}")
        commands += [f"oomph sweep {spec} --model {file} --out {out}", f"oomph report {out} --open"]
    if any(record.sweep == "demo" for record in records):
        commands = ["oomph demo", *commands]
    text = f"The {len(records)} points took {time_taken(records)} on the machine above."
    return Section(title="How to repeat it", text=text, commands=tuple(commands))
