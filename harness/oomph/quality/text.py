"""What a setting costs in quality against the reference setting, paired token by token.

Stands apart from the views because it is statistics: the tokens of one text differ far more than
two settings do, so only the differences at each token tell settings apart. Tokens count as
independent, as llama-perplexity has it.
"""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from oomph.frozen import frozen
from oomph.records.grouping import knob_set
from oomph.records.schema import Needle, Quality, Record

NORMAL_95: Final = 1.96
"""Half the width of a 95 % interval in standard errors."""


@frozen
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


@frozen
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
    return _is_one_by_one(quality) and _tokens(quality) == _tokens(reference)


def _is_one_by_one(quality: Quality) -> bool:
    return len(quality.nll_nats) == quality.n_tokens > 0


def _tokens(quality: Quality) -> Hashable:
    """What was judged, and after how much."""
    n_judged = len(quality.nll_nats)
    text = quality.text, quality.tokens_sha256
    return *text, quality.n_pass, tuple(quality.positions), n_judged


def compared_with(record: Record) -> Mapping[str, Any] | None:
    """The knobs of the setting that the record's sweep compares it with; None where it names
    none."""
    return (record.workload.get("text") or {}).get("reference") or None


class References:
    """Among records, those that others are compared with."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._first: dict[Hashable, Record] = {}
        for record in records:
            if record.quality is not None:
                key = _compared_key(record, record.config, record.quality)
                self._first.setdefault(key, record)

    def of(self, record: Record) -> Record | None:
        """The first record that this one's sweep compares it with, of the same model in the same
        place; None without one."""
        knobs, quality = compared_with(record), record.quality
        if knobs is None or quality is None or not _is_one_by_one(quality):
            return None
        return self._first.get(_compared_key(record, {**record.config, **knobs}, quality))


def _compared_key(record: Record, config: Mapping[str, Any], quality: Quality) -> Hashable:
    return _place(record), knob_set(config), _tokens(quality)


def _place(record: Record) -> tuple[object, ...]:
    return record.model.header_sha256, record.environment.machine, record.environment.backend


@frozen
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
