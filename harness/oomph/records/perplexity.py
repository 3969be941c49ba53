"""The perplexity of a record's text, and how far it is known."""

import math
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.records.schema import Record


@frozen
class Perplexity:
    """exp of the mean negative log-likelihood; `low` and `high` are one standard error away, None
    with one chunk."""

    value: float
    low: float | None
    high: float | None
    text: str
    n_tokens: int


def perplexity(record: "Record") -> Perplexity | None:
    """The quality of the point's text; the standard error is that of the chunks' means."""
    quality = record.quality
    if quality is None or not quality.nll_nats or quality.n_tokens < 1:
        return None
    chunks = quality.nll_nats
    per_chunk = quality.n_tokens / len(chunks)
    mean = fmean(chunks) / per_chunk
    error = stdev(chunks) / per_chunk / math.sqrt(len(chunks)) if len(chunks) > 1 else None
    return Perplexity(
        value=math.exp(mean),
        text=quality.text,
        n_tokens=quality.n_tokens,
        low=None if error is None else math.exp(mean - error),
        high=None if error is None else math.exp(mean + error),
    )
