"""What the residuals of a fit still follow, beyond noise: a wrong formula shows as a trend.

Each quantity is tested by rank (Spearman's rho), on the means of what shares a value within a load,
so that many rows of one load are not taken for many facts. A trend counts where chance would rarely
show one so clear and where it is large enough to matter.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import expm1, log, log1p
from typing import Final

import numpy as np
from scipy.stats import spearmanr

from oomph.calibrate.observations import SpeedObservation
from oomph.estimate.work import AttentionWork
from oomph.frozen import frozen

SIGNIFICANT: Final = 0.01
"""Chance of a false alarm over all tests of a fit together (Bonferroni)."""
LEAST_TREND: Final = 0.05
"""A trend from one end of the range to the other that is worth a note, as a share."""
LEAST_VALUES: Final = 6
"""Means that a rank test needs: with five, chance alone shows a perfect order once in sixty."""


@frozen
class Trend:
    """Predictions of a test are too high (`size` > 0) or too low as a quantity grows, by `size`
    over its range."""

    test: str
    quantity: str
    size: float

    def __str__(self) -> str:
        direction = "high" if self.size > 0 else "low"
        return (
            f"{self.test}: predictions get {abs(self.size):.0%} too {direction} as "
            f"{self.quantity} grows"
        )


_QUANTITIES: Final[Mapping[str, Callable[[SpeedObservation], float]]] = {
    "the depth": lambda o: log1p(o.n_depth),
    "the number of active experts": lambda o: (
        o.question.on_card.expert_share or o.question.on_host.expert_share
    ),
    "n_ctx": lambda o: log(o.question.config.n_ctx),
    "n_ubatch": lambda o: log(o.question.config.n_ubatch),
    "the number of threads": lambda o: log(o.question.config.n_threads or 1),
    "the KV cache's width": lambda o: sum(group.row_bytes for group in _attention(o)),
}


def _attention(observation: SpeedObservation) -> list[AttentionWork]:
    return [*observation.question.on_card.attention, *observation.question.on_host.attention]


def trends(
    observations: Sequence[SpeedObservation], residuals: Sequence[float]
) -> tuple[Trend, ...]:
    """The trends of ln(predicted / measured), test by test."""
    tests = [(test, name) for test in ("prefill", "decode") for name in _QUANTITIES]
    found = (
        _trend(observations, residuals, test, name, SIGNIFICANT / len(tests))
        for test, name in tests
    )
    return tuple(trend for trend in found if trend)


def _trend(
    observations: Sequence[SpeedObservation],
    residuals: Sequence[float],
    test: str,
    name: str,
    level: float,
) -> Trend | None:
    x, y = np.array(list(_means(observations, residuals, test, _QUANTITIES[name]))).reshape(-1, 2).T
    if len(x) < LEAST_VALUES or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    size = float(expm1(np.polyfit(x, y, 1)[0] * np.ptp(x)))
    if spearmanr(x, y).pvalue > level or abs(size) < LEAST_TREND:
        return None
    return Trend(test=test, quantity=name, size=size)


def _means(
    observations: Sequence[SpeedObservation],
    residuals: Sequence[float],
    test: str,
    quantity: Callable[[SpeedObservation], float],
) -> Iterator[tuple[float, float]]:
    groups: dict[tuple[str, float], list[float]] = defaultdict(list)
    for o, residual in zip(observations, residuals, strict=True):
        if o.test == test:
            groups[o.load, quantity(o)].append(residual)
    for (_, value), own in groups.items():
        yield value, float(np.mean(own))
