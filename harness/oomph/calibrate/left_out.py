"""Errors of measurements that a fit had not seen, and how often an interval held them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import expm1
from statistics import median
from typing import Final, Literal

import numpy as np

from oomph.calibrate.intervals import conformal_width
from oomph.frozen import frozen

Quantity = Literal["prefill", "decode", "host_memory", "vram"]
QUANTITIES: Final[tuple[Quantity, ...]] = ("prefill", "decode", "host_memory", "vram")

NORMAL_SCALE: Final = 1.645
"""Standard deviations in half of a 90 % interval of normal noise."""
NORMAL_WEIGHT: Final = 4
"""How many left-out errors that is worth, before there are some."""


@frozen
class LeftOut:
    """A measurement that was left out with its `part`: `error` is ln(predicted / measured), `score`
    in noise units.

    Errors of one `group` are judged together.
    """

    quantity: Quantity
    group: str
    part: int
    error: float
    score: float


@frozen
class HeldOutErrors:
    """Sizes of |predicted / measured - 1|; None of nothing."""

    median: float | None
    p90: float | None
    worst: float | None
    n: int


def errors_of(log_errors: Iterable[float]) -> HeldOutErrors:
    """The sizes of errors that are given as ln(predicted / measured)."""
    sizes = [abs(expm1(error)) for error in log_errors]
    if not sizes:
        return HeldOutErrors(median=None, p90=None, worst=None, n=0)
    return HeldOutErrors(
        median=median(sizes), p90=float(np.quantile(sizes, 0.9)), worst=max(sizes), n=len(sizes)
    )


def interval_scale(scores: Sequence[float]) -> float:
    """Half of a 90 % interval in noise units: of left-out errors, drawn to what normal noise has
    where they are few."""
    if not scores:
        return NORMAL_SCALE
    weight = len(scores) / (len(scores) + NORMAL_WEIGHT)
    return weight * conformal_width(scores) + (1 - weight) * NORMAL_SCALE


def nested_coverage(left_out: Sequence[LeftOut]) -> float | None:
    """The share of left-out measurements inside an interval whose scale did not see their part
    either."""
    groups: dict[str, list[LeftOut]] = defaultdict(list)
    for each in left_out:
        groups[each.group].append(each)
    held: list[bool] = []
    for group in groups.values():
        for part in dict.fromkeys(each.part for each in group):
            others = [each.score for each in group if each.part != part]
            if others:
                scale = interval_scale(others)
                held += [abs(each.score) <= scale for each in group if each.part == part]
    return sum(held) / len(held) if held else None
