"""`oomph calibrate`: fit one machine's coefficients, and say whether to believe them."""

import json
from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `calibrate` to the command line."""
    app.command("calibrate")(_calibrate)


def _calibrate(
    folders: Annotated[
        list[Path], typer.Argument(help="results folders, as `oomph sweep --out` writes them")
    ],
    model: Annotated[
        str | None, typer.Option(help="the model, where it is not at the path the records name")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="the card; the records' own by default")] = None,
    machine: Annotated[str | None, typer.Option(help="only records of this machine")] = None,
    build: Annotated[str | None, typer.Option(help="only records of this llama.cpp commit")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="write the coefficients here instead of keeping them for `oomph estimate`"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Calibrate speed and memory on a machine's own records."""
    from oomph.calibrate.fit import fit_models, records_of
    from oomph.calibrate.store import calibration_json
    from oomph.cli.output import print_table
    from oomph.cli.recorded import estimator_of
    from oomph.cli.report import read_records
    from oomph.records.grouping import by_model
    from oomph.views.calibration import errors_table, fit_json, fit_sentences, fit_table

    records = records_of(read_records(folders), machine=machine, build=build)
    groups = by_model(records)
    result = fit_models(
        [(estimator_of(group[0], model=model, gpu=gpu, needs_card=True), group) for group in groups]
    )
    stored = _store(calibration_json(result, records), out, is_healthy=result.health.is_healthy)
    if as_json:
        typer.echo(json.dumps(fit_json(result)))
        return
    print_table(errors_table(result))
    print_table(fit_table(result))
    typer.echo("\n".join((*fit_sentences(result), stored)))


def _store(text: str, out: Path | None, *, is_healthy: bool) -> str:
    """Write the calibration to `out`, or keep it where it can be believed; a sentence on where it
    is."""
    from oomph.calibrate.store import keep

    if out:
        out.write_text(text, encoding="utf-8")
        return f"written to {out}; oomph estimate --calibration {out} uses it"
    if not is_healthy:
        return (
            "not kept: it cannot be believed; --out FILE writes it all the same, for "
            "--calibration FILE"
        )
    return f"kept in {keep(text)}; oomph estimate uses it for this card, build and family of models"
