"""Quality as tables: what each setting costs, and which facts it still finds.

Stands apart from the table of points because a text is scored and facts are asked for by settings,
not by points.
"""

import math
from collections.abc import Iterator, Sequence

from oomph.quality.positions import gains_of_context
from oomph.quality.text import Mean, References, compared_with, recall_by_depth
from oomph.records.grouping import grouped
from oomph.records.summary import RecordSummary
from oomph.units import NOT_MEASURED, share
from oomph.views.quality_cells import (
    cost_against_reference,
    divergence_cell,
    perplexity_cell,
    ratio_cell,
)
from oomph.views.table import Cell, Table, number
from oomph.views.tables import knob_cells, varied_knobs


def quality_table(summaries: Sequence[RecordSummary]) -> Table:
    """Every setting that its sweep compares: perplexity, its ratio to the reference's, KL
    divergence."""
    scored = [
        summary
        for summary in summaries
        if summary.succeeded
        and summary.record.quality is not None
        and compared_with(summary.record) is not None
    ]
    knobs = varied_knobs(scored)
    columns = (
        *knobs,
        "text",
        "tokens",
        "tokens a pass",
        "perplexity",
        "ratio to reference",
        "KL divergence, nats",
        "same top token",
        "remarks",
    )
    references = References(summary.record for summary in scored)
    rows = tuple(
        (*knob_cells(summary, knobs), *_quality_cells(summary, references)) for summary in scored
    )
    caption = (
        "Quality: ± is one standard error; the ratio of perplexities, paired token by token, with "
        "95 % interval"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _quality_cells(summary: RecordSummary, references: References) -> tuple[Cell, ...]:
    quality, found = summary.record.quality, cost_against_reference(summary.record, references)
    assert quality is not None
    reference = references.of(summary.record)
    remark = (
        "the reference"
        if reference is not None and reference.config == summary.record.config
        else ""
    )
    return (
        Cell(quality.text),
        Cell(f"{quality.n_tokens:,}", quality.n_tokens),
        Cell(f"{quality.n_pass:,}", quality.n_pass) if quality.n_pass else Cell(NOT_MEASURED),
        perplexity_cell(summary.perplexity),
        ratio_cell(found),
        divergence_cell(found),
        Cell(NOT_MEASURED)
        if found is None or found.same_top is None
        else Cell(share(found.same_top), found.same_top),
        Cell("; ".join(filter(None, (remark, quality.kl_missing)))),
    )


def recall_table(summaries: Sequence[RecordSummary]) -> Table:
    """Facts found by the depth at which they stood: one row per setting, one column per depth."""
    asked = [
        summary for summary in summaries if summary.succeeded and summary.record.recall is not None
    ]
    knobs = varied_knobs(asked)
    depths = sorted(
        {
            needle.depth
            for summary in asked
            if summary.record.recall
            for needle in summary.record.recall.needles
        }
    )
    rows = tuple(
        (*knob_cells(summary, knobs), *_recall_cells(summary, depths)) for summary in asked
    )
    columns = (*knobs, *(f"at {share(depth, 0)}" for depth in depths), "all", "remarks")
    caption = (
        "Facts found in a text that fills the context, by depth; in brackets the tokens from fact "
        "to answer"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _recall_cells(summary: RecordSummary, depths: Sequence[float]) -> tuple[Cell, ...]:
    recall = summary.record.recall
    assert recall is not None
    found = {at.depth: at for at in recall_by_depth(recall.needles)}
    cells = [
        Cell(f"{at.n_found} of {at.n_asked} ({at.n_after:,})", at.n_found / at.n_asked)
        if (at := found.get(depth))
        else Cell(NOT_MEASURED)
        for depth in depths
    ]
    n_found, n_asked = (
        sum(getattr(at, key) for at in found.values()) for key in ("n_found", "n_asked")
    )
    total = Cell(f"{n_found} of {n_asked}", n_found / n_asked) if n_asked else Cell(NOT_MEASURED)
    return (*cells, total, Cell(recall.missing or ""))


def gains_table(summaries: Sequence[RecordSummary]) -> Table:
    """What the tokens of a text gain from a longer pass than the shortest that judged them, by how
    much context the longer one gives them."""
    scored = [each for each in summaries if each.succeeded and each.record.quality is not None]
    knobs = [knob for knob in varied_knobs(scored) if knob != "n_ctx"]
    rows = tuple(
        (
            *knob_cells(long, knobs),
            number(short.record.quality.n_pass if short.record.quality else None),
            Cell(f"{each.first:,} to {each.last:,}", each.first),
            number(each.loss_nats.n),
            _nats(each.loss_nats),
            Cell(f"{math.exp(each.loss_nats.value):.3f}", math.exp(each.loss_nats.value)),
        )
        for own in grouped(scored, lambda each: (each.setting, each.n_expert_used)).values()
        for short, long in _shortest_and_longest(own)
        for each in gains_of_context(long.record, short.record)
    )
    columns = (
        *knobs,
        "tokens a pass before",
        "context in the long pass",
        "tokens",
        "nats gained",
        "perplexity, ratio",
    )
    caption = (
        "What a longer context gains: the same tokens in the longest pass and in the shortest, "
        "paired, with 95 % interval; below 0 and below 1 is better"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _shortest_and_longest(
    summaries: Sequence[RecordSummary],
) -> Iterator[tuple[RecordSummary, RecordSummary]]:
    ordered = sorted(summaries, key=lambda each: each.n_ctx)
    if len(ordered) > 1:
        yield ordered[0], ordered[-1]


def _nats(mean: Mean) -> Cell:
    """`-0.065 (-0.081 to -0.049)`: the mean and its 95 % interval."""
    ends = mean.interval()
    words = f" ({ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""
    return Cell(f"{mean.value:+.3f}{words}", mean.value)
