"""A page's figures, each with its caption, its words and its data.

Stands between the plots, which draw what they are handed, and the sections, which put figures in
order: here is decided which records a figure may speak for. A figure shows one setting; where a
page has several, the one with the most points of that kind, and its caption says which.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from oomph.estimate.prediction import Prediction
from oomph.measure.accidents import ran_out
from oomph.records.grouping import by_setting, leading, setting, setting_words
from oomph.records.perplexity import perplexity
from oomph.records.schema import Record
from oomph.units import MIB, mib, rate, share
from oomph.views.by_experts import quality_by_experts, rates_by_experts
from oomph.views.data_tables import (
    bars_table,
    comparisons_table,
    losses_table,
    map_table,
    perplexity_table,
    rates_table,
    trade_table,
    within,
)
from oomph.views.memory_sources import plot_memory_sources, run_sources, shown_runs, sources_table
from oomph.views.plots_energy import energy_by_experts, energy_table, plot_energy_by_depth
from oomph.views.plots_fit import QUANTITY_NAMES, agreements, is_memory, plot_predicted_vs_measured
from oomph.views.plots_map import map_in_words, memory_map, plot_map
from oomph.views.plots_memory import MemoryBar, memory_bars, plot_memory
from oomph.views.plots_quality import (
    losses_by_experts,
    plot_losses,
    plot_quality,
    plot_trade,
    trade_points,
)
from oomph.views.plots_speed import KIND_NAMES, plot_speed_by_depth
from oomph.views.readings import (
    experts_word,
    has_cards,
    memory_limit_bytes,
    n_ctx,
    n_expert_used,
    rates,
    shown_timings,
    succeeded,
)
from oomph.views.table import Table, trim
from oomph.views.tables import memory_word

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oomph.advise.memory_map import MemoryGrid
    from oomph.calibrate.comparison import Comparison
    from oomph.calibrate.result import FitResult

MOST_MAPS: Final = 4
"""A page shows so many settings' maps; the tables have all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure with its caption; `name` names its file, `alt` says what can be read off it, `table`
    holds its data."""

    name: str
    figure: "Figure"
    caption: str
    alt: str
    table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a chapter is made of: records of one model on one machine, and what is computed around
    them.

    `dry_runs` are records of the same configurations on phantom cards, by the record id of the real
    run.
    """

    records: Sequence[Record]
    predictions: Mapping[str, Prediction] = field(default_factory=dict)
    comparisons: Sequence["Comparison"] = ()
    fit: "FitResult | None" = None
    memory_grids: Sequence["MemoryGrid"] = ()
    dry_runs: Mapping[str, Record] = field(default_factory=dict)

    @property
    def cards(self) -> bool:
        """Whether the memory that counts is a card's."""
        return has_cards(self.records[0])

    @property
    def memory_word(self) -> str:
        """`VRAM` or `Memory`, to begin a sentence with."""
        return memory_word(self.records).replace("memory", "Memory")

    @property
    def free(self) -> list[Record]:
        """The records that had the whole machine."""
        return [record for record in self.records if memory_limit_bytes(record) is None]

    @property
    def shown_comparisons(self) -> list["Comparison"]:
        """The comparisons without those of prompts that a page does not show."""
        depths = {r.record_id: {t.n_depth for t in shown_timings(r)} for r in self.records}
        return [
            each
            for each in self.comparisons
            if not each.quantity.startswith("prefill") or each.n_depth in depths[each.record_id]
        ]

    def leading(self, counts: Callable[[Record], bool]) -> list[Record]:
        """Of `free`, the setting in which `counts` holds for the most records."""
        return leading(self.free, counts)

    def words(self, records: Sequence[Record]) -> str:
        """` (KV f16, flash_attn on)`: what tells these records' setting from the others; empty for
        the only one."""
        words = setting_words(setting(records[0]), by_setting(self.free)) if records else ""
        return f" ({words})" if words else ""

    def grid(self, records: Sequence[Record]) -> "MemoryGrid | None":
        """What is predicted around these records."""
        return next(
            (
                each
                for each in self.memory_grids
                if records and records[0].record_id in each.record_ids
            ),
            None,
        )


def memory_pictures(material: Material) -> Iterator[Picture]:
    """Memory by context and by experts, the maps, and a figure for each limit that workers were put
    under."""
    shown, capital = material.leading(succeeded), material.memory_word
    words, predictions = material.words(shown), material.predictions
    if not any(bar.measured or bar.failed for bar in memory_bars(shown, predictions, by=n_ctx)):
        return
    most = max((e for record in shown if (e := n_expert_used(record))), default=None)
    by_context = memory_bars([r for r in shown if n_expert_used(r) == most], predictions, by=n_ctx)
    deepest = max((n_ctx(record) for record in shown if succeeded(record)), default=None)
    by_experts = memory_bars(
        [r for r in shown if n_ctx(r) == deepest], predictions, by=n_expert_used
    )
    if len(by_context) > 1 or (by_context and len(by_experts) < 2):
        what = f"{capital} by context{f' with {most} active experts' if most else ''}{words}"
        yield _bars(
            "memory-by-context",
            by_context,
            material,
            axis="n_ctx",
            what=what,
            more=", by llama.cpp's buffers",
        )
    if len(by_experts) > 1:
        what = f"{capital} by active experts at n_ctx {deepest:,}{words}"
        more = ". All experts are resident, whatever is active"
        yield _bars(
            "memory-by-experts", by_experts, material, axis="n_expert_used", what=what, more=more
        )
    yield from _maps(material)
    yield from _limited(material)


def _bars(
    name: str,
    bars: Sequence[MemoryBar],
    material: Material,
    *,
    axis: str,
    what: str,
    more: str = "",
) -> Picture:
    return Picture(
        name=name,
        figure=plot_memory(bars, axis=axis, cards=material.cards),
        caption=f"{what}{more}.",
        alt=f"{what}: {_bars_in_words(bars)}",
        table=bars_table(bars, axis=axis),
    )


def _bars_in_words(bars: Sequence[MemoryBar]) -> str:
    return "; ".join(
        f"{bar.at:,}: {bar.failed or mib(sum(bar.measured.values())) + ' measured'}"
        + (f", {mib(sum(bar.predicted.values()))} predicted" if bar.predicted else "")
        for bar in bars
    )


def _maps(material: Material) -> Iterator[Picture]:
    """A map for each setting that has more than one square, those with the most points first."""
    groups = sorted(by_setting(material.free).values(), key=len, reverse=True)
    drawn = 0
    for group in groups:
        if not any(succeeded(record) or ran_out(record) for record in group) or drawn == MOST_MAPS:
            continue
        chart = memory_map(group, material.predictions, material.grid(group))
        if len(chart.squares) < 2:
            continue
        drawn += 1
        caption = (
            f"{material.memory_word} for each context and number of active "
            f"experts{material.words(group)}."
        )
        if chart.predicted:
            caption += " What fits the card is left of the line."
        yield Picture(
            name="memory-map" if drawn == 1 else f"memory-map-{drawn}",
            figure=plot_map(chart, cards=material.cards),
            caption=caption,
            alt=f"{caption} {map_in_words(chart)}",
            table=trim(map_table(chart)),
        )


def _limited(material: Material) -> Iterator[Picture]:
    """One picture for each memory limit that workers were put under."""
    for limit in sorted(
        {size for record in material.records if (size := memory_limit_bytes(record)) is not None}
    ):
        limited = [record for record in material.records if memory_limit_bytes(record) == limit]
        bars = memory_bars(limited, material.predictions, by=n_ctx)
        exempt = limited[0].limits.get("memory_kind") == "data"
        words = (
            "private memory, from which mapped weights are exempt"
            if exempt
            else "everything mapped"
        )
        more = (
            ": a cross is a point that llama.cpp could not allocate, or one that was skipped "
            "because it asks for more"
        )
        what = f"Under a limit of {mib(limit)} on {words}"
        yield _bars(
            f"memory-limit-{limit // MIB}", bars, material, axis="n_ctx", what=what, more=more
        )


def source_pictures(material: Material) -> Iterator[Picture]:
    """Each run as its sources tell it."""
    runs = run_sources(material.records, material.predictions, material.dry_runs)
    if not runs:
        return
    shown = shown_runs(runs)
    some = (
        ""
        if len(shown) == len(runs)
        else f" {len(shown)} of {len(runs)} runs, from the smallest to the largest."
    )
    said = "; ".join(
        f"{run.label}: "
        + ", ".join(f"{source.name} {mib(source.total_bytes)}" for source in run.sources)
        for run in shown
    )
    yield Picture(
        name="sources",
        figure=plot_memory_sources(shown, cards=material.cards),
        table=sources_table(runs),
        caption=f"Each run as every source tells it; what none explains is a part of its "
        f"own.{some}",
        alt=f"Memory of each run by source: {said}",
    )


def speed_pictures(material: Material) -> Iterator[Picture]:
    """Prefill and decode against depth."""
    for kind, name in KIND_NAMES.items():
        shown = material.leading(lambda record, kind=kind: bool(rates(record, kind)))  # type: ignore[misc]
        series = rates_by_experts(shown, kind)
        if not series:
            continue
        words = "; ".join(
            f"{experts_word(experts)}: {rate(points[0].tokens_per_s)} at {points[0].n_depth:,}"
            + (
                f" to {rate(points[-1].tokens_per_s)} at {points[-1].n_depth:,}"
                if len(points) > 1
                else ""
            )
            for experts, points in series.items()
        )
        what = f"{name.capitalize()} against depth{material.words(shown)}"
        yield Picture(
            name=f"{name}-by-depth",
            figure=plot_speed_by_depth(series, kind=kind),
            table=rates_table(series),
            caption=f"{what}: medians, bars from the slowest to the fastest sample.",
            alt=f"{what}, tokens per second by n_expert_used and n_depth: {words}",
        )


def energy_pictures(material: Material) -> Iterator[Picture]:
    """Joules a token against depth, where a card counted them."""
    for kind, name in KIND_NAMES.items():
        shown = material.leading(lambda record, kind=kind: bool(energy_by_experts([record], kind)))  # type: ignore[misc]
        series = energy_by_experts(shown, kind)
        if not series:
            continue
        what = f"Energy of {name} against depth{material.words(shown)}"
        words = "; ".join(
            f"{experts_word(experts)}: {points[0].joules:.3g} J at {points[0].n_depth:,}"
            + (
                f" to {points[-1].joules:.3g} J at {points[-1].n_depth:,}"
                if len(points) > 1
                else ""
            )
            for experts, points in series.items()
        )
        yield Picture(
            name=f"{name}-energy-by-depth",
            figure=plot_energy_by_depth(series, kind=kind),
            table=energy_table(series),
            caption=f"{what}: what all cards drew, by their own counters.",
            alt=f"{what}, joules a token by n_expert_used and n_depth: {words}",
        )


def quality_pictures(material: Material) -> Iterator[Picture]:
    """Perplexity against experts, likelihood against the place in the context, and both against
    speed."""
    shown = material.leading(lambda record: perplexity(record) is not None)
    quality, words = quality_by_experts(shown), material.words(shown)
    if len(quality) > 1:
        n_tokens = max(point.n_tokens for point in quality.values())
        yield Picture(
            name="quality-by-experts",
            figure=plot_quality(quality),
            table=perplexity_table(quality),
            caption=f"Perplexity of {n_tokens:,} tokens by active experts{words}, with one "
            "standard error to either"
            " side.",
            alt="Perplexity by n_expert_used: "
            + "; ".join(f"{e}: {p.value:,.1f}" for e, p in quality.items()),
        )
    if losses := losses_by_experts(shown):
        said = "; ".join(
            f"{experts_word(experts)}: {bins[0].mean_nats:.2f} in the first {bins[0].last} tokens, "
            f"{bins[-1].mean_nats:.2f} from {bins[-1].first:,} on"
            for experts, bins in losses.items()
        )
        yield Picture(
            name="quality-by-context",
            figure=plot_losses(losses),
            table=losses_table(losses),
            caption=f"What a token costs by how much context it was given{words}, with one "
            f"standard error.",
            alt=f"Nats a token by n_expert_used and context: {said}",
        )
    points = trade_points(shown)
    if len(points) > 1:
        yield Picture(
            name="speed-quality-memory",
            figure=plot_trade(points, cards=material.cards),
            table=trade_table(points),
            caption="Speed, quality and memory at once: a ring marks points that no other beats "
            "in all three.",
            alt="; ".join(
                f"{p.n_expert_used} experts at n_ctx {p.n_ctx}: {rate(p.decode_tokens_per_s)} "
                f"tokens/s, perplexity {p.perplexity:,.1f}, {mib(p.n_bytes)}"
                for p in points
            ),
        )


def fit_pictures(comparisons: Sequence["Comparison"]) -> Iterator[Picture]:
    """Predicted against measured, memory and speed apart."""
    for name, memory in (("memory", True), ("speed", False)):
        own = [c for c in comparisons if is_memory(c) == memory and c.measured and c.predicted > 0]
        if not own:
            continue
        words = "; ".join(
            f"{QUANTITY_NAMES.get(a.quantity, a.quantity)}: median error {share(a.median_error)}, "
            f"worst {share(a.worst_error)}, {a.n} measurements"
            for a in agreements(own)
        )
        band = f" {said}." if (said := within(own)) else ""
        yield Picture(
            name=f"predicted-{name}",
            figure=plot_predicted_vs_measured(own),
            table=trim(comparisons_table(own)),
            caption=f"Predicted {name} against measured, residuals beneath.{band}",
            alt=f"Predicted {name} against measured. {words}",
        )
