"""`oomph calibrate`: fit one machine's coefficients, and say whether to believe them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say, say_json, tell
from oomph.files import write_file

if TYPE_CHECKING:
    from oomph.calibrate.result import FitResult
    from oomph.records.schema import Record


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
    from oomph.calibrate.recorded import fit_records
    from oomph.cli.output import print_table
    from oomph.records.store import read_records
    from oomph.views.calibration import errors_table, fit_json, fit_sentences, fit_table

    result, records = fit_records(
        read_records(folders, tell=tell), model=model, gpu=gpu, machine=machine, build=build
    )
    stored = _store(result, records, out)
    if as_json:
        say_json(fit_json(result))
        return
    print_table(errors_table(result))
    print_table(fit_table(result))
    say(*(*fit_sentences(result), stored))


def _store(result: "FitResult", records: "list[Record]", out: Path | None) -> str:
    """Write the calibration to `out`, or keep it where it can be believed; a sentence on where it
    is."""
    from oomph.calibrate.store import calibration_json, keep

    text = calibration_json(result, records)
    if out:
        write_file(out, text, otherwise="name another file with --out")
        return f"written to {out}; oomph estimate --calibration {out} uses it"
    if not result.health.is_healthy:
        return (
            "not kept: it cannot be believed; --out FILE writes it all the same, for "
            "--calibration FILE"
        )
    return f"kept in {keep(text)}; oomph estimate uses it for this card, build and family of models"
