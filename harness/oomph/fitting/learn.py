"""Learns the shipped coefficients from public rows, and how far they hold for cards and models left out.

Stands apart from the calibration of one's own card: it varies every shared coefficient and every card's own effects
at once, with the priors of `coefficients.toml`, and it is run by `scripts/learn_defaults` and never by `oomph`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oomph.estimate.coefficients import Coefficients, definitions, prior_values
from oomph.fitting.least_squares import Array, Solution, solve
from oomph.fitting.observations import Parameters, SpeedObservation

NOISE_SD = 0.06
"""Standard deviation of a row's logarithm that the model cannot explain even at best: host, build, thermals."""
ROBUST_SCALE = 0.15
"""Errors beyond this count less: a row that is far off is more often another machine than another law."""

HeldOut = dict[int, float]
"""ln(predicted / measured) of observations that the fit did not see, by their index."""


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


def left_out(
    observations: Sequence[SpeedObservation], by: Callable[[SpeedObservation], str], whole: Learned,
    only: Iterable[str] | None = None,
) -> HeldOut:  # fmt: skip
    """ln(predicted / measured) of each observation by a fit that saw none with its label `by` (card, model).

    A card left out has no effects of its own; a model left out is predicted with those of the card's other rows.
    """
    errors: HeldOut = {}
    groups: dict[str, list[int]] = defaultdict(list)
    for index, observation in enumerate(observations):
        groups[by(observation)].append(index)
    for label, held in groups.items():
        if only is not None and label not in only:
            continue
        learned = learn([o for o in observations if by(o) != label], whole)
        for index in held:
            o = observations[index]
            errors[index] = o.log_error(dict(learned.values) | dict(learned.cards.get(o.card, {})))
    return errors


def as_coefficients(learned: Learned) -> Coefficients:
    """The learned values in the package's form, with standard errors on the vector's scale."""
    names = [d.name for d in learned.parameters.definitions]
    errors = learned.solution.standard_errors
    return Coefficients(
        values=learned.values, cards=learned.cards,
        standard_errors={name: float(error) for name, error in zip(names, errors, strict=False)},
    )  # fmt: skip
