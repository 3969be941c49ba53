"""Whether two settings differ on the same items: exact tests of pairs, and many at once."""

import math
from collections.abc import Sequence
from fractions import Fraction
from statistics import NormalDist
from typing import Final

FINEST: Final = 100
"""Scores whose common denominator is larger count in hundredths."""
MOST_COUNTED: Final = 3000
"""Items that differ up to which they are counted out; more of them follow the normal curve to three
digits, and would take minutes."""


def mcnemar_p(n_better: int, n_worse: int) -> float:
    """McNemar's exact two-sided p of items that only one of two settings has right: how often fair
    coins fall at least as unevenly. 1 where no item differs; of more than MOST_COUNTED by the
    normal curve."""
    n = n_better + n_worse
    if n > MOST_COUNTED:
        return _normal_p(abs(n_better - n_worse) - 1, n)
    tail = sum(math.comb(n, k) for k in range(min(n_better, n_worse) + 1))
    return min(1.0, float(Fraction(2 * tail, 2**n)))


def sign_flip_p(differences: Sequence[float]) -> float:
    """The exact two-sided p that the mean of paired differences is 0: of all ways to swap the two
    settings item by item, the share whose mean is at least as far from 0.

    Of right and wrong answers it is McNemar's. Counted, not sampled: a polynomial in which the
    coefficient of x^s is how many swaps bring the sum s, held in one integer. Of more than
    MOST_COUNTED items that differ by the normal curve.
    """
    steps = [abs(step) for step in _whole(differences) if step]
    if not steps:
        return 1.0
    seen = abs(sum(_whole(differences)))
    if len(steps) > MOST_COUNTED:
        return _normal_p(seen - math.gcd(*steps), sum(step * step for step in steps))
    width = 8 * (len(steps) // 8 + 1)  # bits of a coefficient, which is at most 2^len(steps)
    counts = 1
    for step in steps:
        counts += counts << (step * width)  # a swap moves the sum by twice its step
    total, size = sum(steps), width // 8
    data = counts.to_bytes((total + 1) * size, "little")
    most = (total - seen) // 2
    tail = sum(int.from_bytes(data[k * size : (k + 1) * size], "little") for k in range(most + 1))
    return min(1.0, float(Fraction(2 * tail, 2 ** len(steps))))


def _normal_p(distance: float, variance: float) -> float:
    """The two-sided p of a sum so far from 0, less half of what it moves by (which is twice the
    smallest step)."""
    return 2 * NormalDist().cdf(-max(distance, 0) / math.sqrt(variance))


def _whole(differences: Sequence[float]) -> list[int]:
    """The differences as whole numbers of their common unit."""
    exact = [Fraction(each).limit_denominator(FINEST) for each in differences]
    unit = math.lcm(*(each.denominator for each in exact))
    if unit > FINEST:
        return [round(FINEST * each) for each in differences]
    return [int(each * unit) for each in exact]


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values as they count among all of these together (Holm 1979), in their order: an
    error anywhere among them is then no likelier than the level."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
