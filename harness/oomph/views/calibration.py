"""A calibration for a reader: its errors, its coefficients, and whether to believe it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from oomph.units import NOT_MEASURED, mib, share
from oomph.views.table import Cell, Table

if TYPE_CHECKING:
    from oomph.calibrate.left_out import HeldOutErrors
    from oomph.calibrate.result import FitResult, FittedCoefficient


def fit_json(fit: "FitResult") -> dict[str, Any]:
    """One object with the errors by quantity, seen and left out, and what they say of the
    calibration."""
    health = fit.health
    return {
        "n_records": fit.n_records,
        "n_measurements": fit.n_measurements,
        "n_disturbed": health.n_disturbed,
        "in_sample": {quantity: asdict(errors) for quantity, errors in health.in_sample.items()},
        "held_out": {quantity: asdict(errors) for quantity, errors in health.held_out.items()},
        "coverage_90": health.coverage_90,
        "is_healthy": health.is_healthy,
        "notes": [*health.failures, *health.notes, *fit.known_together, *fit.advice],
        "coefficients": {
            each.name: {
                "value": each.value,
                "default": each.default,
                "relative_error": each.relative_error,
                "moved": each.moved,
                "is_identified": each.is_identified,
                "at_bound": each.at_bound,
            }
            for each in fit.fitted
        },
    }


def errors_table(fit: "FitResult") -> Table:
    """The sizes of the errors by quantity: of loads left out first, of what was fitted beside
    them."""
    columns = (
        "quantity",
        "left out: median",
        "p90",
        "worst",
        "n",
        "fitted: median",
        "p90 ",
        "worst ",
        "n ",
    )
    health = fit.health
    rows = tuple(
        (
            Cell(quantity.replace("_", " ").replace("vram", "VRAM")),
            *_cells(health.held_out[quantity]),
            *_cells(seen),
        )
        for quantity, seen in health.in_sample.items()
        if seen.n
    )
    return Table(
        caption="Errors, predicted against measured, without what was disturbed",
        columns=columns,
        rows=rows,
    )


def _cells(errors: "HeldOutErrors") -> tuple[Cell, ...]:
    sizes = (errors.median, errors.p90, errors.worst)
    return (
        *(Cell(share(s) if s is not None else NOT_MEASURED, s) for s in sizes),
        Cell(str(errors.n), errors.n),
    )


def fit_table(fit: "FitResult") -> Table:
    """The fitted coefficients with their standard errors, and how far the records tell each by
    itself."""
    columns = ("coefficient", "value", "shipped", "standard error", "standing", "meaning")
    rows = tuple(
        (
            Cell(each.name),
            Cell(f"{each.value:.4g}", each.value),
            Cell(f"{each.default:.4g}", each.default),
            Cell(f"± {share(each.relative_error, 0)}", each.relative_error),
            Cell(_standing(each)),
            Cell(each.meaning),
        )
        for each in fit.fitted
    )
    return Table(caption="Fitted coefficients", columns=columns, rows=rows)


def _standing(each: "FittedCoefficient") -> str:
    if each.at_bound:
        return "at its bound"
    if each.is_identified:
        return "identified"
    return f"leans on its prior: {share(max(each.moved, 0.0), 0)} of its variance gone"


def fit_sentences(fit: "FitResult") -> tuple[str, ...]:
    """Whether to believe it and why not; noise, range, what is known together, what to measure
    next."""
    health = fit.health
    said = [verdict(fit), f"{fit.n_measurements} measurements of {fit.n_records} records"]
    if health.coverage_90 is not None:
        said.append(
            f"intervals: {share(health.coverage_90, 0)} of what was left out is inside its 90 % "
            "interval"
        )
    if fit.noise_sd is not None:
        scatter = ", ".join(f"{test} {share(sd)}" for test, sd in fit.noise_sd.items())
        said.append(f"rates scatter around the formulas: {scatter}")
    if fit.memory_error_bytes is not None:
        said.append(f"memory: the largest error that is left is {mib(fit.memory_error_bytes, 1)}")
    spans = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in fit.covered.items())
    said.append(f"covered: {spans}")
    said += [f"note: {note}" for note in (*health.notes, *fit.known_together)]
    return (*said, *(f"next: {sentence}" for sentence in fit.advice))


def verdict(fit: "FitResult") -> str:
    """One sentence: it can be believed, or why not."""
    if fit.health.is_healthy:
        return "This calibration can be believed within its intervals."
    return f"This calibration cannot be believed: {'; '.join(fit.health.failures)}."
