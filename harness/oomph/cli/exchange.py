"""`oomph import` and `oomph export`: results of other tools, in and out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.errors import ConfigError

if TYPE_CHECKING:
    from oomph.records.schema import ModelIdentity, Record

FORMATS = ("llama-bench",)


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command("import")(import_results)
    app.command("export")(export_results)


def import_results(
    files: Annotated[
        list[Path],
        typer.Argument(help="Output of llama-bench, batched-bench, sweep-bench or ctxprobe, or a llama.cpp log."),
    ],
    out: Annotated[Path, typer.Option(help="Results folder to add the records to.")],
    model: Annotated[
        str | None, typer.Option(help="The model's file, or its name: ties the rows to it where the tool does not.")
    ] = None,
    gpu: Annotated[str | None, typer.Option(help="The card they ran on, where the tool does not say.")] = None,
) -> None:
    """Read other tools' results into records; what is already in the folder is left out.

    A log must show the buffer sizes: llama-server does with `--log-verbosity 4`. Its speeds are not read.
    """
    from oomph.records.store import Store

    identity = _identity(model)
    records = [record for file in files for record in _read(file, identity, gpu)]
    with Store(out) as store:
        known = {record.record_id for record in store.records()}
        new = {record.record_id: record for record in records if record.record_id not in known}
        for record in new.values():
            store.append(record)
    typer.echo(f"{len(new)} of {len(records)} records are new in {out}")


def _read(file: Path, model: "str | ModelIdentity | None", card: str | None) -> "list[Record]":
    from oomph.measure.foreign_logs import is_log, read_log
    from oomph.records.imports import import_records, record_on

    if not is_log(file):
        return import_records(file, model=model, card=card)
    return [record_on(record, card) if card else record for record in read_log(file, model=model)]


def _identity(model: str | None) -> "str | ModelIdentity | None":
    """The identity of the model's file where there is one, as a sweep would record it."""
    if model is None or not Path(model).is_file():
        return model
    from oomph.measure.plan import identify

    return identify(Path(model))


def export_results(
    folder: Annotated[Path, typer.Argument(help="Results folder.")],
    layout: Annotated[str, typer.Option("--format", help="Only llama-bench so far.")] = "llama-bench",
    out: Annotated[
        Path | None, typer.Option(help="Write here: .json, .jsonl, .csv or .sqlite; JSON to stdout by default.")
    ] = None,
) -> None:
    """Write a folder's timings as another tool has them: llama.cpp's compare-llama-bench.py reads each layout."""
    from oomph.cli.report import read_records
    from oomph.records.exports import llama_bench_rows, render_json, write_rows

    if layout not in FORMATS:
        raise ConfigError(f"--format is {layout!r}; it must be {' or '.join(FORMATS)}")
    rows = list(llama_bench_rows(read_records([folder])))
    if out is None:
        typer.echo(render_json(rows))
    else:
        write_rows(rows, out)
