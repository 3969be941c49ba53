"""`oomph records`, `merge` and `rerun`: what is in a results folder."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say, say_text, tell
from oomph.cli.phantom import PhantomOption

Folder = Annotated[Path, typer.Argument(help="A results folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(
        no_args_is_help=True, help="What is in a results folder, and how records are written."
    )
    group.command("schema")(schema)
    group.command("export")(export)
    app.add_typer(group, name="records")
    app.command("merge")(merge)
    app.command("rerun")(rerun)


def schema() -> None:
    """Print the format of records, field by field with units (docs/records.md)."""
    from oomph.records.describe import render_schema

    say_text(render_schema(), end="")


def export(
    folder: Folder,
    to: Annotated[Path, typer.Argument(help="The table to write: a .csv or .parquet file.")],
) -> None:
    """Write the records as a table, one row per timing."""
    from oomph.records.store import Store
    from oomph.records.table_file import write_table

    n_rows = write_table(Store(folder).records(tell=tell), to)
    say(f"{to}: {n_rows} rows")


def merge(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders, of one machine or several.")
    ],
    out: Annotated[Path, typer.Option(help="The folder that gets all their records.")],
) -> None:
    """Join results folders; a record that is in two of them is taken once."""
    from oomph.records.merge import merge as merge_stores
    from oomph.records.store import Store

    n_new = merge_stores([Store(folder) for folder in folders], Store(out))
    say(f"{out}: {n_new} new records")


def rerun(
    folder: Folder,
    record_id: Annotated[str, typer.Argument(help="A record's id, or the beginning of one.")],
    out: Annotated[Path, typer.Option(help="Results folder for the new record.")],
    model: Annotated[
        str | None, typer.Option(help="The GGUF file, where the record's path is not it.")
    ] = None,
    phantom: PhantomOption = None,
) -> None:
    """Measure a recorded point again: the same model, knobs, work and limits, on its kind of card
    if that is here."""
    from oomph.calibrate.sweep_runner import open_rerun
    from oomph.cli.sweep import follow
    from oomph.measure.rerun import find_record
    from oomph.records.store import Store

    record, store = find_record(Store(folder), record_id), Store(out)
    with open_rerun(record, store, model=model, phantom=phantom) as (runner, sweep, chosen):
        follow(runner.run(sweep), store, 1, names_cards=chosen.names_cards)
