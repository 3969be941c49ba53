"""`oomph import` and `oomph export`: results of other tools, in and out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.errors import ConfigError

if TYPE_CHECKING:
    from oomph.records.schema import ModelIdentity, Record

FORMATS = ("llama-bench", "rows")


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command("import")(import_results)
    app.command("export")(export_results)


def import_results(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Output of llama-bench, batched-bench, sweep-bench or ctxprobe, a llama.cpp log, "
            "or a shared file."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Results folder to add the records to.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="The model's file, or its name: ties the rows to it where the tool does not."
        ),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(help="The card they ran on, where the tool does not say.")
    ] = None,
) -> None:
    """Read other tools' results, or a file of `export --share`, into records; what is there already
    is left out.

    A log must show the buffer sizes: llama-server does with `--log-verbosity 4`. Its speeds are not
    read.
    """
    from oomph.advise.citations import keep_measured
    from oomph.records.share import is_share, read_share
    from oomph.records.store import Store

    identity = _identity(model)
    shared = [record for file in files if is_share(file) for record in read_share(file)]
    records = [
        record for file in files if not is_share(file) for record in _read(file, identity, gpu)
    ] + shared
    with Store(out) as store:
        known = {record.record_id for record in store.records()}
        new = {record.record_id: record for record in records if record.record_id not in known}
        for record in new.values():
            store.append(record)
    typer.echo(f"{len(new)} of {len(records)} records are new in {out}")
    for path in keep_measured(shared):
        typer.echo(f"kept in {path}; oomph estimate cites it for this card")


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
    layout: Annotated[
        str,
        typer.Option(
            "--format",
            help="llama-bench, or rows: the speed table that coefficients are learned from.",
        ),
    ] = "llama-bench",
    out: Annotated[
        Path | None,
        typer.Option(help="Write here: .json, .jsonl, .csv or .sqlite; JSON to stdout by default."),
    ] = None,
    share: Annotated[
        Path | None,
        typer.Option(help="Write the folder's records to this one file, without what names you."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Share without being asked.")] = False,
) -> None:
    """Write a folder's timings as another tool has them: llama.cpp's compare-llama-bench.py reads
    each layout.

    With --share it is a file for others instead: what is in it is shown before it is written, and
    `oomph import` reads it. Host, user, paths, UUIDs, serial numbers, processes, logs and texts are
    not in it.
    """
    from oomph.cli.report import read_records
    from oomph.records.exports import llama_bench_rows, render_json, write_rows
    from oomph.records.training_rows import training_rows

    if share is not None:
        _share(folder, share, yes=yes)
        return
    if layout not in FORMATS:
        raise ConfigError(f"--format is {layout!r}; it must be {' or '.join(FORMATS)}")
    records = read_records([folder])
    rows = list(training_rows(records) if layout == "rows" else llama_bench_rows(records))
    if out is None:
        typer.echo(render_json(rows))
    else:
        write_rows(rows, out)


def _share(folder: Path, file: Path, *, yes: bool) -> None:
    from oomph.cli.report import read_records
    from oomph.errors import StoreError
    from oomph.records.share import contents, render_share

    inside = [
        path.parent for path in sorted(folder.glob("*/records.jsonl"))
    ]  # what ran beside ballasts
    records = read_records([folder, *inside])
    text = render_share(records)
    for sentence in contents(records):
        typer.echo(sentence)
    typer.echo(f"the first of them, whole:\n{text.splitlines()[1]}")
    if not yes and not typer.confirm(f"write {len(text):,} bytes to {file}?"):
        typer.echo("nothing was written")
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{file} cannot be written ({error.strerror}); name another path with --share"
        ) from None
    typer.echo(f"written to {file}; `oomph import {file} --out FOLDER` reads it")
