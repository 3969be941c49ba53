"""How wide a 90 % interval must be, from errors on unseen measurements.

Stands apart from the fit because it trusts no distribution: a width is an order statistic of held-out errors
(split-conformal prediction: Lei et al. 2018, doi:10.1080/01621459.2017.1307116).
"""

import math
from collections.abc import Sequence
from typing import Final

LEVEL: Final = 0.9
FEW_FACTOR: Final = 1.15
"""What the largest error is multiplied with where too few errors leave no order statistic at the level."""


def conformal_width(errors: Sequence[float], *, level: float = LEVEL) -> float:
    """The half width that covers a new error of the same kind with probability `level`, as |errors| are seen.

    It is the ceil((n + 1) level)-th smallest; with too few to have that, the largest times `FEW_FACTOR`.
    """
    sizes = sorted(abs(error) for error in errors)
    if not sizes:
        raise ValueError("an interval needs at least one error")
    rank = math.ceil((len(sizes) + 1) * level)
    return sizes[rank - 1] if rank <= len(sizes) else sizes[-1] * FEW_FACTOR


def coverage(errors: Sequence[float], width: float) -> float:
    """The share of errors that an interval of this half width covers."""
    return sum(abs(error) <= width for error in errors) / len(errors)
