"""Fits one machine's own coefficients to its records, and says whether to believe them.

What the records cannot identify stays at its default with the default's uncertainty, and is named. Rates are fitted
on the logarithm, memory in MiB; the defaults are the priors. The result is an estimator with the new coefficients,
and what a reader needs to judge it: standard errors, bounds hit, condition, what residuals follow, the range covered.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from oomph.errors import FitError
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.fitting.advice import advice
from oomph.fitting.compare import comparable, speed_observations
from oomph.fitting.memory_fit import fit_memory
from oomph.fitting.observations import SpeedObservation
from oomph.fitting.result import FitResult
from oomph.fitting.speed_fit import fit_speed, residual_patterns
from oomph.records.schema import Record

LEAST_MEASUREMENTS: Final = 2

Part = tuple[Estimator, Sequence[Record]]
"""One model's estimator and its records."""


def fit(estimator: Estimator, records: Iterable[Record]) -> FitResult:
    """Calibrates `estimator` on its machine's records; FitError where they hold nothing to fit."""
    return fit_models([(estimator, list(records))])


def fit_models(parts: Sequence[Part]) -> FitResult:
    """One calibration from the records of several models on one machine; for the first one's estimator."""
    estimator = parts[0][0]
    usable = [(each, comparable(each, records)) for each, records in parts]
    base = estimator.coefficients or default_coefficients()
    observations = [o for each, records in usable for record in records for o in speed_observations(each, record)]
    memory = fit_memory(usable, base)
    n_measurements = len(observations) + (memory.n_measurements if memory else 0)
    if n_measurements < LEAST_MEASUREMENTS:
        raise FitError(_too_few(parts, usable, n_measurements))
    speed = fit_speed(estimator.gpu, observations, base) if len(observations) >= LEAST_MEASUREMENTS else None
    fits = [part for part in (speed, memory) if part]
    covered = _covered([record for _, records in usable for record in records], observations)
    coefficients = _calibrated(
        estimator, base, covered=covered,
        values={name: value for part in fits for name, value in part.values.items()},
        widths={group: width for part in fits for group, width in part.widths.items()},
    )  # fmt: skip
    return FitResult(
        estimator=estimator.with_(coefficients=coefficients), coefficients=coefficients,
        fitted=tuple(fitted for part in fits for fitted in part.fitted),
        n_records=sum(len(records) for _, records in usable), n_measurements=n_measurements,
        noise_sd=speed.solution.noise_sd if speed else None,
        memory_error_bytes=memory.largest_error_bytes if memory else None,
        condition=speed.solution.condition if speed else None, covered=covered,
        residual_patterns=residual_patterns(observations, speed.solution.residuals) if speed else (),
        advice=advice(speed, observations) if speed else (),
    )  # fmt: skip


def _calibrated(
    estimator: Estimator, base: Coefficients, values: Mapping[str, float],
    widths: Mapping[str, Mapping[str, float]], covered: Mapping[str, tuple[float, float]],
) -> Coefficients:  # fmt: skip
    """`base` with the card's own effects under its name, and the machine's values in place of the defaults."""
    of_host = {name: value for name, value in values.items() if name.startswith(("host.", "memory.host"))}
    of_card = {name: value for name, value in values.items() if name not in of_host}
    cards = dict(base.cards)
    if estimator.gpu:
        cards[estimator.gpu.name] = {**cards.get(estimator.gpu.name, {}), **of_card}
    return replace(
        base, values={**base.values, **of_host}, cards=cards, covered=covered,
        interval_widths={**base.interval_widths, **widths},
    )  # fmt: skip


def _covered(records: Sequence[Record], observations: Sequence[SpeedObservation]) -> dict[str, tuple[float, float]]:
    """The range of each quantity that the records span."""
    spans: dict[str, list[float]] = {"n_depth": [o.n_depth for o in observations]}
    for record in records:
        for name in ("n_ctx", "n_expert_used", "n_ubatch"):
            value = getattr(record.reported, name) or record.config.get(name)
            if value:
                spans.setdefault(name, []).append(float(value))
    return {name: (min(found), max(found)) for name, found in spans.items() if found}


def _too_few(given: Sequence[Part], usable: Sequence[Part], n_measurements: int) -> str:
    """Why nothing can be fitted, and what to do."""
    outcomes = sorted({record.outcome.label for _, records in given for record in records})
    if not outcomes:
        return "there is no record to fit; run a sweep first"
    if not any(records for _, records in usable):
        return (
            f"no record ended well with the model at hand (outcomes: {', '.join(outcomes)}), so no coefficient can be"
            " identified; measure a configuration that fits"
        )
    return f"{n_measurements} measurement cannot identify any coefficient; measure prefill and decode at two depths"
