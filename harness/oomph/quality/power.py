"""How many items tell two settings apart: what a number of pairs can show, and what it lacks."""

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Final

from oomph.quality.intervals import Z
from oomph.quality.paired_tests import mcnemar_p

POWER: Final = 0.8
"""How often the difference is to be shown, where it is there."""
MOST_ITEMS: Final = 1_000_000
_STEP: Final = 0.001


def items_needed(difference: float, square: float) -> int | None:
    """Pairs that show a true mean `difference` of paired scores in 80 % of tries at the 5 % level;
    None for no difference, and for more than a million.

    `square` is the mean of the squared differences: of right and wrong answers the share of items
    that only one setting has right. Normal approximation of McNemar's test (Miettinen 1968; Connor
    1987). Assumes that further items differ as these do.
    """
    spread = square - difference**2
    if not difference or spread < 0:
        return None
    z_power = NormalDist().inv_cdf(POWER)
    n = ((Z * math.sqrt(square) + z_power * math.sqrt(spread)) / difference) ** 2
    return math.ceil(n) if n <= MOST_ITEMS else None


@lru_cache(maxsize=512)
def smallest_shown(n: int, discordant: float) -> float | None:
    """The smallest true difference of the share of right answers that McNemar's exact test shows
    in 80 % of tries with `n` pairs, where a share `discordant` of them is right in one setting
    only; None where none can be shown. In steps of a tenth of a point."""
    if power(n, discordant, discordant) < POWER:
        return None
    low, high = 0, round(discordant / _STEP)
    while high - low > 1:
        middle = (low + high) // 2
        if power(n, discordant, middle * _STEP) < POWER:
            low = middle
        else:
            high = middle
    return high * _STEP


def power(n: int, discordant: float, difference: float) -> float:
    """How often McNemar's exact test at the 5 % level shows a true `difference` with `n` pairs of
    which a share `discordant` differs; summed over all outcomes."""
    better = 0.5 * (1 + difference / discordant) if discordant else 0.5
    return sum(
        share * _shown(n_differ, min(better, 1.0))
        for n_differ in range(n + 1)
        if (share := _binomial(n, n_differ, discordant)) > 1e-12
    )


def _shown(n_differ: int, better: float) -> float:
    """Of `n_differ` items that differ, each for the better with that probability: how often the
    test shows it."""
    limit = _most_uneven(n_differ)
    return sum(
        _binomial(n_differ, k, better) + _binomial(n_differ, n_differ - k, better)
        for k in range(limit + 1)
    )


@lru_cache(maxsize=4096)
def _most_uneven(n_differ: int) -> int:
    """The largest number on the smaller side that still shows a difference; -1 where none does."""
    limit = -1
    while limit + 1 <= n_differ // 2 and mcnemar_p(limit + 1, n_differ - limit - 1) <= 0.05:
        limit += 1
    return limit


def _binomial(n: int, k: int, share: float) -> float:
    if share in (0.0, 1.0):
        return float(k == n * share)
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log + k * math.log(share) + (n - k) * math.log1p(-share))
