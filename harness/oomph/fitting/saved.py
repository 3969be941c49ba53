"""A calibration on disk: coefficients with where they come from, as versioned JSON.

`oomph estimate` reads it through `oomph.estimate.coefficients`, which owns the format.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from oomph.fitting.result import FitResult
from oomph.records.schema import Record


def calibration_json(result: FitResult, records: Sequence[Record]) -> str:
    """The result's coefficients as text, with the machine, the build, the models and each fitted value's error."""
    fitted: dict[str, Any] = {
        each.name: {"value": each.value, "relative_error": each.relative_error} for each in result.fitted
    }
    environments = {record.environment.machine: record.environment for record in records}
    calibrated_on = {
        "machines": sorted(environments),
        "backends": sorted({environment.backend for environment in environments.values()}),
        "llama_cpp_commits": sorted({environment.llama_cpp_commit or "" for environment in environments.values()}),
        "cards": sorted({str(gpu.get("name")) for environment in environments.values() for gpu in environment.gpus}),
        "card": result.estimator.gpu.name if result.estimator.gpu else None,
        "families": sorted({record.model.arch for record in records}),
        "models": sorted({record.model.name for record in records}),
        "first": min(record.started_at for record in records),
        "last": max(record.started_at for record in records),
        "n_records": result.n_records,
        "n_measurements": result.n_measurements,
        "fitted": fitted,
        "is_healthy": result.health.is_healthy,
        "coverage_90": result.health.coverage_90,
        "held_out_median": {q: errors.median for q, errors in result.health.held_out.items()},
    }
    return replace(result.coefficients, calibrated_on=calibrated_on).to_json()
