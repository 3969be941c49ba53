"""What a calibration gives: an estimator, and what a reader needs to judge it."""

from collections.abc import Mapping, Sequence
from math import expm1
from typing import Final

import numpy as np

from oomph.calibrate.health import Health
from oomph.calibrate.least_squares import Solution
from oomph.estimate.coefficients import Coefficients, Definition
from oomph.estimate.estimator import Estimator
from oomph.frozen import frozen

MOVED: Final = 0.5
"""A coefficient is identified where the records took away at least this share of its prior variance
…"""
KNOWN_TO: Final = 0.25
"""… and it is known to better than this share of itself."""
TOGETHER: Final = 0.8
"""Correlation from which on two coefficients are said to be known together rather than each by
itself."""


@frozen
class FittedCoefficient:
    """One coefficient: `relative_error` is its standard error as a share of it, `moved` what share
    of its prior variance the records took away."""

    name: str
    value: float
    default: float
    relative_error: float
    moved: float
    at_bound: bool
    meaning: str

    @property
    def is_identified(self) -> bool:
        """Whether the records moved it and it is known well."""
        return self.moved >= MOVED and self.relative_error <= KNOWN_TO


@frozen
class FitResult:
    """A calibration: `health` says whether to believe it, `advice` what to measure next, `notes`
    what was left out.

    `noise_sd` is of the logarithm of rates by test, `memory_error_bytes` the largest left in
    memory; None where the records held nothing of the kind. `known_together` are sentences on
    coefficients that cannot be told apart.
    """

    estimator: Estimator
    coefficients: Coefficients
    fitted: tuple[FittedCoefficient, ...]
    known_together: tuple[str, ...]
    n_records: int
    n_measurements: int
    noise_sd: Mapping[str, float] | None
    memory_error_bytes: float | None
    covered: Mapping[str, tuple[float, float]]
    health: Health
    advice: tuple[str, ...]


def fitted_coefficients(
    definitions: Sequence[Definition], start: Mapping[str, float], solution: Solution
) -> tuple[FittedCoefficient, ...]:
    """What a solution on the definitions' vector says of each; errors of logarithms as shares of
    the value."""
    values = [
        x if d.linear else float(np.exp(x))
        for d, x in zip(definitions, solution.parameters, strict=True)
    ]
    return tuple(
        FittedCoefficient(
            name=d.name,
            value=value,
            default=start[d.name],
            relative_error=float(expm1(min(float(error), 5.0))),
            moved=float(moved),
            at_bound=at_bound,
            meaning=d.meaning,
        )
        for d, value, error, moved, at_bound in zip(
            definitions,
            values,
            solution.standard_errors,
            solution.informed,
            solution.at_bound,
            strict=True,
        )
    )


def known_together(fitted: Sequence[FittedCoefficient], solution: Solution) -> tuple[str, ...]:
    """A sentence on each pair of which one at least is not identified and that the records tie to
    each other."""
    errors = solution.standard_errors
    correlations = solution.covariance / np.outer(errors, errors)
    return tuple(
        f"{one.name} and {other.name} are known together, not apart (correlation "
        f"{correlations[i, j]:+.2f})"
        for i, one in enumerate(fitted)
        for j, other in enumerate(fitted[:i])
        if abs(correlations[i, j]) >= TOGETHER and not (one.is_identified and other.is_identified)
    )
