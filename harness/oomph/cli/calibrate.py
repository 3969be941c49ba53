"""`oomph calibrate`: fit one machine's coefficients, and say whether to believe them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from oomph.fitting.result import FitResult


def register(app: typer.Typer) -> None:
    """Add `calibrate` to the command line."""
    app.command("calibrate")(_calibrate)


def _calibrate(
    folders: Annotated[list[Path], typer.Argument(help="results folders, as `oomph sweep --out` writes them")],
    model: Annotated[str | None, typer.Option(help="the model, where it is not at the path the records name")] = None,
    gpu: Annotated[str | None, typer.Option(help="the card; the records' own by default")] = None,
    out: Annotated[
        Path | None, typer.Option(help="write the coefficients here instead of keeping them for `oomph estimate`")
    ] = None,
) -> None:
    """Calibrate speed and memory on a machine's own records."""
    from oomph.cli.output import print_table
    from oomph.cli.recorded import estimator_of
    from oomph.cli.report import read_records
    from oomph.fitting.calibrate import fit_models
    from oomph.fitting.kept import keep
    from oomph.fitting.saved import calibration_json
    from oomph.records.grouping import by_model
    from oomph.views.tables import fit_table

    records = read_records(folders)
    groups = by_model(records)
    result = fit_models([(estimator_of(group[0], model=model, gpu=gpu, needs_card=True), group) for group in groups])
    print_table(fit_table(result))
    _print_health(result)
    text = calibration_json(result, records)
    if out:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"written to {out}; oomph estimate --calibration {out} uses it")
    else:
        typer.echo(f"kept in {keep(text)}; oomph estimate uses it for this card, build and family of models")


def _print_health(result: "FitResult") -> None:
    """Whether to believe it: noise, what residuals follow, the range, what to measure next."""
    from oomph.units import mib, percent

    typer.echo(f"{result.n_measurements} measurements of {result.n_records} records")
    if result.noise_sd is not None:
        typer.echo(f"rates scatter by {percent(result.noise_sd).lstrip('+')} about the formulas")
    if result.memory_error_bytes is not None:
        typer.echo(f"memory: largest error left {mib(result.memory_error_bytes, 1)}")
    spans = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in result.covered.items())
    typer.echo(f"covered: {spans}")
    _print_each("residuals", result.residual_patterns)
    _print_each("next", result.advice)


def _print_each(title: str, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        typer.echo(f"{title}: {sentence}")
