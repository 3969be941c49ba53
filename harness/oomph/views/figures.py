"""A page's figures, each with its caption, its words and its data.

Stands between the plots, which draw what they are handed, and the sections, which put figures in
order: here is decided which records a figure may speak for. A figure shows one setting; where a
page has several, the one with the most points of that kind, and its caption says which.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from oomph.frozen import frozen
from oomph.measure.accidents import ran_out
from oomph.records.grouping import evenly
from oomph.records.summary import RecordSummary
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
from oomph.views.map_squares import MemoryMap, map_in_words, memory_map, thinned
from oomph.views.material import Material
from oomph.views.memory_sources import plot_memory_sources, run_sources, shown_runs, sources_table
from oomph.views.plots_energy import energies, energy_by_experts, energy_table, plot_energy_by_depth
from oomph.views.plots_fit import QUANTITY_NAMES, agreements, is_memory, plot_predicted_vs_measured
from oomph.views.plots_map import plot_map
from oomph.views.plots_memory import MemoryBar, memory_bars, plot_memory
from oomph.views.plots_quality import (
    losses_by_experts,
    plot_losses,
    plot_quality,
    plot_trade,
    sampled_trades,
    trade_points,
)
from oomph.views.plots_speed import KIND_NAMES, plot_speed_by_depth
from oomph.views.readings import experts_word
from oomph.views.table import Table, trim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oomph.calibrate.comparison import Comparison

MOST_MAPS: Final = 4
"""A page shows so many settings' maps; the tables have all."""
MOST_BARS: Final = 40
"""More bars than that are too thin to be seen."""
MOST_TRADES: Final = 200
"""Points of the figure of speed, quality and memory, which its words name one by one."""
MOST_DRAWN: Final = 1000
"""Measurements of a scatter: more hide each other, and each is an element of the page."""


@frozen
class Picture:
    """A figure with its caption; `name` names its file, `alt` says what can be read off it, `table`
    holds its data."""

    name: str
    figure: "Figure"
    caption: str
    alt: str
    table: Table | None = None


def _succeeded(summary: RecordSummary) -> bool:
    return summary.succeeded


def _n_ctx(summary: RecordSummary) -> int:
    return summary.n_ctx


def _n_expert_used(summary: RecordSummary) -> int | None:
    return summary.n_expert_used


def memory_pictures(material: Material) -> Iterator[Picture]:
    """Memory by context and by experts, the maps, and a figure for each limit that workers were put
    under."""
    shown, capital = material.leading(_succeeded), material.memory_word
    words, predictions = material.words(shown), material.predictions
    if not any(bar.measured or bar.failed for bar in memory_bars(shown, predictions, by=_n_ctx)):
        return
    most = max((e for summary in shown if (e := summary.n_expert_used)), default=None)
    by_context = memory_bars([r for r in shown if r.n_expert_used == most], predictions, by=_n_ctx)
    deepest = max((summary.n_ctx for summary in shown if summary.succeeded), default=None)
    by_experts = memory_bars(
        [r for r in shown if r.n_ctx == deepest], predictions, by=_n_expert_used
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
    against_card: bool = True,
) -> Picture:
    drawn = evenly(bars, MOST_BARS)
    return Picture(
        name=name,
        figure=plot_memory(
            drawn,
            axis=axis,
            cards=material.cards,
            card_bytes=material.card_bytes if against_card else None,
        ),
        caption=f"{what}{more}.{_some(drawn, bars, 'points')}",
        alt=f"{what}: {_bars_in_words(drawn)}",
        table=bars_table(bars, axis=axis),
    )


def _some(drawn: Sequence[object], all_of_them: Sequence[object], noun: str) -> str:
    """A sentence for the caption where not everything is drawn."""
    if len(drawn) == len(all_of_them):
        return ""
    return f" {len(drawn):,} of {len(all_of_them):,} {noun} are drawn, in even steps."


def _bars_in_words(bars: Sequence[MemoryBar]) -> str:
    return "; ".join(
        f"{bar.at:,}: {bar.failed or mib(sum(bar.measured.values())) + ' measured'}"
        + (f", {mib(sum(bar.predicted.values()))} predicted" if bar.predicted else "")
        for bar in bars
    )


def _maps(material: Material) -> Iterator[Picture]:
    """One figure of a panel for each setting that has more than one square, those with the most
    points first."""
    charts: dict[str, MemoryMap] = {}
    for group in sorted(material.settings, key=len, reverse=True):
        if any(summary.succeeded or ran_out(summary.record) for summary in group):
            chart = memory_map(group, material.predictions, material.grid(group))
            if len(chart.contexts) > 1 and len(charts) < MOST_MAPS:
                charts[material.words(group).strip(" ()")] = chart
    if not charts:
        return
    drawn = {name: thinned(chart) for name, chart in charts.items()}
    caption = f"{material.memory_word} along n_ctx for each number of active experts, to scale."
    if material.card_bytes:
        caption += f" The scale of colours ends with the card, at {mib(material.card_bytes)}."
    if any(chart.predicted for chart in charts.values()):
        caption += (
            " What fits is left of the line; at the right the largest context that ran (in "
            "brackets what is predicted, where that is another)."
        )
    widest = max(charts, key=lambda name: len(charts[name].contexts))
    caption += _some(drawn[widest].contexts, charts[widest].contexts, "contexts")
    said = "; ".join(
        f"{name}: {map_in_words(chart)}" if name else map_in_words(chart)
        for name, chart in drawn.items()
    )
    yield Picture(
        name="memory-map",
        figure=plot_map(drawn, cards=material.cards, card_bytes=material.card_bytes),
        caption=caption,
        alt=f"{caption} {said}",
        table=trim(map_table(charts)),
    )


def _limited(material: Material) -> Iterator[Picture]:
    """One picture for each memory limit that workers were put under."""
    for limit in sorted(
        {size for summary in material.summaries if (size := summary.memory_limit_bytes) is not None}
    ):
        limited = [summary for summary in material.summaries if summary.memory_limit_bytes == limit]
        bars = memory_bars(limited, material.predictions, by=_n_ctx)
        exempt = limited[0].record.limits.get("memory_kind") == "data"
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
            f"memory-limit-{limit // MIB}",
            bars,
            material,
            axis="n_ctx",
            what=what,
            more=more,
            against_card=False,
        )


def source_pictures(material: Material) -> Iterator[Picture]:
    """Each run as its sources tell it."""
    runs = run_sources(material.summaries, material.predictions, material.dry_runs)
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
        shown = material.leading(lambda summary, kind=kind: bool(summary.rates(kind)))  # type: ignore[misc]
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
        shown = material.leading(lambda summary, kind=kind: bool(energies(summary, kind)))  # type: ignore[misc]
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
            alt=f"{what}, joules per token by n_expert_used and n_depth: {words}",
        )


def quality_pictures(material: Material) -> Iterator[Picture]:
    """Perplexity against experts, likelihood against the place in the context, and both against
    speed."""
    shown = material.leading(lambda summary: summary.perplexity is not None)
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
    every = trade_points(shown)
    points = sampled_trades(every, MOST_TRADES)
    if len(points) > 1:
        yield Picture(
            name="speed-quality-memory",
            figure=plot_trade(points, cards=material.cards),
            table=trade_table(points),
            caption="Speed, quality and memory at once: named are the points that no other beats "
            f"in all three.{_some(points, every, 'points')}",
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
        drawn = own
        if len(own) > MOST_DRAWN:
            drawn = list(evenly(sorted(own, key=lambda c: c.measured), MOST_DRAWN))
        words = "; ".join(
            f"{QUANTITY_NAMES.get(a.quantity, a.quantity)}: median error {share(a.median_error)}, "
            f"worst {share(a.worst_error)}, {a.n} measurements"
            for a in agreements(own)
        )
        band = f" {said}." if (said := within(own)) else ""
        yield Picture(
            name=f"predicted-{name}",
            figure=plot_predicted_vs_measured(drawn),
            table=trim(comparisons_table(drawn)),
            caption=f"Predicted {name} against measured, with the line where both are equal; "
            f"residuals beneath.{band}"
            f"{_some(drawn, own, 'measurements')}",
            alt=f"Predicted {name} against measured. {words}",
        )
