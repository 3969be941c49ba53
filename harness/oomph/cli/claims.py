"""`oomph claims`: published figures, held against what llama.cpp allocates."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say


def register(app: typer.Typer) -> None:
    """Add `claims` to the command line."""
    app.command("claims")(_claims)


def _claims(
    file: Annotated[Path, typer.Argument(help="the claims (TOML)")],
    out: Annotated[Path, typer.Option(help="results folder; started again, it goes on from there")],
    phantom: Annotated[str | None, typer.Option(help="another card than the claims name")] = None,
) -> None:
    """Hold claims about memory against the estimate and the phantom of the card that they are
    about."""
    from oomph.analysis.claims import read_claims
    from oomph.analysis.claims_measured import try_claims
    from oomph.cli.output import print_table
    from oomph.measure.bench import open_bench
    from oomph.records.store import Store
    from oomph.views.claims import judged_claims, write_claims

    claims, store = read_claims(file), Store(out)
    with open_bench(phantom or claims.card) as bench:
        tried = try_claims(claims, bench, store, say=say)
        judged = judged_claims(claims, tried, bench.environment.gpus[0]["name"])
    path = write_claims(claims, judged, out, source=file)
    for table in judged.tables:
        print_table(table)
    say(*(*judged.sentences, f"written to {path}"))
