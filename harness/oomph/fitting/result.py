"""What a calibration gives: an estimator, and what a reader needs to judge it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from oomph.estimate.coefficients import Coefficients
from oomph.estimate.estimator import Estimator

IDENTIFIED: Final = 0.5
"""A coefficient is identified when the records took away at least this share of its prior variance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCoefficient:
    """One coefficient: `relative_error` is its standard error as a share of it. Not identified: the default's value."""

    name: str
    value: float
    default: float
    relative_error: float
    is_identified: bool
    at_bound: bool
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """A calibration. `residual_patterns` are sentences, `advice` names what to measure next; both may be empty.

    `noise_sd` is of the logarithm of rates, `memory_error_bytes` the largest left in memory; None where the records
    held nothing of the kind. `condition` is the ratio of the best to the worst known direction.
    """

    estimator: Estimator
    coefficients: Coefficients
    fitted: tuple[FittedCoefficient, ...]
    n_records: int
    n_measurements: int
    noise_sd: float | None
    memory_error_bytes: float | None
    condition: float | None
    covered: Mapping[str, tuple[float, float]]
    residual_patterns: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def not_identified(self) -> tuple[str, ...]:
        """The names of coefficients that these records leave at their defaults."""
        return tuple(fitted.name for fitted in self.fitted if not fitted.is_identified)
