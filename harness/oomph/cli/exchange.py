"""`oomph import` and `oomph export`: results of other tools, in and out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say, say_pieces, tell
from oomph.errors import ConfigError
from oomph.foreign_text import visible

if TYPE_CHECKING:
    from oomph.advise.exchange import FileTaken

FORMATS = ("llama-bench", "rows")
SHOWN_LINES = 10


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command("import")(_import)
    app.command("export")(_export)


def _import(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Output of llama-bench, batched-bench, sweep-bench, llama-benchy or ctxprobe, a "
            "llama.cpp log (llama-perplexity's too), lm-evaluation-harness's samples or results, a "
            "shared file; a folder of them; - for standard input."
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

    Every whole row is taken, and a row that is not is named with its line. A log must show the
    buffer sizes: llama-server does with `--log-verbosity 4`. Its speeds are not read.
    """
    from oomph.advise.exchange import import_results

    done = import_results(files, out, model=model, gpu=gpu)
    for file in done.files:
        _name_problems(file)
    say(done.summary(), f"{done.n_new} of {done.n_read} records are new in {out}")
    for path in done.kept:
        say(f"kept in {path}; oomph estimate cites it for this card")


def _name_problems(file: "FileTaken") -> None:
    """Each line that gave nothing, ten at most and then how many more."""
    say(*(each.at(file.path) for each in file.problems[:SHOWN_LINES]), err=True)
    if len(file.problems) > SHOWN_LINES:
        say(f"{file.path}: and {len(file.problems) - SHOWN_LINES:,} more such lines", err=True)


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
    from oomph.records.exports import json_pieces, llama_bench_rows, write_rows
    from oomph.records.store import each_record
    from oomph.records.training_rows import training_rows

    if share is not None:
        _share(folder, share, yes=yes)
        return
    if layout not in FORMATS:
        raise ConfigError(f"--format is {layout!r}; it must be {' or '.join(FORMATS)}")
    records = each_record([folder], tell=tell)
    rows = training_rows(records) if layout == "rows" else llama_bench_rows(records)
    if out is None:
        say_pieces(json_pieces(rows))
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
