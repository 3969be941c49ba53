"""Calibrations on disk: their text, where they lie, and the newest that matches a question.

A calibration is versioned JSON, whose format `oomph.estimate.coefficients` owns. One that was made
on a phantom card speaks for no other, since nothing there has a speed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from warnings import warn

from oomph.errors import OomphError
from oomph.estimate.coefficients import Coefficients, read_coefficients
from oomph.files import write_files
from oomph.frozen import frozen
from oomph.paths import cache_folder
from oomph.records.backends import ESTIMATED_BACKENDS

if TYPE_CHECKING:
    from oomph.calibrate.result import FitResult
    from oomph.records.schema import Record

_MEASURED_BACKENDS: Final = ESTIMATED_BACKENDS - {"phantom"}


@frozen
class KeptCalibration:
    """A calibration and the file that it lies in."""

    path: Path
    coefficients: Coefficients

    @property
    def last(self) -> str:
        """When the last of its records was measured, as ISO 8601."""
        return str(self.coefficients.calibrated_on.get("last", ""))


def calibration_json(result: "FitResult", records: "Sequence[Record]") -> str:
    """The result's coefficients as text, with the machine, the build, the models and each fitted
    value's error."""
    fitted: dict[str, Any] = {
        each.name: {"value": each.value, "relative_error": each.relative_error}
        for each in result.fitted
    }
    environments = {record.environment.machine: record.environment for record in records}
    calibrated_on = {
        "machines": sorted(environments),
        "backends": sorted({environment.backend for environment in environments.values()}),
        "llama_cpp_commits": sorted(
            {environment.llama_cpp_commit or "" for environment in environments.values()}
        ),
        "cards": sorted(
            {
                str(gpu.get("name"))
                for environment in environments.values()
                for gpu in environment.gpus
            }
        ),
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


def calibrations_folder() -> Path:
    """Where `oomph calibrate` keeps what it fitted; may not exist yet."""
    return cache_folder() / "calibrations"


def keep(text: str) -> Path:
    """Write a calibration's text into the folder; one of the same machine, card, build and families
    is replaced."""
    on = Coefficients.from_json(text, where="the calibration").calibrated_on
    parts = (
        *on["machines"],
        on["card"] or "cpu",
        *on["families"],
        *(commit[:9] for commit in on["llama_cpp_commits"]),
    )
    path = calibrations_folder() / (
        "-".join(filter(None, parts)).replace(" ", "-").replace("/", "-") + ".json"
    )
    write_files({path: text}, otherwise="--out FILE writes the calibration elsewhere")
    return path


def newest_matching(
    *, card: str | None, arch: str, machine: str, commit: str | None
) -> KeptCalibration | None:
    """The newest for this card, architecture and llama.cpp commit; without a card it has to be of
    this `machine`.

    `commit` None, where llama.cpp is not installed, takes any build. A file that cannot be read is
    passed over with a warning.
    """
    fitting = (kept for kept in _kept() if _matches(kept.coefficients, card, arch, machine, commit))
    return max(fitting, key=lambda kept: (kept.last, kept.path), default=None)


def _kept() -> Iterator[KeptCalibration]:
    for path in sorted(calibrations_folder().glob("*.json")):
        try:
            if not path.is_file():  # a pipe's writer may never come
                raise OomphError(f"{path} is no file")
            yield KeptCalibration(path=path, coefficients=read_coefficients(path))
        except OomphError as error:
            warn(f"{error}; it is passed over, remove it to be told no more", stacklevel=2)


def _matches(
    coefficients: Coefficients, card: str | None, arch: str, machine: str, commit: str | None
) -> bool:
    on = coefficients.calibrated_on
    return (
        arch in on.get("families", ())
        and card == on.get("card")
        and (card is not None or machine in on.get("machines", ()))
        and (commit is None or commit in on.get("llama_cpp_commits", ()))
        and set(on.get("backends", ())) <= _MEASURED_BACKENDS
    )
