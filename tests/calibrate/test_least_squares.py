"""The solver against certified data, planted values, priors, bounds and data that identify
nothing."""

import numpy as np
import pytest

from oomph.calibrate.least_squares import Array, solve
from oomph.errors import FitError

MISRA1A_X = np.array(
    [
        77.6,
        114.9,
        141.1,
        190.8,
        239.9,
        289.0,
        332.8,
        378.4,
        434.8,
        477.3,
        536.8,
        593.1,
        689.1,
        760.0,
    ]
)
MISRA1A_Y = np.array(
    [
        10.07,
        14.73,
        17.94,
        23.93,
        29.61,
        35.18,
        40.02,
        44.82,
        50.76,
        55.05,
        61.01,
        66.40,
        75.47,
        81.78,
    ]
)
RAT43_Y = np.array(
    [
        16.08,
        33.83,
        65.80,
        97.20,
        191.55,
        326.20,
        386.87,
        520.53,
        590.03,
        651.92,
        724.93,
        699.56,
        689.96,
        637.56,
        717.41,
    ]
)


def misra1a(b: Array) -> tuple[Array, Array]:
    decay = np.exp(-b[1] * MISRA1A_X)
    return b[0] * (1 - decay) - MISRA1A_Y, np.stack([1 - decay, b[0] * MISRA1A_X * decay], axis=1)


def rat43(b: Array) -> tuple[Array, Array]:
    x = np.arange(1.0, 16.0)
    e = np.exp(b[1] - b[2] * x)
    base = 1 + e
    power = base ** (-1 / b[3])
    slope = -b[0] / b[3] * power / base * e
    by_exponent = b[0] * power * np.log(base) / b[3] ** 2
    return b[0] * power - RAT43_Y, np.stack([power, slope, -x * slope, by_exponent], axis=1)


@pytest.mark.parametrize(
    ("evaluate", "start", "certified", "errors"),
    [
        (misra1a, [500.0, 1e-4], [238.94212918, 5.5015643181e-4], [2.7070075241, 7.2668688436e-6]),
        (misra1a, [250.0, 5e-4], [238.94212918, 5.5015643181e-4], [2.7070075241, 7.2668688436e-6]),
        (
            rat43,
            [700.0, 5.0, 0.75, 1.3],
            [699.64151270, 5.2771253025, 0.75962938329, 1.2792483859],
            [16.302297817, 2.0828735829, 0.19566123451, 0.68761936385],
        ),
    ],
)
def test_nist_strd_values_and_standard_deviations_are_met(
    evaluate, start, certified, errors
) -> None:  # type: ignore[no-untyped-def]
    """NIST Statistical Reference Datasets, nonlinear regression: Misra1a (both starts) and
    Rat43."""
    solution = solve(evaluate, np.array(start), max_evaluations=400)
    assert solution.parameters == pytest.approx(certified, rel=1e-6)
    assert solution.standard_errors == pytest.approx(errors, rel=1e-5)


def line(x: Array, y: Array):  # type: ignore[no-untyped-def]
    def evaluate(b: Array) -> tuple[Array, Array]:
        return b[0] + b[1] * x - y, np.stack([np.ones_like(x), x], axis=1)

    return evaluate


def test_a_prior_holds_what_the_data_do_not_tell() -> None:
    x, y = np.zeros(5), np.full(5, 3.0)
    solution = solve(line(x, y), np.array([0.0, 7.0]), prior_sd=np.array([10.0, 0.5]), noise_sd=0.1)
    assert solution.parameters == pytest.approx([3.0, 7.0], abs=1e-3)
    assert solution.informed[0] > 0.99
    assert solution.informed[1] == pytest.approx(0.0, abs=1e-9)
    assert solution.standard_errors[1] == pytest.approx(0.5)


def test_a_bound_that_is_hit_is_told() -> None:
    x = np.arange(6.0)
    solution = solve(
        line(x, 1 + 2 * x),
        np.array([0.0, 0.5]),
        lower=np.array([-9.0, 0.0]),
        upper=np.array([9.0, 1.0]),
        noise_sd=0.1,
    )
    assert solution.at_bound == (False, True)
    assert solution.parameters[1] == pytest.approx(1.0, abs=1e-3)


def test_one_wild_row_does_not_move_a_robust_fit() -> None:
    x = np.arange(20.0)
    y = 1 + 2 * x
    y[7] += 500
    robust = solve(line(x, y), np.zeros(2), noise_sd=0.1, robust_scale=0.3, max_evaluations=300)
    plain = solve(line(x, y), np.zeros(2), noise_sd=0.1)
    assert robust.parameters == pytest.approx([1.0, 2.0], abs=0.01)
    assert abs(plain.parameters[0] - 1) > 1


def test_weights_count_rows_more_or_less() -> None:
    x, y = np.zeros(2), np.array([0.0, 1.0])
    solution = solve(
        lambda b: (b[0] - y, np.ones((2, 1))),
        np.zeros(1),
        weights=np.array([1.0, 3.0]),
        noise_sd=1.0,
    )
    assert solution.parameters[0] == pytest.approx(0.75)
    assert x.sum() == 0


def test_too_few_rows_without_a_prior_are_refused() -> None:
    with pytest.raises(
        FitError, match="2 measurements cannot identify 2 coefficients; measure at least 3"
    ):
        solve(line(np.arange(2.0), np.arange(2.0)), np.zeros(2))


def test_a_measurement_of_nothing_is_refused() -> None:
    with pytest.raises(FitError, match="not finite"):
        solve(lambda b: (np.array([np.inf, b[0]]), np.ones((2, 1))), np.zeros(1), noise_sd=1.0)


def test_directions_that_cannot_be_told_apart_show_in_the_condition() -> None:
    x = np.arange(8.0)
    near = np.stack([x, x * (1 + 1e-7 * x)], axis=1)
    solution = solve(lambda b: (near @ b - x, near), np.zeros(2), noise_sd=1.0)
    assert solution.condition > 1e5
