"""Fits a machine's rates: a card's own effects, or a host's bandwidth.

Only coefficients that some measurement depends on are varied. One that the measurements leave uncertain is put back
to its default, so a calibration never prints a number that it does not know.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from oomph.estimate.coefficients import Coefficients, definitions
from oomph.facts.gpus import GpuSpec
from oomph.fitting.intervals import conformal_width
from oomph.fitting.least_squares import Array, Solution, solve
from oomph.fitting.observations import Parameters, SpeedObservation
from oomph.fitting.result import IDENTIFIED, FittedCoefficient

SPEED_NOISE_SD: Final = 0.05
"""What one machine's rates scatter about the formulas, before its own records say better."""
NOISE_WEIGHT: Final = 4.0
"""How many records that belief is worth."""
ROBUST_SCALE: Final = 0.25
MACHINES_APART: Final = 2**0.5
"""How much further from its generation one machine may be than its card: hosts scatter about their card as much."""
LEAST_SLOPE: Final = 1e-6
"""A coefficient on which no measurement depends more than this is not varied."""
FOLLOWS: Final = 0.6
"""A correlation of residuals with a quantity, from which on they are said to follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedFit:
    """Fitted values, held-out interval widths by group, and the solver's own account."""

    values: Mapping[str, float]
    widths: Mapping[str, Mapping[str, float]]
    fitted: tuple[FittedCoefficient, ...]
    parameters: Parameters
    solution: Solution


def fit_speed(gpu: GpuSpec | None, observations: Sequence[SpeedObservation], base: Coefficients) -> SpeedFit:
    """Own effects of the card and the host's coefficients, as far as any observation depends on them."""
    start = dict(base.for_card(gpu.name)) if gpu else dict(base.values)
    names = [name for name, d in definitions().items() if d.own and not name.startswith("memory.")]
    everything = Parameters(start, names)
    _, slopes = everything.evaluate(observations, everything.start())
    varied = Parameters(start, [n for n, s in zip(names, np.abs(slopes).max(axis=0), strict=True) if s > LEAST_SLOPE])
    solution = _solve_twice(varied, observations)
    least = min(IDENTIFIED, float(solution.informed.max()))
    known = {name for name, share in zip(varied.shared, solution.informed, strict=True) if share >= least}
    parameters = Parameters(start, [name for name in varied.shared if name in known])
    solution = _solve_twice(parameters, observations)
    values = parameters.values(solution.parameters)
    errors = dict(zip(parameters.shared, solution.standard_errors, strict=True))
    bounds = dict(zip(parameters.shared, solution.at_bound, strict=True))
    return SpeedFit(
        values={name: values[name] for name in varied.shared}, parameters=parameters, solution=solution,
        widths=_speed_widths(parameters, observations, base),
        fitted=tuple(
            FittedCoefficient(
                name=d.name, value=values[d.name], default=start[d.name],
                relative_error=float(errors.get(d.name, d.sd)), is_identified=d.name in known,
                at_bound=bounds.get(d.name, False), meaning=d.meaning,
            )
            for d in varied.definitions
        ),
    )  # fmt: skip


def _solve_twice(parameters: Parameters, observations: Sequence[SpeedObservation]) -> Solution:
    """Once with the noise as believed, again with what the residuals say of it."""
    first = _solve(parameters, observations, SPEED_NOISE_SD)
    weights = 1 / (1 + (first.residuals / ROBUST_SCALE) ** 2)
    scatter = NOISE_WEIGHT * SPEED_NOISE_SD**2 + float(np.sum(weights * first.residuals**2))
    return _solve(parameters, observations, math.sqrt(scatter / (NOISE_WEIGHT + float(np.sum(weights)))))


def solve_own(parameters: Parameters, observations: Sequence[SpeedObservation]) -> Solution:
    """The fit of these parameters with the noise that rates of one machine have."""
    return _solve(parameters, observations, SPEED_NOISE_SD)


def _solve(parameters: Parameters, observations: Sequence[SpeedObservation], noise_sd: float) -> Solution:
    return solve(
        lambda x: parameters.evaluate(observations, x), parameters.start(), lower=parameters.lower(),
        upper=parameters.upper(), prior_sd=parameters.column(lambda d: d.sd * MACHINES_APART),
        weights=np.array([o.weight for o in observations]), noise_sd=noise_sd, robust_scale=ROBUST_SCALE,
    )  # fmt: skip


def _speed_widths(
    parameters: Parameters, observations: Sequence[SpeedObservation], base: Coefficients
) -> dict[str, Mapping[str, float]]:
    """Half widths by group from records left out in turn; none of a group that only one record holds."""
    errors: dict[str, list[float]] = {}
    for source in sorted({o.source for o in observations}):
        rest = [o for o in observations if o.source != source]
        held = [o for o in observations if o.source == source and any(r.group == o.group for r in rest)]
        if held:
            values = parameters.values(_solve(parameters, rest, SPEED_NOISE_SD).parameters)
            for o in held:
                errors.setdefault(o.group, []).append(o.log_error(values))
    return {
        group: {**base.interval_widths.get(group, {}), "calibrated": conformal_width(found)}
        for group, found in errors.items()
    }  # fmt: skip


def residual_patterns(observations: Sequence[SpeedObservation], residuals: Array) -> tuple[str, ...]:
    """What the residuals still follow: a formula that is wrong somewhere shows as a slope."""
    quantities: dict[str, Callable[[SpeedObservation], float]] = {
        "depth": lambda o: math.log1p(o.n_depth),
        "active experts": lambda o: o.question.on_card.expert_share or o.question.on_host.expert_share,
        "n_ctx": lambda o: math.log(o.question.config.n_ctx),
    }
    found = []
    for test in ("prefill", "decode"):
        rows = [i for i, o in enumerate(observations) if o.test == test]
        for name, quantity in quantities.items():
            x = np.array([quantity(observations[i]) for i in rows])
            if len(rows) >= 5 and np.std(x) > 0 and np.std(residuals[rows]) > 0:
                r = float(np.corrcoef(x, residuals[rows])[0, 1])
                if abs(r) >= FOLLOWS:
                    found.append(
                        f"{test}: predictions are too {'high' if r > 0 else 'low'} as {name} grows (r = {r:+.2f})"
                    )
    return tuple(found)
