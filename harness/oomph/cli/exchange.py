"""`oomph import` and `oomph export`: results of other tools, in and out."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say, say_json
from oomph.errors import ConfigError
from oomph.foreign_text import visible

FORMATS = ("llama-bench", "rows")


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command("import")(_import)
    app.command("export")(_export)


def _import(
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
    from oomph.advise.exchange import import_results

    done = import_results(files, out, model=model, gpu=gpu)
    say(f"{done.n_new} of {done.n_read} records are new in {out}")
    for path in done.kept:
        say(f"kept in {path}; oomph estimate cites it for this card")


def _export(
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
    from oomph.records.exports import llama_bench_rows, write_rows
    from oomph.records.store import read_records
    from oomph.records.training_rows import training_rows

    if share is not None:
        _share(folder, share, yes=yes)
        return
    if layout not in FORMATS:
        raise ConfigError(f"--format is {layout!r}; it must be {' or '.join(FORMATS)}")
    records = read_records([folder])
    rows = list(training_rows(records) if layout == "rows" else llama_bench_rows(records))
    if out is None:
        say_json(rows, indent=2)
    else:
        write_rows(rows, out)


def _share(folder: Path, file: Path, *, yes: bool) -> None:
    from oomph.records.share import contents, render_share, shareable, write_share

    records = shareable(folder)
    text = render_share(records)
    say(*contents(records), "the first of them, whole:", text.splitlines()[1])
    if not yes and not typer.confirm(visible(f"write {len(text):,} bytes to {file}?")):
        say("nothing was written")
        return
    write_share(text, file)
    say(f"written to {file}; `oomph import {file} --out FOLDER` reads it")
