"""The answer in sentences, each with the figures that carry it.

Stands apart because it is the only view that draws conclusions. A sentence is made from records and
comparisons alone and left out where they do not carry it; none says more than its figures.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from oomph.records.grouping import SettingNames
from oomph.records.summary import RecordSummary, by_setting, leading
from oomph.units import MIB, count, counted, mib, rate, share
from oomph.views.by_experts import quality_by_experts, rates_by_experts
from oomph.views.calibration import verdict
from oomph.views.language import render_text
from oomph.views.map_squares import memory_map
from oomph.views.plots_fit import PRINTED, QUANTITY_NAMES, Agreement, agreements
from oomph.views.plots_speed import KIND_NAMES
from oomph.views.readings import UNSET, experts_word
from oomph.views.tables import outcome_counts

if TYPE_CHECKING:
    from oomph.calibrate.comparison import Comparison
    from oomph.calibrate.result import FitResult

NEGLIGIBLE: Final = 0.05
"""Experts "hardly change" memory where they move it by less than this share of what the context
moves it by."""

SMALL: Final = 0.005
"""Errors of memory below this share are told in MiB."""


def headline(
    summaries: Sequence[RecordSummary],
    language: str = "en",
    findings: Mapping[str, Any] | None = None,
) -> str:
    """One sentence: of the `findings` of a search or a comparison, else on what the model takes and
    what decides it, or on how the points ended.

    Of several settings it speaks of the one with the most points that ran, and says which that is.
    """
    said = render_text(
        "headline",
        language,
        width=None,
        model=summaries[0].record.model.name,
        **(findings or _findings(summaries)),
    )
    return said.strip()


def _findings(summaries: Sequence[RecordSummary]) -> dict[str, Any]:
    """Which of the template's cases this is, and its figures."""
    shown = leading(
        (each for each in summaries if each.memory_limit_bytes is None),
        lambda each: each.succeeded,
    )
    totals = _totals(shown)
    if not totals:
        return _without_memory(summaries)
    (low_at, low), (high_at, high) = (
        min(totals.items(), key=_bytes),
        max(totals.items(), key=_bytes),
    )
    by_context, by_experts = spread(totals, fixed=1), spread(totals, fixed=0)
    return {
        "case": _case({context for context, _ in totals}, by_context, by_experts),
        "low": low,
        "low_at": low_at[0],
        "high": high,
        "high_at": high_at[0],
        "by_context": by_context,
        "by_experts": by_experts,
        "on_cards": all(each.has_cards for each in summaries),
        "setting": SettingNames(by_setting(summaries)).of(shown[0].setting),
    }


def _case(contexts: Collection[int], by_context: int | None, by_experts: int | None) -> str:
    if len(contexts) < 2:
        return "one context"
    if by_experts is None or by_context is None:
        return "two contexts"
    return "context decides" if by_experts <= NEGLIGIBLE * by_context else "both"


def _without_memory(summaries: Sequence[RecordSummary]) -> dict[str, Any]:
    """What can be said where no buffer is known: imported tables have speeds alone."""
    outcomes = outcome_counts(summaries)
    if not any(summary.succeeded for summary in summaries):
        return {"case": "nothing ran", "outcomes": outcomes}
    rates = [points[0] for points in rates_by_experts(summaries, "tg").values()]
    first = next((rate for rate in rates if not rate.is_disturbed), None)
    if first is None:
        return {"case": "outcomes only", "outcomes": outcomes}
    return {"case": "speed only", "tokens_per_s": first.tokens_per_s}


def _bytes(item: tuple[tuple[int, int | None], int]) -> int:
    return item[1]


def _totals(summaries: Iterable[RecordSummary]) -> dict[tuple[int, int | None], int]:
    """llama.cpp's buffers by (n_ctx, n_expert_used), of points that had the whole machine."""
    return {
        (summary.n_ctx, summary.n_expert_used): sum(parts.values())
        for summary in summaries
        if summary.succeeded
        and summary.memory_limit_bytes is None
        and (parts := summary.components)
    }


def spread(totals: Mapping[tuple[int, int | None], int], *, fixed: int) -> int | None:
    """The largest difference in bytes while the key's part `fixed` stays the same; None where it
    never does."""
    groups: dict[int | None, list[int]] = {}
    for key, n_bytes in totals.items():
        groups.setdefault(key[fixed], []).append(n_bytes)
    return max(
        (max(group) - min(group) for group in groups.values() if len(group) > 1), default=None
    )


def evidence(
    summaries: Sequence[RecordSummary],
    comparisons: Sequence["Comparison"],
    *,
    fit: "FitResult | None" = None,
    with_frontiers: bool = True,
) -> tuple[str, ...]:
    """The findings below the headline: a calibration's health and what it leaves out first, then
    speed, quality, how the estimate did, failures, what disturbed."""
    # a calibration's own errors say the rest, and none of what it does not fit
    quantities = ("compute_bytes",) if fit else _HEADLINED
    told = [c for c in comparisons if c.device != "host" or not summaries[0].has_cards]
    estimates = _estimates(told, quantities)
    groups = by_setting(summaries)
    names = SettingNames(groups)
    frontiers = (_frontier(group, names) for group in groups.values())
    found = [
        *(_calibration(fit) if fit else ()),
        *(frontiers if with_frontiers else ()),
        *(_speed(summaries, kind) for kind in KIND_NAMES),
        _quality(summaries),
        *estimates,
    ]
    return tuple(
        s for s in (*found, _failures(summaries), _disturbed(summaries), _imported(summaries)) if s
    )


def _frontier(summaries: Sequence[RecordSummary], names: SettingNames) -> str | None:
    """Between which contexts a setting runs out of memory, by experts; None where it was never seen
    to."""
    chart = memory_map([summary for summary in summaries if summary.memory_limit_bytes is None], {})
    ends: dict[tuple[int | None, int | None], list[str]] = {}
    for experts in chart.experts:
        ends.setdefault(chart.measured(experts), []).append(experts_word(experts))
    said = [
        f"n_ctx {count(ran)} runs and {count(full)} runs out of memory ({', '.join(experts)}"
        f"{'' if experts == [UNSET] else ' active experts'})"
        for (ran, full), experts in ends.items()
        if ran is not None and full is not None
    ]
    if not said:
        return None
    words = names.of(summaries[0].setting)
    return f"The frontier{f' with {words}' if words else ''}: {'; '.join(said)}."


def _speed(summaries: Sequence[RecordSummary], kind: str) -> str | None:
    """Of rates that nothing disturbed; where all were, that."""
    shown = leading(summaries, lambda summary: bool(summary.rates(kind)))
    found = {e: points for e, points in rates_by_experts(shown, kind).items() if e is not None}
    quiet = {e: [rate for rate in points if not rate.is_disturbed] for e, points in found.items()}
    series = {experts: points for experts, points in quiet.items() if points}
    if not series:
        return f"Every {KIND_NAMES[kind]} was disturbed; no speed is quoted." if found else None
    fewest, most = min(series), max(series)
    parts = []
    few, many = series[fewest][0], series[most][0]
    if fewest != most and (few.test, few.n_depth) == (many.test, many.n_depth):
        parts.append(
            f"{rate(few.tokens_per_s)} tokens/s with {fewest} active experts, "
            f"{rate(many.tokens_per_s)} with {most}"
        )
    first, last = series[most][0], series[most][-1]
    if last.n_depth > first.n_depth:
        rates = f"from {rate(first.tokens_per_s)} to {rate(last.tokens_per_s)} tokens/s"
        parts.append(
            f"with {most}{'' if parts else ' active experts'} it goes {rates} as the depth grows "
            f"from {first.n_depth:,} to {last.n_depth:,}"
        )
    return f"{KIND_NAMES[kind].capitalize()}: {'; '.join(parts)}." if parts else None


def _calibration(fit: "FitResult") -> list[str]:
    """Whether to believe it, what it foretells of loads left out, and only then what it was fitted
    to."""
    said = [verdict(fit)]
    for words, errors in (("Held out", fit.health.held_out), ("Fitted", fit.health.in_sample)):
        parts = [
            f"{quantity.replace('_', ' ').replace('vram', 'VRAM')} off by {share(each.median)} in "
            f"the median, {share(each.worst)} at worst"
            for quantity, each in errors.items()
            if each.median is not None and each.worst is not None
        ]
        said += [f"{words}: {'; '.join(parts)}."] if parts else []
    return said


def _quality(summaries: Sequence[RecordSummary]) -> str | None:
    quality = quality_by_experts(leading(summaries, lambda summary: summary.perplexity is not None))
    if len(quality) < 2:
        return None
    values = ", ".join(
        f"{point.value:,.{0 if point.value >= 1000 else 1}f} with {e}"
        for e, point in sorted(quality.items(), reverse=True)
    )
    return (
        f"Perplexity by active experts: {values}. The text ranks settings of this model and "
        "compares with no benchmark."
    )


def _estimates(comparisons: Sequence["Comparison"], quantities: Collection[str]) -> list[str]:
    return [_estimate(a) for a in agreements(comparisons) if a.quantity in quantities]


_HEADLINED: Final = (
    "total_vram_bytes",
    "host_bytes",
    "compute_bytes",
    "prefill_tokens_per_s",
    "decode_tokens_per_s",
)


def _estimate(agreement: Agreement) -> str:
    band = (
        ""
        if agreement.within_band is None
        else f", {share(agreement.within_band, 0)} inside the predicted 90 % band"
    )
    off, worst = share(agreement.median_error), share(agreement.worst_error)
    is_size = agreement.quantity.endswith("_bytes")
    if is_size and agreement.worst_difference <= PRINTED * MIB:
        size_words = f"is equal to {PRINTED:g} MiB"
    elif is_size and agreement.worst_error < SMALL:
        size_words = f"is off by at most {mib(agreement.worst_difference, 2)}"
    else:
        size_words = f"is off by {off} in the median and {worst} at worst"
    return (
        f"Predicted {QUANTITY_NAMES[agreement.quantity]} {size_words}, over {agreement.n} "
        f"measurements{_beside(agreement)}{band}."
    )


def _beside(agreement: Agreement) -> str:
    return (
        f" ({counted(agreement.n_disturbed, 'disturbed one')} left aside)"
        if agreement.n_disturbed
        else ""
    )


def _failures(summaries: Sequence[RecordSummary]) -> str | None:
    failed = [summary for summary in summaries if not summary.succeeded and not summary.was_skipped]
    n_skipped = sum(summary.was_skipped for summary in summaries)
    if not failed:
        return None if n_skipped else f"All {len(summaries)} points ran to their end."
    limits = {summary.memory_limit_bytes for summary in failed}
    said = f"{len(failed)} of {len(summaries)} points failed ({outcome_counts(failed)})"
    if None not in limits:
        sizes = ", ".join(mib(limit) for limit in sorted(limit for limit in limits if limit))
        said += f" under a memory limit set for the purpose ({sizes})"
    if n_skipped:
        said += f", and {n_skipped} that ask for more were not tried"
    return f"{said}; each is a record below, and the sweep went on."


def _imported(summaries: Sequence[RecordSummary]) -> str | None:
    origins = [summary.record.origin for summary in summaries if summary.record.origin]
    if not origins:
        return None
    tools = ", ".join(sorted(set(origins)))
    return (
        f"{len(origins)} of {len(summaries)} points were imported from {tools}, not measured here."
    )


def _disturbed(summaries: Sequence[RecordSummary]) -> str | None:
    n_disturbed = sum(bool(summary.remarks) for summary in summaries)
    if not n_disturbed:
        return None
    return (
        f"{n_disturbed} of {len(summaries)} points were disturbed while they ran; the tables say "
        "by what."
    )
