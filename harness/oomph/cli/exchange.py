"""`oomph import` and `oomph export`: results of other tools, in and out."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.errors import ConfigError, StoreError


def register(app: typer.Typer) -> None:
    """Add both commands to `app`."""
    app.command("import")(import_results)
    app.command("export")(export_results)


def import_results(
    files: Annotated[list[Path], typer.Argument(help="Output of llama-bench, batched-bench, sweep-bench or ctxprobe.")],
    out: Annotated[Path, typer.Option(help="Results folder to add the records to.")],
    model: Annotated[str | None, typer.Option(help="The model's name or path, where the tool does not say.")] = None,
) -> None:
    """Read other tools' results into records; what is already in the folder is left out."""
    from oomph.records.imports import import_records
    from oomph.records.store import Store

    records = [record for file in files for record in import_records(file, model=model)]
    with Store(out) as store:
        known = {record.record_id for record in store.records()}
        new = {record.record_id: record for record in records if record.record_id not in known}
        for record in new.values():
            store.append(record)
    typer.echo(f"{len(new)} of {len(records)} records are new in {out}")


def export_results(
    folder: Annotated[Path, typer.Argument(help="Results folder.")],
    layout: Annotated[str, typer.Option("--format", help="Only llama-bench so far: its JSON.")] = "llama-bench",
    out: Annotated[Path | None, typer.Option(help="Write here; to stdout by default.")] = None,
) -> None:
    """Write a folder's timings as another tool has them."""
    import json

    from oomph.cli.report import read_records
    from oomph.records.exports import llama_bench_rows

    if layout != "llama-bench":
        raise ConfigError(f"--format is {layout!r}; it must be llama-bench")
    text = json.dumps(list(llama_bench_rows(read_records([folder]))), indent=2)
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{out} cannot be written ({error.strerror}); name another path with --out") from None
