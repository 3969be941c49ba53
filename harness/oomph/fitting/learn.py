"""Learns the shipped coefficients, and how far they hold for what was left out.

Stands apart from the calibration of one's own card: it varies every shared coefficient and every card's own effects
at once, with the priors of `coefficients.toml`, and it is run by `scripts/learn_defaults` and never by `oomph`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oomph.estimate.coefficients import Coefficients, definitions, prior_values
from oomph.fitting.least_squares import Array, Solution, solve
from oomph.fitting.observations import Parameters, SpeedObservation

NOISE_SD = 0.07
"""Standard deviation of a row's logarithm that the model cannot explain even at best: host, build, thermals."""
ROBUST_SCALE = 0.15
"""Errors beyond this count less: a row that is far off is more often another machine than another law."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Shared values and cards' own effects with the fit that they come from."""

    values: Mapping[str, float]
    cards: Mapping[str, Mapping[str, float]]
    parameters: Parameters
    solution: Solution


def shared_names() -> tuple[str, ...]:
    """The coefficients that public rows of single cards can teach: all but a machine's own."""
    return tuple(name for name, d in definitions().items() if not d.own and not name.startswith("memory."))


def learn(observations: Sequence[SpeedObservation], start: Learned | None = None) -> Learned:
    """Fits shared coefficients and each card's own effects; `start` is a nearby fit to begin from."""
    cards = sorted({o.card for o in observations})
    parameters = Parameters(prior_values(), shared_names(), cards)
    solution = solve(
        lambda x: parameters.evaluate(observations, x),
        parameters.start(),
        begin=None if start is None else _begin(parameters, start),
        lower=parameters.lower(), upper=parameters.upper(), prior_sd=parameters.column(lambda d: d.sd),
        weights=np.array([o.weight for o in observations]), noise_sd=NOISE_SD, robust_scale=ROBUST_SCALE,
    )  # fmt: skip
    x = solution.parameters
    return Learned(values=parameters.values(x), cards=parameters.own(x), parameters=parameters, solution=solution)


def _begin(parameters: Parameters, start: Learned) -> Array:
    nearby = Parameters(start.values, parameters.shared, parameters.cards)
    return nearby.start(start.cards)


def fits_without(
    observations: Sequence[SpeedObservation], by: Callable[[SpeedObservation], str], whole: Learned
) -> dict[str, Learned]:
    """For each label that `by` gives (a card, a model), a fit that saw no observation with it."""
    labels = sorted({by(o) for o in observations})
    return {label: learn([o for o in observations if by(o) != label], whole) for label in labels}


def held_out_errors(
    observations: Sequence[SpeedObservation], by: Callable[[SpeedObservation], str], fits: Mapping[str, Learned]
) -> list[float]:
    """ln(predicted / measured) of each observation by the fit that did not see its label.

    A card left out has no effects of its own; a model left out is predicted with those of the card's other rows.
    """
    return [o.log_error({**fits[by(o)].values, **fits[by(o)].cards.get(o.card, {})}) for o in observations]


def as_coefficients(learned: Learned) -> Coefficients:
    """The learned values in the package's form, with standard errors on the vector's scale."""
    names = [d.name for d in learned.parameters.definitions]
    errors = learned.solution.standard_errors
    return Coefficients(
        values=learned.values, cards=learned.cards,
        standard_errors={name: float(error) for name, error in zip(names, errors, strict=False)},
    )  # fmt: skip
