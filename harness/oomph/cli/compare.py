"""`oomph compare`: two result folders, before and after a change."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say, say_text
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
    from oomph.analysis.paired_runs import compare_runs
    from oomph.cli.output import print_table
    from oomph.records.store import read_records
    from oomph.views.differences import comparison_lines, comparison_tables
    from oomph.views.table import render_markdown

    threshold = _fraction(fail_over) if fail_over is not None else 0.0
    found = compare_runs(read_records([before]), read_records([after]))
    for table in comparison_tables(found, threshold=threshold):
        say_text(render_markdown(table)) if markdown else print_table(table)
    for line in comparison_lines(found, threshold=threshold, said=fail_over):
        say(line)
    if found.why_nothing_paired:
        raise ConfigError(f"nothing in {before} and {after} pairs: {found.why_nothing_paired}")
    if fail_over is not None and found.n_regressions(threshold):
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
