"""What a setting costs in quality against the reference setting, paired token by token.

Stands apart from the views because it is statistics: the tokens of one text differ far more than
two settings do, so only the differences at each token tell settings apart. Tokens count as
independent, as llama-perplexity has it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Final

from oomph.records.schema import Needle, Quality, Record

NORMAL_95: Final = 1.96
"""Half the width of a 95 % interval in standard errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean and its standard error, which is None with a single value."""

    value: float
    error: float | None
    n: int

    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval."""
        half = None if self.error is None else NORMAL_95 * self.error
        return None if half is None else (self.value - half, self.value + half)


def mean_of(values: Sequence[float]) -> Mean:
    """The mean of at least one value."""
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Mean(value=fmean(values), error=error, n=len(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A setting against its reference.

    `loss_nats` is the mean difference of the negative log-likelihoods, `divergence_nats` the mean
    KL divergence from the reference's distributions and `same_top` the share of tokens with the
    same likeliest word; the latter two are None where the reference's distributions were not there.
    """

    loss_nats: Mean
    divergence_nats: Mean | None
    same_top: float | None

    @property
    def perplexity_ratio(self) -> float:
        """The setting's perplexity over the reference's."""
        return math.exp(self.loss_nats.value)

    @property
    def ratio_interval(self) -> tuple[float, float] | None:
        """The ratio's 95 % interval."""
        ends = self.loss_nats.interval()
        return None if ends is None else (math.exp(ends[0]), math.exp(ends[1]))


def cost(quality: Quality, reference: Quality) -> Cost | None:
    """What the setting of `quality` costs, None where the two did not score the same tokens one by
    one."""
    if not is_paired(quality, reference):
        return None
    losses = [
        own - theirs for own, theirs in zip(quality.nll_nats, reference.nll_nats, strict=True)
    ]
    n_same = quality.n_same_top
    return Cost(
        loss_nats=mean_of(losses),
        divergence_nats=mean_of(quality.kl_nats) if quality.kl_nats else None,
        same_top=None if n_same is None else n_same / quality.n_tokens,
    )


def is_paired(quality: Quality, reference: Quality) -> bool:
    """Whether both are of the same tokens, each judged alone and given as many before it."""
    one_by_one = len(quality.nll_nats) == quality.n_tokens > 0
    what = (
        (q.text, q.tokens_sha256, q.n_pass, q.positions, len(q.nll_nats))
        for q in (quality, reference)
    )
    return one_by_one and len(set(map(repr, what))) == 1


def compared_with(record: Record) -> Mapping[str, Any] | None:
    """The knobs of the setting that the record's sweep compares it with; None where it names
    none."""
    return (record.workload.get("text") or {}).get("reference") or None


def reference_of(record: Record, records: Iterable[Record]) -> Record | None:
    """The record that this one's sweep compares it with, of the same model in the same place; None
    without one."""
    knobs = compared_with(record)
    if knobs is None or record.quality is None:
        return None
    wanted = {**record.config, **knobs}
    return next(
        (
            other
            for other in records
            if other.config == wanted
            and other.quality is not None
            and _place(other) == _place(record)
            and is_paired(record.quality, other.quality)
        ),
        None,
    )


def _place(record: Record) -> tuple[object, ...]:
    return record.model.header_sha256, record.environment.machine, record.environment.backend


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallAt:
    """How many of the facts at one depth were found, and how many tokens before the answer they
    stood (the mean)."""

    depth: float
    n_after: int
    n_found: int
    n_asked: int


def recall_by_depth(needles: Iterable[Needle]) -> tuple[RecallAt, ...]:
    """One item a depth, from the text's beginning to its end."""
    by_depth: dict[float, list[Needle]] = {}
    for needle in needles:
        by_depth.setdefault(needle.depth, []).append(needle)
    return tuple(
        RecallAt(
            depth=depth,
            n_after=round(fmean(needle.n_after for needle in at)),
            n_asked=len(at),
            n_found=sum(needle.found for needle in at),
        )
        for depth, at in sorted(by_depth.items())
    )
