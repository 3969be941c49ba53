"""What a calibration knows of its coefficients together, and the width of an interval by it.

Coefficients that are uncertain one by one can be certain together (a token's time and its nodes'
time are hard to tell apart, and their sum is not), so a width follows from the whole covariance: a
prediction far from what was measured is wider by itself. The scale of each group comes from
measurements that were left out, not from a distribution.
"""

from collections.abc import Callable, Mapping
from math import log, sqrt
from typing import Any, Final

from oomph.frozen import frozen

Values = Mapping[str, float]

STEP: Final = 1e-4
"""Step of the differences, on the logarithm of a coefficient."""


@frozen
class Posterior:
    """Of the own coefficients of a machine with `card` (empty: with none), in logarithms:
    `covariance` by `names`.

    `noise_sd` is what measurements of a test (`prefill`, `decode`) scatter about the formulas, as a
    logarithm; `scales` is, for `decode dense`, `prefill MoE` …, the half width of the 90 % interval
    in standard deviations of a prediction.
    """

    card: str
    names: tuple[str, ...]
    covariance: tuple[tuple[float, ...], ...]
    noise_sd: Mapping[str, float]
    scales: Mapping[str, float]

    @classmethod
    def from_mapping(cls, content: Mapping[str, Any]) -> "Posterior | None":
        """What a calibration's JSON holds; None where it holds none. KeyError or TypeError for
        another layout."""
        if not content:
            return None
        return cls(
            card=str(content["card"]),
            names=tuple(content["names"]),
            covariance=tuple(tuple(map(float, row)) for row in content["covariance"]),
            noise_sd=dict(content["noise_sd"]),
            scales=dict(content["scales"]),
        )


def prediction_sd(
    posterior: Posterior, test: str, values: Values, seconds: Callable[[Values], float]
) -> float:
    """Standard deviation of a measurement about its prediction, as a logarithm.

    `seconds` is the predicted time as a function of the coefficients.
    """
    at = log(seconds(values))
    slopes = []
    for name in posterior.names:
        varied = {**values, name: values[name] * (1 + STEP)}
        slopes.append((log(seconds(varied)) - at) / log(1 + STEP))
    variance = posterior.noise_sd[test] ** 2
    for i, row in enumerate(posterior.covariance):
        for j, shared in enumerate(row):
            variance += slopes[i] * shared * slopes[j]
    return sqrt(max(variance, 0.0))
