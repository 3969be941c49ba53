"""Learns the shipped coefficients, and how far they hold for what was left out.

Stands apart from the calibration of one's own card: it varies every shared coefficient and every
card's own effects at once, with the priors of `coefficients.toml`, and it is run by
`scripts/learn_defaults` and never by `oomph`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oomph.calibrate.least_squares import Array, Solution, solve
from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.parameters import Parameters
from oomph.estimate.coefficients import Coefficients, definitions, prior_values

NOISE_SD = 0.07
"""Standard deviation of a row's logarithm that the model cannot explain even at best: host, build,
thermals."""
BOUND = 1e-9
"""How near to a bound counts as on it."""
ROBUST_SCALE = 0.15
"""Errors beyond this count less: a row that is far off is more often another machine than another
law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Shared values and cards' own effects with the fit that they come from."""

    values: Mapping[str, float]
    cards: Mapping[str, Mapping[str, float]]
    parameters: Parameters
    solution: Solution


def shared_names() -> tuple[str, ...]:
    """The coefficients that public rows of single cards can teach: all but a machine's own."""
    return tuple(
        name for name, d in definitions().items() if not d.own and not name.startswith("memory.")
    )


NEARBY_STEPS = 3
"""Gauss-Newton steps from a fit to that of most of its rows: a fourth moves predictions by less
than 0.5 %."""


def learn(observations: Sequence[SpeedObservation]) -> Learned:
    """Fits shared coefficients and each card's own effects."""
    cards = sorted({o.card for o in observations})
    parameters = Parameters(prior_values(), shared_names(), cards)
    solution = solve(
        lambda x: parameters.evaluate(observations, x),
        parameters.start(),
        lower=parameters.lower(),
        upper=parameters.upper(),
        prior_sd=parameters.column(lambda d: d.sd),
        weights=np.array([o.weight for o in observations]),
        noise_sd=NOISE_SD,
        robust_scale=ROBUST_SCALE,
    )
    x = solution.parameters
    return Learned(
        values=parameters.values(x),
        cards=parameters.own(x),
        parameters=parameters,
        solution=solution,
    )


def fits_without(
    observations: Sequence[SpeedObservation], by: Callable[[SpeedObservation], str], whole: Learned
) -> dict[str, dict[str, dict[str, float]]]:
    """For each label that `by` gives (a card, a model), every card's values by a fit that saw no
    row with it.

    `whole` is the fit of all, from which each is a few steps away. A card without a row left has no
    effects of its own.
    """
    labels = [by(o) for o in observations]
    residuals, jacobian = whole.parameters.evaluate(observations, whole.solution.parameters)
    found = {}
    for label in sorted(set(labels)):
        rows = np.array([other != label for other in labels])
        kept = [o for o, is_kept in zip(observations, rows, strict=True) if is_kept]
        x = nearby_solution(kept, whole, (residuals[rows], jacobian[rows]))
        shared, own = whole.parameters.values(x), whole.parameters.own(x)
        found[label] = {card: shared | effects for card, effects in own.items()}
    return found


def nearby_solution(
    observations: Sequence[SpeedObservation], whole: Learned, evaluated: tuple[Array, Array]
) -> Array:
    """The vector that fits `observations`, a part of `whole`'s; `evaluated` are residuals and
    slopes at `whole`'s own.

    Gauss-Newton on the same robust loss and priors as `solve`: a row weighs less the further it is
    off, and a parameter that a step would take over its bound stays on it.
    """
    parameters = whole.parameters
    mean, lower, upper = parameters.start(), parameters.lower(), parameters.upper()
    precision = parameters.column(lambda d: d.sd) ** -2
    weights = np.array([o.weight for o in observations]) / NOISE_SD**2
    x = whole.solution.parameters
    for step in range(NEARBY_STEPS):
        residuals, jacobian = evaluated if step == 0 else parameters.evaluate(observations, x)
        robust = weights / (1 + (residuals / ROBUST_SCALE) ** 2)
        slope = jacobian.T @ (robust * residuals) + precision * (x - mean)
        curvature = (jacobian * robust[:, None]).T @ jacobian + np.diag(precision)
        free = ~(((x <= lower + BOUND) & (slope > 0)) | ((x >= upper - BOUND) & (slope < 0)))
        moved = np.zeros_like(x)
        moved[free] = -np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        x = np.clip(x + moved, lower, upper)
    return x


def held_out_errors(
    observations: Sequence[SpeedObservation],
    by: Callable[[SpeedObservation], str],
    fits: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> list[float]:
    """ln(predicted / measured) of each observation by the fit that did not see its label.

    A card left out has no effects of its own; a model left out is predicted with those of the
    card's other rows.
    """
    return [o.log_error(fits[by(o)][o.card]) for o in observations]


def as_coefficients(learned: Learned) -> Coefficients:
    """The learned values in the package's form, with standard errors on the vector's scale."""
    names = [d.name for d in learned.parameters.definitions]
    errors = learned.solution.standard_errors
    return Coefficients(
        values=learned.values,
        cards=learned.cards,
        standard_errors={name: float(error) for name, error in zip(names, errors, strict=False)},
    )
