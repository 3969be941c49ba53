"""Fits what no log line prints to what the probes saw.

Everything else in memory is exact, so it is taken from the prediction and only the rest is fitted, in MiB.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from oomph.estimate.coefficients import Coefficients, Definition, definitions
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import context_bytes, host_bytes
from oomph.facts.gpus import GpuSpec
from oomph.fitting.compare import measured_host_bytes, measured_vram_bytes, record_config
from oomph.fitting.intervals import conformal_width
from oomph.fitting.least_squares import Array, Solution, solve
from oomph.fitting.result import IDENTIFIED, FittedCoefficient
from oomph.records.schema import Record
from oomph.units import MIB

NOISE_MIB: Final = 4.0
"""What a process's memory scatters between equal runs: pieces that the allocators keep."""
ROBUST_MIB: Final = 32.0
PHANTOM: Final = "phantom"
"""The backend of records without a card: its memory holds no CUDA context."""
STEP: Final = 1e-4
VRAM: Final = ("memory.own_context_factor",)
HOST: Final = ("memory.host_base_bytes", "memory.host_weights_share", "memory.host_compute_share")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFit:
    """Fitted values, interval half widths in bytes by quantity, and the largest error that is left."""

    values: Mapping[str, float]
    widths: Mapping[str, Mapping[str, float]]
    fitted: tuple[FittedCoefficient, ...]
    n_measurements: int
    largest_error_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """One measurement in bytes, and its prediction as a function of coefficients."""

    measured: float
    predict: Callable[[Coefficients], float]


def fit_memory(parts: Sequence[tuple[Estimator, Sequence[Record]]], base: Coefficients) -> MemoryFit | None:
    """The own context of the card and the host's memory, each where the records saw it; None where they saw neither."""
    vram = [point for estimator, records in parts for point in _vram_points(estimator, records, base)]
    host = [point for estimator, records in parts for point in _host_points(estimator, records)]
    fits = [_fit("total_vram_bytes", VRAM, vram, base)] if vram else []
    fits += [_fit("host_bytes", HOST, host, base)] if host else []
    if not fits:
        return None
    return MemoryFit(
        values={name: value for fit in fits for name, value in fit.values.items()},
        widths={quantity: width for fit in fits for quantity, width in fit.widths.items()},
        fitted=tuple(fitted for fit in fits for fitted in fit.fitted),
        n_measurements=len(vram) + len(host), largest_error_bytes=max(fit.largest_error_bytes for fit in fits),
    )  # fmt: skip


def _vram_points(estimator: Estimator, records: Sequence[Record], base: Coefficients) -> Iterator[_Point]:
    """Cards: the measured peak against all that is exact, plus the context."""
    gpu = estimator.gpu
    if gpu is None:
        return
    counted = context_bytes(gpu, base)
    for record in records:
        memory = estimator.predict(record_config(record)).memory
        for device, measured in measured_vram_bytes(record).items():
            if device in memory.devices and record.environment.backend != PHANTOM:
                rest = memory.devices[device].total_bytes - counted
                yield _Point(measured=measured, predict=partial(_with_context, gpu, rest))


def _with_context(gpu: GpuSpec, rest: int, coefficients: Coefficients) -> float:
    return rest + context_bytes(gpu, coefficients)


def _host_points(estimator: Estimator, records: Sequence[Record]) -> Iterator[_Point]:
    for record in records:
        measured = measured_host_bytes(record)
        if measured is not None:
            memory = estimator.predict(record_config(record)).memory
            yield _Point(measured=measured, predict=partial(host_bytes, memory))


def _fit(quantity: str, names: Sequence[str], points: Sequence[_Point], base: Coefficients) -> MemoryFit:
    """Least squares in MiB of these coefficients; what the points leave uncertain goes back to its default."""
    known = [definitions()[name] for name in names]
    start = np.log([base.values[name] for name in names])
    solution = _solve(known, start, points, base)
    identified = solution.informed >= IDENTIFIED
    x = np.where(identified, solution.parameters, start)
    if not identified.all():
        solution = _solve(known, x, points, base, free=identified)
        x = solution.parameters
    errors = _residuals_mib(x, names, points, base) * MIB
    values = {name: float(np.exp(value)) for name, value in zip(names, x, strict=True)}
    return MemoryFit(
        values=values, n_measurements=len(points), largest_error_bytes=float(np.abs(errors).max()),
        widths={quantity: {"calibrated": max(conformal_width(list(errors)), NOISE_MIB * MIB)}},
        fitted=tuple(
            FittedCoefficient(
                name=d.name, value=values[d.name], default=base.values[d.name],
                relative_error=float(error) if seen else d.sd,
                is_identified=bool(seen), at_bound=bound, meaning=d.meaning,
            )
            for d, error, seen, bound in zip(
                known, solution.standard_errors, identified, solution.at_bound, strict=True
            )
        ),
    )  # fmt: skip


def _solve(
    known: Sequence[Definition],
    start: Array,
    points: Sequence[_Point],
    base: Coefficients,
    free: NDArray[np.bool_] | None = None,
) -> Solution:
    """The fit of the logarithms; `free` False holds one where it starts."""
    names = [d.name for d in known]
    sd = np.array([d.sd for d in known]) * (1.0 if free is None else np.where(free, 1.0, 1e-6))

    def evaluate(x: Array) -> tuple[Array, Array]:
        at = _residuals_mib(x, names, points, base)
        steps = np.eye(len(x)) * STEP
        return at, np.stack([(_residuals_mib(x + step, names, points, base) - at) / STEP for step in steps], axis=1)

    return solve(
        evaluate, start, lower=np.log([d.lower for d in known]), upper=np.log([d.upper for d in known]),
        prior_sd=sd, noise_sd=NOISE_MIB, robust_scale=ROBUST_MIB,
    )  # fmt: skip


def _residuals_mib(x: Array, names: Sequence[str], points: Sequence[_Point], base: Coefficients) -> Array:
    coefficients = replace(base, values={**base.values, **dict(zip(names, np.exp(x).tolist(), strict=True))}, cards={})
    return np.array([(point.predict(coefficients) - point.measured) / MIB for point in points])
