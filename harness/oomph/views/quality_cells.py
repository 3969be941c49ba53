"""Cells for perplexity and its difference from a reference, the same in every table."""

from oomph.quality.text import Cost, Mean, References, cost
from oomph.records.perplexity import Perplexity
from oomph.records.schema import Record
from oomph.units import NOT_MEASURED
from oomph.views.table import Cell


def perplexity_cell(value: Perplexity | None) -> Cell:
    """`22.15 ± 1.20`: with one standard error."""
    if value is None:
        return Cell(NOT_MEASURED)
    digits = 0 if value.value >= 1000 else 2
    text = f"{value.value:,.{digits}f}"
    if value.high is not None:
        text += f" ± {value.high - value.value:,.{digits}f}"
    return Cell(text, value.value)


def cost_against_reference(record: Record, references: References) -> Cost | None:
    """What the record's setting costs; None for the reference itself and where there is none."""
    reference = references.of(record)
    if (
        reference is None
        or reference.config == record.config
        or not record.quality
        or not reference.quality
    ):
        return None
    return cost(record.quality, reference.quality)


def ratio_cell(found: Cost | None) -> Cell:
    """`1.016 (1.011 to 1.021)`: the ratio of perplexities and its 95 % interval."""
    if found is None:
        return Cell(NOT_MEASURED)
    ratio, ends = found.perplexity_ratio, found.ratio_interval
    return Cell(f"{ratio:,.3f}" + (f" ({ends[0]:,.3f} to {ends[1]:,.3f})" if ends else ""), ratio)


def divergence_cell(found: Cost | None) -> Cell:
    """`0.0481 ± 0.0040`: nats per token, with one standard error."""
    mean: Mean | None = found.divergence_nats if found else None
    if mean is None:
        return Cell(NOT_MEASURED)
    return Cell(
        f"{mean.value:.4f}" + ("" if mean.error is None else f" ± {mean.error:.4f}"), mean.value
    )
