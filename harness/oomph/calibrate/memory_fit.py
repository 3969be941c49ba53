"""Fits what no log line prints to what the probes saw.

Everything else in memory is exact, so it is taken from the prediction and only the rest is fitted,
in MiB, all coefficients of a quantity together under their priors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import numpy as np

from oomph.calibrate.comparison import (
    load_of,
    measured_host_bytes,
    measured_vram_bytes,
    record_config,
)
from oomph.calibrate.folds import folds
from oomph.calibrate.least_squares import Array, Solution, solve
from oomph.calibrate.left_out import LeftOut, Quantity, interval_scale
from oomph.calibrate.result import FittedCoefficient, fitted_coefficients, known_together
from oomph.config import RunConfig
from oomph.estimate.coefficients import Coefficients, Definition, definitions
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import context_bytes, resident_bytes
from oomph.frozen import frozen
from oomph.gpus import GpuSpec
from oomph.records.schema import Record
from oomph.units import MIB

NOISE_MIB: Final = 4.0
"""What a process's memory scatters between equal runs: pieces that the allocators keep."""
ROBUST_MIB: Final = 32.0
PHANTOM: Final = "phantom"
"""The backend of records without a card: its memory holds no CUDA context."""
STEP: Final = 1e-4
VRAM: Final = ("memory.own_context_factor",)
_WIDTHS: Final[Mapping[Quantity, str]] = {"vram": "total_vram_bytes", "host_memory": "host_bytes"}
HOST: Final = (
    "memory.host_base_bytes",
    "memory.host_cuda_bytes",
    "memory.host_weights_share",
    "memory.host_compute_share",
)


@frozen
class MemoryFit:
    """Fitted values, interval half widths in bytes by quantity, and the errors that are left.

    `errors` are ln(predicted / measured) of what was fitted, `left_out` of what a fit had not seen.
    """

    values: Mapping[str, float]
    widths: Mapping[str, Mapping[str, float]]
    fitted: tuple[FittedCoefficient, ...]
    known_together: tuple[str, ...]
    errors: Mapping[Quantity, tuple[float, ...]]
    left_out: tuple[LeftOut, ...]
    n_measurements: int
    largest_error_bytes: float


@frozen
class _Point:
    """One measurement in bytes, what was loaded for it, and its prediction as a function of
    coefficients: one object for points of equal knobs, so that it is asked once."""

    measured: float
    load: str
    source: str
    predict: Callable[[Coefficients], float]


def fit_memory(
    parts: Sequence[tuple[Estimator, Sequence[Record]]], base: Coefficients
) -> MemoryFit | None:
    """The own context of the card and the host's memory, each where the records saw it; None where
    they saw neither."""
    vram = [
        point for estimator, records in parts for point in _vram_points(estimator, records, base)
    ]
    host = [point for estimator, records in parts for point in _host_points(estimator, records)]
    fits = [_fit("vram", VRAM, vram, base)] if vram else []
    fits += [_fit("host_memory", HOST, host, base)] if host else []
    if not fits:
        return None
    return MemoryFit(
        values={name: value for fit in fits for name, value in fit.values.items()},
        widths={quantity: width for fit in fits for quantity, width in fit.widths.items()},
        fitted=tuple(fitted for fit in fits for fitted in fit.fitted),
        known_together=tuple(sentence for fit in fits for sentence in fit.known_together),
        errors={quantity: errors for fit in fits for quantity, errors in fit.errors.items()},
        left_out=tuple(each for fit in fits for each in fit.left_out),
        n_measurements=len(vram) + len(host),
        largest_error_bytes=max(fit.largest_error_bytes for fit in fits),
    )


def _vram_points(
    estimator: Estimator, records: Sequence[Record], base: Coefficients
) -> Iterator[_Point]:
    """Cards: the measured peak against all that is exact, plus the context."""
    gpu = estimator.gpu
    if gpu is None:
        return
    counted = context_bytes(gpu, base)
    predict: dict[int, Callable[[Coefficients], float]] = {}
    for record in records:
        memory = estimator.memory(record_config(record))
        for device, measured in measured_vram_bytes(record).items():
            if device in memory.devices and record.environment.backend != PHANTOM:
                rest = memory.devices[device].total_bytes - counted
                predict.setdefault(rest, partial(_with_context, gpu, rest))
                yield _Point(**_origin(record), measured=measured, predict=predict[rest])


def _with_context(gpu: GpuSpec, rest: int, coefficients: Coefficients) -> float:
    return rest + context_bytes(gpu, coefficients)


def _host_points(estimator: Estimator, records: Sequence[Record]) -> Iterator[_Point]:
    predict: dict[RunConfig, Callable[[Coefficients], float]] = {}
    for record in records:
        measured = measured_host_bytes(record)
        if measured is not None:
            config = record_config(record)
            if config not in predict:
                predict[config] = partial(resident_bytes, estimator.memory(config))
            yield _Point(**_origin(record), measured=measured, predict=predict[config])


def _origin(record: Record) -> dict[str, str]:
    return {"load": load_of(record), "source": record.record_id}


def _fit(
    quantity: Quantity, names: Sequence[str], points: Sequence[_Point], base: Coefficients
) -> MemoryFit:
    """Least squares in MiB of these coefficients."""
    known = [definitions()[name] for name in names]
    solution = _solve(known, points, base)
    start = {name: base.values[name] for name in names}
    fitted = fitted_coefficients(known, start, solution)
    left_out = tuple(_left_out(quantity, known, points, base))
    errors = solution.residuals * MIB
    scale = max(interval_scale([each.score for each in left_out]), 1.0)
    return MemoryFit(
        values={each.name: each.value for each in fitted},
        widths={_WIDTHS[quantity]: {"calibrated": scale * NOISE_MIB * MIB}},
        fitted=fitted,
        known_together=known_together(fitted, solution),
        errors={quantity: tuple(_log_error(e, p) for e, p in zip(errors, points, strict=True))},
        left_out=left_out,
        n_measurements=len(points),
        largest_error_bytes=float(np.abs(errors).max()),
    )


def _left_out(
    quantity: Quantity, known: Sequence[Definition], points: Sequence[_Point], base: Coefficients
) -> Iterator[LeftOut]:
    """Each point's error by the fit that did not see its load."""
    names = [d.name for d in known]
    for part in folds([(point.load, point.source) for point in points]):
        solution = _solve(known, [point for i, point in enumerate(points) if i not in part], base)
        own = [points[index] for index in sorted(part)]
        for point, mib in zip(
            own, _residuals_mib(solution.parameters, names, own, base), strict=True
        ):
            error = _log_error(mib * MIB, point)
            yield LeftOut(
                quantity=quantity,
                group=quantity,
                part=min(part),
                error=error,
                score=mib / NOISE_MIB,
            )


def _log_error(error_bytes: float, point: _Point) -> float:
    return float(np.log(max(point.measured + error_bytes, 1.0) / point.measured))


def _solve(known: Sequence[Definition], points: Sequence[_Point], base: Coefficients) -> Solution:
    """The fit of the logarithms under their priors."""
    names = [d.name for d in known]

    def evaluate(x: Array) -> tuple[Array, Array]:
        at = _residuals_mib(x, names, points, base)
        steps = np.eye(len(x)) * STEP
        return at, np.stack(
            [(_residuals_mib(x + step, names, points, base) - at) / STEP for step in steps], axis=1
        )

    return solve(
        evaluate,
        np.log([base.values[name] for name in names]),
        lower=np.log([d.lower for d in known]),
        upper=np.log([d.upper for d in known]),
        prior_sd=np.array([d.sd for d in known]),
        noise_sd=NOISE_MIB,
        robust_scale=ROBUST_MIB,
    )


def _residuals_mib(
    x: Array, names: Sequence[str], points: Sequence[_Point], base: Coefficients
) -> Array:
    coefficients = replace(
        base, values={**base.values, **dict(zip(names, np.exp(x).tolist(), strict=True))}, cards={}
    )
    predict = {id(point.predict): point.predict for point in points}
    predicted = {key: each(coefficients) for key, each in predict.items()}
    return np.array([(predicted[id(point.predict)] - point.measured) / MIB for point in points])
