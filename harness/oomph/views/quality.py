"""Quality as tables: what each setting costs, and which facts it still finds.

Stands apart from the table of points because a text is scored and facts are asked for by settings,
not by points.
"""

from collections.abc import Sequence

from oomph.analysis.quality import compared_with, recall_by_depth, reference_of
from oomph.records.perplexity import perplexity
from oomph.records.schema import Record
from oomph.units import NOT_MEASURED, share
from oomph.views.quality_cells import (
    cost_against_reference,
    divergence_cell,
    perplexity_cell,
    ratio_cell,
)
from oomph.views.readings import succeeded
from oomph.views.table import Cell, Table
from oomph.views.tables import knob_cells, varied_knobs


def quality_table(records: Sequence[Record]) -> Table:
    """Every setting that its sweep compares: perplexity, its ratio to the reference's, KL
    divergence."""
    scored = [
        record
        for record in records
        if succeeded(record) and record.quality is not None and compared_with(record) is not None
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
    rows = tuple((*knob_cells(record, knobs), *_quality_cells(record, scored)) for record in scored)
    caption = (
        "Quality: ± is one standard error; the ratio of perplexities, paired token by token, with "
        "95 % interval"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _quality_cells(record: Record, scored: Sequence[Record]) -> tuple[Cell, ...]:
    quality, found = record.quality, cost_against_reference(record, scored)
    assert quality is not None
    reference = reference_of(record, scored)
    remark = "the reference" if reference is not None and reference.config == record.config else ""
    return (
        Cell(quality.text),
        Cell(f"{quality.n_tokens:,}", quality.n_tokens),
        Cell(f"{quality.n_pass:,}", quality.n_pass) if quality.n_pass else Cell(NOT_MEASURED),
        perplexity_cell(perplexity(record)),
        ratio_cell(found),
        divergence_cell(found),
        Cell(NOT_MEASURED)
        if found is None or found.same_top is None
        else Cell(share(found.same_top), found.same_top),
        Cell("; ".join(filter(None, (remark, quality.kl_missing)))),
    )


def recall_table(records: Sequence[Record]) -> Table:
    """Facts found by the depth at which they stood: one row per setting, one column per depth."""
    asked = [record for record in records if succeeded(record) and record.recall is not None]
    knobs = varied_knobs(asked)
    depths = sorted(
        {needle.depth for record in asked if record.recall for needle in record.recall.needles}
    )
    rows = tuple((*knob_cells(record, knobs), *_recall_cells(record, depths)) for record in asked)
    columns = (*knobs, *(f"at {share(depth, 0)}" for depth in depths), "all", "remarks")
    caption = (
        "Facts found in a text that fills the context, by depth; in brackets the tokens from fact "
        "to answer"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _recall_cells(record: Record, depths: Sequence[float]) -> tuple[Cell, ...]:
    recall = record.recall
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
