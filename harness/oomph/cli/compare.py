"""`oomph compare`: two result folders, before and after a change."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.report import read_records
from oomph.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("compare")(compare)


def compare(
    before: Annotated[Path, typer.Argument(help="Results folder to compare with.")],
    after: Annotated[Path, typer.Argument(help="Results folder to judge.")],
    fail_over: Annotated[
        str | None,
        typer.Option(help="Exit with 1 if anything got worse by more than this, such as 5%."),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown instead of a table.")
    ] = False,
) -> None:
    """Pair the points of two folders: differences with intervals, regressions first, and what
    changed around them."""
    from oomph.analysis.paired_runs import environment_changes, paired_differences, unpaired
    from oomph.cli.output import print_table
    from oomph.views.differences import changes_table, differences_table
    from oomph.views.table import render_markdown

    threshold = _fraction(fail_over) if fail_over is not None else 0.0
    old, new = read_records([before]), read_records([after])
    differences = paired_differences(old, new)
    only_before, only_after = unpaired(old, new)
    changes, shown = (
        environment_changes(old, new),
        differences_table(differences, threshold=threshold),
    )
    for table in (*((changes_table(changes),) if changes else ()), shown):
        if markdown:
            typer.echo(render_markdown(table))
        else:
            print_table(table)
    if only_before or only_after:
        typer.echo(f"Without a partner: {only_before} points before, {only_after} after.")
    regressions = sum(difference.is_regression(threshold) for difference in differences)
    beyond = f" beyond {fail_over}" if fail_over is not None else ""
    typer.echo(f"{regressions} of {len(differences)} differences are regressions{beyond}.")
    if fail_over is not None and regressions:
        raise typer.Exit(1)


def _fraction(text: str) -> float:
    """`'5%'` or `'0.05'` as a fraction."""
    try:
        value = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ConfigError(
            f"--fail-over is {text!r}; give a percentage such as 5%, or a fraction such as 0.05"
        )
    return value
