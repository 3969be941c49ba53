"""Whether a calibration can be believed: its errors, what they follow, what rests on a bound."""

from collections.abc import Mapping, Sequence
from typing import Final

from oomph.calibrate.left_out import (
    QUANTITIES,
    HeldOutErrors,
    LeftOut,
    Quantity,
    errors_of,
    nested_coverage,
)
from oomph.calibrate.residual_tests import Trend
from oomph.frozen import frozen
from oomph.units import share

WORST_MEDIAN: Final[Mapping[Quantity, float]] = {
    "prefill": 0.15,
    "decode": 0.15,
    "host_memory": 0.1,
    "vram": 0.1,
}
"""A median error of left-out loads beyond which a fit says less than the shipped coefficients
would."""
WORST_TREND: Final = 0.25
"""A trend of the residuals, from end to end, beyond which a formula does not describe this machine.
"""
LEAST_COVERAGE: Final = 0.75
"""Below this share of left-out measurements inside their 90 % intervals, these are too narrow to be
printed."""
MOST_DISTURBED: Final = 0.5
"""With a larger share of disturbed records what is left is what happened to be quiet."""
MANY: Final = 20
"""Left-out measurements from which on their coverage can be judged."""


@frozen
class Health:
    """Errors by quantity without disturbed records, `held_out` by a fit that had not seen the load.

    `coverage_90` is the share of left-out measurements inside intervals that were chosen without
    them; None where there were too few to leave any out. `failures` are why the calibration is not
    to be used, `notes` what else a reader has to know. `n_disturbed` counts records.
    """

    in_sample: Mapping[Quantity, HeldOutErrors]
    held_out: Mapping[Quantity, HeldOutErrors]
    coverage_90: float | None
    n_disturbed: int
    failures: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether answers may be built upon it."""
        return not self.failures


def judge(
    *,
    in_sample: Mapping[Quantity, Sequence[float]],
    left_out: Sequence[LeftOut],
    trends: Sequence[Trend],
    at_bound: Sequence[str],
    n_records: int,
    n_disturbed: int,
    notes: Sequence[str],
) -> Health:
    """The health of a fit; `in_sample` are ln(predicted / measured) of what it saw."""
    held_out = {
        q: errors_of(each.error for each in left_out if each.quantity == q) for q in QUANTITIES
    }
    seen = {q: errors_of(in_sample.get(q, ())) for q in QUANTITIES}
    coverage = nested_coverage(left_out)
    failures = [
        *(
            failure
            for q in QUANTITIES
            if (failure := _too_far(q, held_out[q] if held_out[q].n else seen[q]))
        ),
        *(
            f"{trend}, beyond {share(WORST_TREND, 0)}"
            for trend in trends
            if abs(trend.size) > WORST_TREND
        ),
    ]
    if coverage is not None and coverage < LEAST_COVERAGE and len(left_out) >= MANY:
        failures.append(
            f"only {share(coverage, 0)} of left-out measurements are inside their 90 % intervals"
        )
    if n_records and n_disturbed > MOST_DISTURBED * n_records:
        failures.append(
            f"{n_disturbed} of {n_records} records were disturbed; measure again on a quiet machine"
        )
    said = [
        *(str(trend) for trend in trends if abs(trend.size) <= WORST_TREND),
        *(
            f"{name} rests on its bound: the formula may not describe this machine"
            for name in at_bound
        ),
        *notes,
    ]
    return Health(
        in_sample=seen,
        held_out=held_out,
        coverage_90=coverage,
        n_disturbed=n_disturbed,
        failures=tuple(failures),
        notes=tuple(said),
    )


def _too_far(quantity: Quantity, errors: HeldOutErrors) -> str | None:
    if errors.median is None or errors.median <= WORST_MEDIAN[quantity]:
        return None
    words = quantity.replace("_", " ")
    return (
        f"{words} of loads left out is off by {share(errors.median)} in the median over "
        f"{errors.n} measurements"
    )
