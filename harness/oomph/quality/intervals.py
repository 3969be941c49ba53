"""Intervals of shares and of mean scores: plain numbers in, 95 % intervals out."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from random import Random
from statistics import NormalDist, fmean
from typing import Final

Interval = tuple[float, float]

LEVEL: Final = 0.95
Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)
N_RESAMPLES: Final = 2000
SEED: Final = 23
"""Of every resampling, so that the same records give the same page."""
MOST_KEPT: Final = 200
"""Values of a resample up to which the draws are kept, as 3 MB at most."""
_ONE_EITHER_WAY: Final = (-0.5, 0.5)


def wilson(n_right: float, n: int) -> Interval:
    """The 95 % score interval of a share, `n_right` of `n` (Wilson 1927): inside 0 to 1, and never
    of width 0. `n` is at least 1."""
    share, z2 = n_right / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


def mean_interval(scores: Sequence[float]) -> Interval:
    """The 95 % interval of a mean of scores from 0 to 1, of at least one.

    Right or wrong alone have Wilson's; scores in between are resampled (percentile bootstrap), with
    a 0 and a 1 added, so that scores that are all alike do not look certain.
    """
    if all(score in (0, 1) for score in scores):
        return wilson(sum(scores), len(scores))
    return resampled([*scores, 0.0, 1.0], len(scores))


def difference_interval(differences: Sequence[float]) -> Interval:
    """The 95 % interval of the mean of paired differences of scores, each from -1 to 1, of at least
    one.

    Percentile bootstrap with half a difference added either way: where few pairs differ the plain
    bootstrap misses the truth far too often (60 % instead of 95 % of the time with 20 pairs of
    which 5 % differ one way and 2 % the other); tests/quality/test_coverage.py holds this one.
    """
    return resampled([*differences, *_ONE_EITHER_WAY], len(differences))


def resampled(values: Sequence[float], n: int) -> Interval:
    """The middle 95 % of means of `n` values drawn with replacement, N_RESAMPLES times, seeded."""
    drawn: Iterable[Sequence[float]]
    if 1 < n <= MOST_KEPT:
        drawn = (draw(values) for draw in _draws(len(values), n))
    else:
        random = Random(SEED)
        drawn = (random.choices(values, k=n) for _ in range(N_RESAMPLES))
    return middle_of(sorted(map(fmean, drawn)))


@lru_cache(maxsize=4)
def _draws(n_values: int, n: int) -> tuple[Callable[[Sequence[float]], Sequence[float]], ...]:
    """Which of `n_values` values each resample takes: by the seed the same for as many values, so
    that settings that were asked the same items share what is a resample's longest part."""
    random, places = Random(SEED), range(n_values)
    return tuple(itemgetter(*random.choices(places, k=n)) for _ in range(N_RESAMPLES))


def middle_of(ordered: Sequence[float]) -> Interval:
    """The ends of the middle 95 % of values in ascending order."""
    outside = (1 - LEVEL) / 2
    last = len(ordered) - 1
    return ordered[round(outside * last)], ordered[round((1 - outside) * last)]
