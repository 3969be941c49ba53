"""Records gathered by number of active experts: which point speaks for each.

Stands apart so that tables, sentences and plots show the same figure for the same number of
experts.
"""

from collections.abc import Sequence

from oomph.records.perplexity import Perplexity, perplexity
from oomph.records.schema import Record
from oomph.views.readings import (
    Rate,
    memory_limit_bytes,
    n_ctx,
    n_expert_used,
    rates,
    succeeded,
)


def rates_by_experts(records: Sequence[Record], kind: str) -> dict[int | None, tuple[Rate, ...]]:
    """The rates of the roomiest successful point of each number of experts, which has been to the
    deepest."""
    chosen: dict[int | None, tuple[int, tuple[Rate, ...]]] = {}
    for record in records:
        found = rates(record, kind)
        experts = n_expert_used(record)
        if found and succeeded(record) and memory_limit_bytes(record) is None:
            room = (len(found), n_ctx(record))
            if experts not in chosen or room > (len(chosen[experts][1]), chosen[experts][0]):
                chosen[experts] = (n_ctx(record), found)
    return {experts: chosen[experts][1] for experts in sorted(chosen, key=lambda e: e or 0)}


def quality_records(records: Sequence[Record]) -> dict[int | None, Record]:
    """The first successful record that judged a text, of each number of active experts; None is a
    dense model."""
    found: dict[int | None, Record] = {}
    for record in records:
        if perplexity(record) is not None and succeeded(record):
            found.setdefault(n_expert_used(record), record)
    return dict(sorted(found.items(), key=lambda item: item[0] or 0))


def quality_by_experts(records: Sequence[Record]) -> dict[int, Perplexity]:
    """The perplexity at each number of active experts."""
    return {
        experts: quality
        for experts, record in quality_records(records).items()
        if experts is not None and (quality := perplexity(record)) is not None
    }
