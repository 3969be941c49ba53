"""Records gathered by number of active experts: which point speaks for each.

Stands apart so that tables, sentences and plots show the same figure for the same number of
experts.
"""

from collections.abc import Sequence

from oomph.records.perplexity import Perplexity
from oomph.records.summary import Rate, RecordSummary


def rates_by_experts(
    summaries: Sequence[RecordSummary], kind: str
) -> dict[int | None, tuple[Rate, ...]]:
    """The rates of the roomiest successful point of each number of experts, which has been to the
    deepest; of two, one with more rates that nothing disturbed."""
    chosen: dict[int | None, tuple[tuple[int, int, int], tuple[Rate, ...]]] = {}
    for summary in summaries:
        found = summary.rates(kind)
        experts = summary.n_expert_used
        if found and summary.succeeded and summary.memory_limit_bytes is None:
            n_quiet = sum(not rate.is_disturbed for rate in found)
            room = (n_quiet, len(found), summary.n_ctx)
            if experts not in chosen or room > chosen[experts][0]:
                chosen[experts] = (room, found)
    return {experts: chosen[experts][1] for experts in sorted(chosen, key=lambda e: e or 0)}


def quality_records(summaries: Sequence[RecordSummary]) -> dict[int | None, RecordSummary]:
    """The first successful record that judged a text at the longest context, of each number of
    active experts; None is a dense model."""
    found: dict[int | None, RecordSummary] = {}
    for summary in sorted(summaries, key=lambda each: -each.n_ctx):
        if summary.perplexity is not None and summary.succeeded:
            found.setdefault(summary.n_expert_used, summary)
    return dict(sorted(found.items(), key=lambda item: item[0] or 0))


def quality_by_experts(summaries: Sequence[RecordSummary]) -> dict[int, Perplexity]:
    """The perplexity at each number of active experts."""
    return {
        experts: quality
        for experts, summary in quality_records(summaries).items()
        if experts is not None and (quality := summary.perplexity) is not None
    }
