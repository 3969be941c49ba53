"""Bounded, robust least squares with priors: the one solver of every fit.

Stands apart from what is fitted: it knows residuals and their derivatives, not models or records.
Priors are further residuals, so that what the data cannot identify stays where it was believed to
be, with its uncertainty, and a fit of three points is as well posed as one of five hundred. The
solver is SciPy's trust region (`least_squares`, "trf").
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from oomph.errors import FitError
from oomph.frozen import frozen

Array = NDArray[np.float64]

BOUND_TOLERANCE: Final = 1e-3
"""A parameter nearer to its bound than this share of its range counts as resting on it."""
LEAST_CLUSTERS: Final = 8
"""With fewer clusters their scatter says little of itself."""


@frozen
class Solution:
    """Where a fit ended. `residuals` are unweighted, `covariance` is of the parameters, `condition`
    of the data alone.

    `noise_sd` is the residuals' standard deviation, given or estimated. `informed` says for each
    parameter how much of its prior variance the data took away: 0 is "not identified", 1 "known
    from the data alone".
    """

    parameters: Array
    residuals: Array
    covariance: Array
    noise_sd: float
    condition: float
    at_bound: tuple[bool, ...]
    informed: Array
    evaluations: int

    @property
    def standard_errors(self) -> Array:
        """One standard deviation of each parameter."""
        errors: Array = np.sqrt(np.diag(self.covariance))
        return errors


def solve(  # noqa: PLR0913 - a problem and how to solve it
    evaluate: Callable[[Array], tuple[Array, Array]],
    start: Array,
    *,
    begin: Array | None = None,
    lower: Array | None = None,
    upper: Array | None = None,
    weights: Array | None = None,
    prior_sd: Array | None = None,
    noise_sd: float | None = None,
    robust_scale: float | None = None,
    max_evaluations: int = 60,
) -> Solution:
    """Minimise the weighted squares of residuals, with priors of mean `start` and `prior_sd`
    (infinite: none).

    The search begins at `begin`, or at `start`. `evaluate(parameters)` gives residuals and their
    Jacobian. `noise_sd` None is estimated from the residuals, which needs more of them than
    parameters. `robust_scale` is the residual beyond which a row counts less (Cauchy's loss).
    """
    size = len(start)
    low = np.full(size, -np.inf) if lower is None else lower
    high = np.full(size, np.inf) if upper is None else upper
    prior = np.full(size, np.inf) if prior_sd is None else prior_sd
    sigma = 1.0 if noise_sd is None else noise_sd
    problem = _Problem(
        evaluate=evaluate, mean=start.copy(), prior_sd=prior, weights=weights, sigma=sigma
    )
    inside = np.clip(start if begin is None else begin, low + 1e-12, high - 1e-12)
    loss: Any = (
        "linear" if robust_scale is None else _cauchy(problem.n_data(inside), robust_scale / sigma)
    )
    result = least_squares(
        problem.residuals,
        inside,
        jac=problem.jacobian,
        bounds=(low, high),
        loss=loss,
        x_scale="jac",
        method="trf",
        max_nfev=max_evaluations,
        ftol=1e-12 if noise_sd is None else 1e-7,
        xtol=1e-12 if noise_sd is None else 1e-7,
        gtol=1e-14 if noise_sd is None else 1e-8,
    )
    return _solution(
        problem,
        result.x,
        low,
        high,
        noise_sd=noise_sd,
        robust_scale=robust_scale,
        calls=result.nfev,
    )


@dataclass(slots=True, kw_only=True)
class _Problem:
    """Residuals in units of their noise, followed by the priors'; keeps the last evaluation, which
    SciPy asks twice."""

    evaluate: Callable[[Array], tuple[Array, Array]]
    mean: Array
    prior_sd: Array
    weights: Array | None
    sigma: float
    last: tuple[Array, Array, Array] | None = None

    def at(self, x: Array) -> tuple[Array, Array]:
        if self.last is None or not np.array_equal(self.last[0], x):
            residuals, jacobian = self.evaluate(x)
            if not np.all(np.isfinite(residuals)):
                raise FitError(
                    "a residual is not finite; a record holds a zero or missing measurement"
                )
            self.last = (x.copy(), residuals, jacobian)
        return self.last[1], self.last[2]

    def root_weights(self, n: int) -> Array:
        return (
            np.ones(n) / self.sigma if self.weights is None else np.sqrt(self.weights) / self.sigma
        )

    def n_data(self, x: Array) -> int:
        return len(self.at(x)[0])

    def residuals(self, x: Array) -> Array:
        data = self.at(x)[0]
        return np.concatenate(
            [data * self.root_weights(len(data)), (x - self.mean) / self.prior_sd]
        )

    def jacobian(self, x: Array) -> Array:
        data = self.at(x)[1]
        return np.vstack([data * self.root_weights(len(data))[:, None], np.diag(1 / self.prior_sd)])


def clustered_covariance(
    covariance: Array,
    jacobian: Array,
    residuals: Array,
    weights: Array,
    prior_sd: Array,
    clusters: Sequence[Hashable],
) -> Array:
    """The covariance where residuals of one cluster err together (the sandwich of Liang and Zeger
    1986).

    `jacobian` and `residuals` are in units of their noise with `weights` for what counts less,
    `covariance` is the one that takes all rows for independent. No standard error gets smaller by
    it; with fewer than `LEAST_CLUSTERS` they stay as they are.
    """
    labels = {label: number for number, label in enumerate(dict.fromkeys(clusters))}
    if len(labels) < LEAST_CLUSTERS:
        return covariance
    scores = jacobian * (weights * residuals)[:, None]
    sums = np.zeros((len(labels), scores.shape[1]))
    np.add.at(sums, [labels[cluster] for cluster in clusters], scores)
    meat = sums.T @ sums * len(labels) / (len(labels) - 1) + np.diag(1 / prior_sd**2)
    found = covariance @ meat @ covariance
    wider = np.sqrt(np.maximum(np.diag(covariance) / np.diag(found), 1.0))
    return np.asarray(found * wider * wider[:, None])


def _cauchy(n_data: int, scale: float) -> Callable[[Array], Array]:
    """Cauchy's loss on the data's residuals, squares on the priors'; SciPy's layout (rho, rho',
    rho'')."""

    def loss(z: Array) -> Array:
        rho = np.vstack([z, np.ones_like(z), np.zeros_like(z)])
        t = 1 + z[:n_data] / scale**2
        rho[0, :n_data] = scale**2 * np.log(t)
        rho[1, :n_data] = 1 / t
        rho[2, :n_data] = -1 / (t**2 * scale**2)
        return rho

    return loss


def _solution(
    problem: _Problem,
    x: Array,
    low: Array,
    high: Array,
    *,
    noise_sd: float | None,
    robust_scale: float | None,
    calls: int,
) -> Solution:
    residuals, jacobian = problem.at(x)
    weights = np.ones(len(residuals)) if problem.weights is None else problem.weights
    # what is far off counts less, by its residual as the search weighs it
    if robust_scale is not None:
        weights = weights / (1 + weights * residuals**2 / robust_scale**2)
    if noise_sd is None:
        freedom = len(residuals) - len(x)
        if freedom < 1:
            raise FitError(
                f"{len(residuals)} measurements cannot identify {len(x)} coefficients; measure at "
                f"least {len(x) + 1}"
            )
        noise_sd = float(np.sqrt(np.sum(weights * residuals**2) / freedom))
    data = (jacobian * weights[:, None]).T @ jacobian / max(noise_sd, 1e-300) ** 2
    total = data + np.diag(1 / problem.prior_sd**2)
    scale = 1 / np.sqrt(np.maximum(np.diag(total), 1e-300))
    scaled = total * scale * scale[:, None]
    singular = np.linalg.svd(jacobian * np.sqrt(weights)[:, None] * scale, compute_uv=False)
    covariance = np.linalg.pinv(scaled) * scale * scale[:, None]
    span = np.where(np.isfinite(high - low), high - low, 1.0)
    return Solution(
        parameters=x,
        residuals=residuals,
        covariance=covariance,
        noise_sd=noise_sd,
        condition=float(singular[0] / max(singular[-1], 1e-300)),
        at_bound=tuple(
            bool(b)
            for b in (x - low < BOUND_TOLERANCE * span) | (high - x < BOUND_TOLERANCE * span)
        ),
        informed=1 - np.diag(covariance) / problem.prior_sd**2,
        evaluations=calls,
    )
