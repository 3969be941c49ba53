"""Fits a machine's rates: a card's own effects, or a host's bandwidth, all together.

Every coefficient that some measurement depends on is estimated under its prior, and none is put
back: what one row cannot tell apart another may, and what none can stays near its prior with the
prior's uncertainty. Prefill and decode have a noise of their own, taken from what is left over; a
row that is far beyond it counts less.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from oomph.calibrate.folds import folds
from oomph.calibrate.least_squares import Array, Solution, clustered_covariance, solve
from oomph.calibrate.left_out import LeftOut, interval_scale
from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.parameters import Parameters
from oomph.calibrate.result import FittedCoefficient, fitted_coefficients, known_together
from oomph.estimate.coefficients import Coefficients, definitions
from oomph.estimate.posterior import Posterior, prediction_sd
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

NOISE_SD: Final = 0.04
"""What one machine's rates scatter about the formulas, before its own records say better."""
NOISE_WEIGHT: Final = 4.0
"""How many measurements that belief is worth."""
LEAST_NOISE_SD: Final = 0.005
"""No clock and no formula is better than this."""
MAD_SCALE: Final = 1.4826
"""Makes the median absolute deviation estimate the standard deviation of normal noise."""
CAUCHY: Final = 2.385
"""Scale of Cauchy's loss in standard deviations: 95 % efficient where noise is normal (Holland and
Welsch 1977)."""
MACHINES_APART: Final = 2**0.5
"""How much further from its generation one machine may be than its card: hosts scatter about their
card as much."""
LEAST_SLOPE: Final = 1e-6
"""A coefficient on which no measurement depends more than this is not varied."""
ROUNDS: Final = 3
"""Fits in turn with the noise that the one before left over."""


@frozen
class SpeedFit:
    """Fitted values and what is known of them together; `left_out` are errors of loads that a fit
    had not seen."""

    values: Mapping[str, float]
    fitted: tuple[FittedCoefficient, ...]
    known_together: tuple[str, ...]
    parameters: Parameters
    solution: Solution
    posterior: Posterior
    observations: tuple[SpeedObservation, ...]
    left_out: tuple[LeftOut, ...]


def fit_speed(
    gpu: GpuSpec | None, observations: Sequence[SpeedObservation], base: Coefficients
) -> SpeedFit:
    """Own effects of the card and the host's coefficients, as far as any observation depends on
    them."""
    card = gpu.name if gpu else ""
    start = dict(base.for_card(card))
    parameters = _varied(start, observations)
    noise = dict.fromkeys(("prefill", "decode"), NOISE_SD)
    solution = solve_rates(parameters, observations, noise)
    for _ in range(ROUNDS - 1):
        noise = _noise(observations, solution)
        solution = solve_rates(parameters, observations, noise, solution.parameters)
    values = parameters.values(solution.parameters)
    left_out = _left_out(parameters, observations, noise, solution)
    posterior = _posterior(card, parameters, solution, noise, _scales(left_out, observations))
    fitted = fitted_coefficients(parameters.definitions, start, solution)
    return SpeedFit(
        values={name: values[name] for name in parameters.shared},
        fitted=fitted,
        known_together=known_together(fitted, solution),
        parameters=parameters,
        solution=solution,
        posterior=posterior,
        observations=tuple(observations),
        left_out=left_out,
    )


def _varied(start: Mapping[str, float], observations: Sequence[SpeedObservation]) -> Parameters:
    """The machine's own coefficients on which some observation depends."""
    names = [name for name, d in definitions().items() if d.own and not name.startswith("memory.")]
    everything = Parameters(start, names)
    _, slopes = everything.evaluate(observations, everything.start())
    steepest = np.abs(slopes).max(axis=0)
    return Parameters(
        start, [name for name, slope in zip(names, steepest, strict=True) if slope > LEAST_SLOPE]
    )


def solve_rates(
    parameters: Parameters,
    observations: Sequence[SpeedObservation],
    noise: Mapping[str, float],
    begin: Array | None = None,
) -> Solution:
    """The fit of `parameters` in units of each test's noise, as a machine's against its card's;
    rates of one record err together."""
    prior_sd = parameters.column(lambda d: d.sd * MACHINES_APART)
    weights = np.array([o.weight / noise[o.test] ** 2 for o in observations])
    solution = solve(
        lambda x: parameters.evaluate(observations, x),
        parameters.start(),
        begin=begin,
        lower=parameters.lower(),
        upper=parameters.upper(),
        prior_sd=prior_sd,
        weights=weights,
        noise_sd=1.0,
        robust_scale=CAUCHY,
    )
    residuals, jacobian = parameters.evaluate(observations, solution.parameters)
    root = np.sqrt(weights)
    covariance = clustered_covariance(
        solution.covariance,
        jacobian * root[:, None],
        residuals * root,
        1 / (1 + weights * residuals**2 / CAUCHY**2),
        prior_sd,
        [o.source for o in observations],
    )
    informed = 1 - np.diag(covariance) / prior_sd**2
    return replace(solution, covariance=covariance, informed=informed)


def _noise(observations: Sequence[SpeedObservation], solution: Solution) -> dict[str, float]:
    """By test, what is left over: the median absolute deviation, whatever lies far off, beside what
    was believed.

    The parameters that the data determined have taken their share of the scatter away.
    """
    spent = float(np.clip(solution.informed, 0, 1).sum()) / len(observations)
    found = {}
    for test in ("prefill", "decode"):
        own = np.array(
            [r for o, r in zip(observations, solution.residuals, strict=True) if o.test == test]
        )
        if not own.size:
            found[test] = NOISE_SD
            continue
        scatter = MAD_SCALE * float(np.median(np.abs(own)))
        freedom = max(own.size * (1 - spent), 1.0)
        variance = (NOISE_WEIGHT * NOISE_SD**2 + own.size / freedom * own.size * scatter**2) / (
            NOISE_WEIGHT + own.size
        )
        found[test] = max(variance**0.5, LEAST_NOISE_SD)
    return found


def _posterior(
    card: str,
    parameters: Parameters,
    solution: Solution,
    noise: Mapping[str, float],
    scales: Mapping[str, float],
) -> Posterior:
    return Posterior(
        card=card,
        names=parameters.shared,
        covariance=tuple(tuple(map(float, row)) for row in solution.covariance),
        noise_sd=dict(noise),
        scales=dict(scales),
    )


def _left_out(
    parameters: Parameters,
    observations: Sequence[SpeedObservation],
    noise: Mapping[str, float],
    whole: Solution,
) -> tuple[LeftOut, ...]:
    """Each observation's error by the fit that did not see its load (its record, where there is one
    load only)."""
    found = []
    for part in folds([(o.load, o.source) for o in observations]):
        rest = [o for i, o in enumerate(observations) if i not in part]
        if not rest:
            continue
        solution = solve_rates(parameters, rest, noise, whole.parameters)
        values = parameters.values(solution.parameters)
        posterior = _posterior("", parameters, solution, noise, {})
        deviations: dict[Hashable, float] = {}
        for index in sorted(part):
            o = observations[index]
            if o.asked not in deviations:
                deviations[o.asked] = prediction_sd(posterior, o.test, values, o.seconds)
            sd, error = deviations[o.asked], o.log_error(values)
            found.append(
                LeftOut(
                    quantity=o.test, group=o.group, part=min(part), error=error, score=error / sd
                )
            )
    return tuple(found)


def _scales(
    left_out: Sequence[LeftOut], observations: Sequence[SpeedObservation]
) -> dict[str, float]:
    """Half of a 90 % interval in standard deviations of a prediction, by group."""
    groups = sorted({o.group for o in observations})
    return {
        group: interval_scale([each.score for each in left_out if each.group == group])
        for group in groups
    }
