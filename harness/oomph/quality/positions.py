"""What a token costs by how much stands before it: bins of context that double in length."""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

from oomph.frozen import frozen
from oomph.quality.text import Mean, is_paired, mean_of
from oomph.records.schema import Quality, Record

FIRST_BIN: Final = 32
"""Tokens of context that end the first bin; each bin is as long as all before it."""
FEWEST_TOKENS: Final = 8
"""A bin with fewer tokens has no mean worth showing."""


Bins = Mapping[int, Sequence[float]]


@frozen
class PositionLoss:
    """The mean negative log-likelihood, in nats, of tokens that were given from `first` to `last`
    tokens."""

    first: int
    last: int
    n_tokens: int
    mean_nats: float
    error_nats: float


@frozen
class PositionCost:
    """Tokens that were given from `first` to `last` tokens, paired: `loss_nats` is the mean
    difference of their negative log-likelihoods, `divergence_nats` the mean KL divergence, None
    where it was not recorded."""

    first: int
    last: int
    loss_nats: Mean
    divergence_nats: Mean | None


def positions_of(quality: Quality) -> Sequence[int]:
    """How many tokens each judged one was given; empty where the record does not tell."""
    if quality.positions:
        return quality.positions
    if not quality.n_pass or quality.n_pass < 2:
        return ()
    return [index % (quality.n_pass - 1) + 1 for index in range(len(quality.nll_nats))]


def losses_by_position(quality: Quality) -> tuple[PositionLoss, ...]:
    """By bins of context that double in length; empty where the record does not tell the tokens'
    positions."""
    bins = _binned(zip(positions_of(quality), quality.nll_nats, strict=False))
    return tuple(
        PositionLoss(
            first=first_of(number),
            last=FIRST_BIN << number,
            n_tokens=len(losses),
            mean_nats=fmean(losses),
            error_nats=stdev(losses) / math.sqrt(len(losses)),
        )
        for number, losses in bins.items()
        if len(losses) >= FEWEST_TOKENS
    )


def first_of(number: int) -> int:
    """The fewest tokens of context in a bin."""
    return 1 + (FIRST_BIN << number >> 1 if number else 0)


def costs_by_position(quality: Quality, reference: Quality) -> tuple[PositionCost, ...]:
    """What a setting costs against its reference, bin by bin; empty where the two did not score
    the same tokens one by one, or do not tell the positions."""
    places = positions_of(quality)
    if not places or not is_paired(quality, reference):
        return ()
    losses = (own - its for own, its in zip(quality.nll_nats, reference.nll_nats, strict=True))
    has_divergence = len(quality.kl_nats) == len(places)
    divergences = _binned(zip(places, quality.kl_nats, strict=True)) if has_divergence else {}
    return _costs(_binned(zip(places, losses, strict=False)), divergences)


def gains_of_context(long: Record, short: Record) -> tuple[PositionCost, ...]:
    """What the tokens of a text gain from a longer pass, bin by bin of the longer pass: the same
    tokens, judged in both, where the longer pass gives them more. Below 0 is a gain.

    Empty where the two are not of one sweep, one text and one setting but for n_ctx.
    """
    if not _same_text(long, short):
        return ()
    longer, shorter = _by_token(long.quality), _by_token(short.quality)
    pairs = (
        (place, loss - shorter[token][1])
        for token, (place, loss) in longer.items()
        if token in shorter and place > shorter[token][0]
    )
    return _costs(_binned(pairs), {})


def _same_text(long: Record, short: Record) -> bool:
    if long.quality is None or short.quality is None or long.sweep != short.sweep:
        return False
    return (
        _text_asked(long) == _text_asked(short)
        and long.model.header_sha256 == short.model.header_sha256
        and _but_for_context(long.config) == _but_for_context(short.config)
        and bool(long.quality.n_pass and short.quality.n_pass)
        and (long.quality.n_pass or 0) > (short.quality.n_pass or 0)
    )


def _text_asked(record: Record) -> object:
    asked = dict(record.workload.get("text") or {})
    return asked.get("file"), asked.get("n_tokens"), record.quality and record.quality.text


def _but_for_context(config: Mapping[str, Any]) -> dict[str, Any]:
    return {knob: value for knob, value in config.items() if knob != "n_ctx"}


def _by_token(quality: Quality | None) -> dict[int, tuple[int, float]]:
    """By the token's place in the text: the tokens that it was given, and its loss."""
    if quality is None or not quality.n_pass or quality.positions:
        return {}
    step = quality.n_pass - 1
    return {
        index // step * quality.n_pass + index % step + 1: (index % step + 1, loss)
        for index, loss in enumerate(quality.nll_nats)
    }


def _binned(pairs: Iterable[tuple[int, float]]) -> dict[int, list[float]]:
    """Values by the number of their bin, the shortest context first."""
    bins: dict[int, list[float]] = {}
    for position, value in pairs:
        bins.setdefault(max((position - 1) // FIRST_BIN, 0).bit_length(), []).append(value)
    return dict(sorted(bins.items()))


def _costs(losses: Bins, divergences: Bins) -> tuple[PositionCost, ...]:
    return tuple(
        PositionCost(
            first=first_of(number),
            last=FIRST_BIN << number,
            loss_nats=mean_of(values),
            divergence_nats=mean_of(divergences[number]) if number in divergences else None,
        )
        for number, values in losses.items()
        if len(values) >= FEWEST_TOKENS
    )
