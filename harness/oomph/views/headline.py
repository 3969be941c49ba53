"""The answer in sentences, each with the figures that carry it.

Stands apart because it is the only view that draws conclusions. A sentence is made from records and
comparisons alone and left out where they do not carry it; none says more than its figures.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from oomph.records.disturbance import remarks
from oomph.records.grouping import Setting, by_setting, leading, setting, setting_words
from oomph.records.perplexity import perplexity
from oomph.records.schema import Record
from oomph.units import count, counted, mib, rate, share
from oomph.views.by_experts import quality_by_experts, rates_by_experts
from oomph.views.language import render_text
from oomph.views.plots_fit import QUANTITY_NAMES, Agreement, agreements
from oomph.views.plots_map import memory_map
from oomph.views.plots_speed import KIND_NAMES
from oomph.views.readings import (
    UNSET,
    experts_word,
    has_cards,
    measured_components,
    memory_limit_bytes,
    n_ctx,
    n_expert_used,
    rates,
    succeeded,
    was_skipped,
)
from oomph.views.tables import outcome_counts

if TYPE_CHECKING:
    from oomph.calibrate.comparison import Comparison

NEGLIGIBLE: Final = 0.05
"""Experts "hardly change" memory where they move it by less than this share of what the context
moves it by."""


def headline(records: Sequence[Record], language: str = "en") -> str:
    """One sentence on what the model takes and what decides it, or on how the points ended.

    Of several settings it speaks of the one with the most points that ran, and says which that is.
    """
    said = render_text(
        "headline", language, width=None, model=records[0].model.name, **_findings(records)
    )
    return said.strip()


def _findings(records: Sequence[Record]) -> dict[str, Any]:
    """Which of the template's cases this is, and its figures."""
    shown = leading([r for r in records if memory_limit_bytes(r) is None], succeeded)
    totals = _totals(shown)
    if not totals:
        return _without_memory(records)
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
        "on_cards": all(map(has_cards, records)),
        "setting": setting_words(setting(shown[0]), by_setting(records)),
    }


def _case(contexts: Collection[int], by_context: int | None, by_experts: int | None) -> str:
    if len(contexts) < 2:
        return "one context"
    if by_experts is None or by_context is None:
        return "two contexts"
    return "context decides" if by_experts <= NEGLIGIBLE * by_context else "both"


def _without_memory(records: Sequence[Record]) -> dict[str, Any]:
    """What can be said where no buffer is known: imported tables have speeds alone."""
    outcomes = outcome_counts(records)
    if not any(succeeded(record) for record in records):
        return {"case": "nothing ran", "outcomes": outcomes}
    first = next((points[0] for points in rates_by_experts(records, "tg").values()), None)
    if first is None:
        return {"case": "outcomes only", "outcomes": outcomes}
    return {"case": "speed only", "tokens_per_s": first.tokens_per_s}


def _bytes(item: tuple[tuple[int, int | None], int]) -> int:
    return item[1]


def _totals(records: Iterable[Record]) -> dict[tuple[int, int | None], int]:
    """llama.cpp's buffers by (n_ctx, n_expert_used), of points that had the whole machine."""
    return {
        (n_ctx(record), n_expert_used(record)): sum(parts.values())
        for record in records
        if succeeded(record)
        and memory_limit_bytes(record) is None
        and (parts := measured_components(record))
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


def evidence(records: Sequence[Record], comparisons: Sequence["Comparison"]) -> tuple[str, ...]:
    """The findings below the headline: speed, quality, how the estimate did, failures, what
    disturbed."""
    estimates = _estimates(
        [c for c in comparisons if c.device != "host" or not has_cards(records[0])]
    )
    frontiers = (_frontier(group, by_setting(records)) for group in by_setting(records).values())
    found = [
        *frontiers,
        *(_speed(records, kind) for kind in KIND_NAMES),
        _quality(records),
        *estimates,
    ]
    return tuple(
        s for s in (*found, _failures(records), _disturbed(records), _imported(records)) if s
    )


def _frontier(records: Sequence[Record], settings: Iterable[Setting]) -> str | None:
    """Between which contexts a setting runs out of memory, by experts; None where it was never seen
    to."""
    chart = memory_map([record for record in records if memory_limit_bytes(record) is None], {})
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
    words = setting_words(setting(records[0]), settings)
    return f"The frontier{f' with {words}' if words else ''}: {'; '.join(said)}."


def _speed(records: Sequence[Record], kind: str) -> str | None:
    records = leading(records, lambda record: bool(rates(record, kind)))
    series = {
        experts: points
        for experts, points in rates_by_experts(records, kind).items()
        if experts is not None
    }
    if not series:
        return None
    fewest, most = min(series), max(series)
    parts = []
    if fewest != most:
        few, many = series[fewest][0], series[most][0]
        parts.append(
            f"{rate(few.tokens_per_s)} tokens/s with {fewest} active experts, "
            f"{rate(many.tokens_per_s)} with {most}"
        )
    first, last = series[most][0], series[most][-1]
    if last.n_depth > first.n_depth:
        parts.append(
            f"with {most} it goes from {rate(first.tokens_per_s)} to {rate(last.tokens_per_s)} "
            f"tokens/s as the depth grows from {first.n_depth:,} to {last.n_depth:,}"
        )
    return f"{KIND_NAMES[kind].capitalize()}: {'; '.join(parts)}." if parts else None


def _quality(records: Sequence[Record]) -> str | None:
    quality = quality_by_experts(leading(records, lambda record: perplexity(record) is not None))
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


def _estimates(comparisons: Sequence["Comparison"]) -> list[str]:
    return [_estimate(a) for a in agreements(comparisons) if a.quantity in _HEADLINED]


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
    return (
        f"Predicted {QUANTITY_NAMES[agreement.quantity]} is off by {off} in the median and "
        f"{worst} at worst, over {agreement.n} measurements{_beside(agreement)}{band}."
    )


def _beside(agreement: Agreement) -> str:
    return (
        f" ({counted(agreement.n_disturbed, 'disturbed one')} left aside)"
        if agreement.n_disturbed
        else ""
    )


def _failures(records: Sequence[Record]) -> str | None:
    failed = [record for record in records if not succeeded(record) and not was_skipped(record)]
    n_skipped = sum(was_skipped(record) for record in records)
    if not failed:
        return None if n_skipped else f"All {len(records)} points ran to their end."
    limits = {memory_limit_bytes(record) for record in failed}
    said = f"{len(failed)} of {len(records)} points failed ({outcome_counts(failed)})"
    if None not in limits:
        sizes = ", ".join(mib(limit) for limit in sorted(limit for limit in limits if limit))
        said += f" under a memory limit set for the purpose ({sizes})"
    if n_skipped:
        said += f", and {n_skipped} that ask for more were not tried"
    return f"{said}; each is a record below, and the sweep went on."


def _imported(records: Sequence[Record]) -> str | None:
    origins = [record.origin for record in records if record.origin]
    if not origins:
        return None
    tools = ", ".join(sorted(set(origins)))
    return f"{len(origins)} of {len(records)} points were imported from {tools}, not measured here."


def _disturbed(records: Sequence[Record]) -> str | None:
    n_disturbed = sum(bool(remarks(record)) for record in records)
    if not n_disturbed:
        return None
    return (
        f"{n_disturbed} of {len(records)} points were disturbed while they ran; the tables say by "
        "what."
    )
