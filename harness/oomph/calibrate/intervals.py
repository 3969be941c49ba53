"""How wide a 90 % interval must be, from errors on unseen measurements.

Stands apart from the fit because it trusts no distribution: a width is an order statistic of
held-out errors (split-conformal prediction: Lei et al. 2018, doi:10.1080/01621459.2017.1307116;
with weights, Tibshirani et al. 2019, arXiv:1904.06019).
"""

from collections.abc import Sequence
from typing import Final

LEVEL: Final = 0.9
FEW_FACTOR: Final = 1.15
"""What the largest error is multiplied with where too few errors leave no order statistic at the
level."""
ROUNDING: Final = 1e-9


def conformal_width(
    errors: Sequence[float], weights: Sequence[float] | None = None, *, level: float = LEVEL
) -> float:
    """The half width that covers a new error of the same kind with probability `level`, as |errors|
    are seen.

    It is the ceil((n + 1) level)-th smallest; with too few to have that, the largest times
    `FEW_FACTOR`. With `weights`, errors that stand for fewer facts than there are rows count less,
    and the new one as their mean does.
    """
    if not errors:
        raise ValueError("an interval needs at least one error")
    each = [1.0] * len(errors) if weights is None else weights
    total = sum(each)
    needed = level * total * (1 + 1 / len(errors)) * (1 - ROUNDING)
    reached = 0.0
    for size, weight in sorted(
        (abs(error), weight) for error, weight in zip(errors, each, strict=True)
    ):
        reached += weight
        if reached >= needed:
            return size
    return max(abs(error) for error in errors) * FEW_FACTOR


def coverage(errors: Sequence[float], width: float) -> float:
    """The share of errors that an interval of this half width covers."""
    return sum(abs(error) <= width for error in errors) / len(errors)
