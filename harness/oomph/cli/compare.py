"""`oomph compare`: two result folders, before and after a change."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say, say_text
from oomph.errors import ConfigError

if TYPE_CHECKING:
    from oomph.analysis.paired_runs import RunsCompared


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("compare")(compare)


def compare(
    before: Annotated[Path, typer.Argument(help="Results folder to compare with.")],
    after: Annotated[Path, typer.Argument(help="Results folder to judge.")],
    fail_over: Annotated[
        str | None,
        typer.Option(
            help="For CI: exit with 1 if anything got worse by more than this, such as 5%, and "
            "with 2 if there was nothing to compare."
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown instead of a table.")
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Write a page instead, and print the verdict alone.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the page here; by default compare.html.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
) -> None:
    """Pair the points of two folders: differences with intervals, regressions first, why points
    did not pair, and what changed around them."""
    from oomph.analysis.paired_runs import compare_runs
    from oomph.records.store import read_records
    from oomph.views.differences import comparison_lines

    threshold = _fraction(fail_over) if fail_over is not None else 0.0
    found = compare_runs(read_records([before]), read_records([after]))
    if html or out or open_page:
        page = _write(found, before, after, out, threshold=threshold, said=fail_over)
        say(page)
        if open_page:
            webbrowser.open(page.resolve().as_uri())
    else:
        _print(found, threshold=threshold, markdown=markdown)
    say(*comparison_lines(found, threshold=threshold, said=fail_over))
    _judge(found, before, after, threshold=threshold, is_gate=fail_over is not None)


def _print(found: "RunsCompared", *, threshold: float, markdown: bool) -> None:
    from oomph.cli.output import print_table
    from oomph.views.differences import comparison_tables
    from oomph.views.table import render_markdown

    for table in comparison_tables(found, threshold=threshold):
        say_text(render_markdown(table)) if markdown else print_table(table)


def _write(
    found: "RunsCompared",
    before: Path,
    after: Path,
    out: Path | None,
    *,
    threshold: float,
    said: str | None,
) -> Path:
    from oomph.views.differences_page import PAGE, render_comparison, write_comparison

    page = render_comparison(
        found, before=str(before), after=str(after), threshold=threshold, said=said
    )
    return write_comparison(page, out or PAGE)


def _judge(
    found: "RunsCompared", before: Path, after: Path, *, threshold: float, is_gate: bool
) -> None:
    """End as a script reads it: a gate that compared nothing has not let anything pass."""
    if found.why_nothing_paired:
        raise ConfigError(f"nothing in {before} and {after} pairs: {found.why_nothing_paired}")
    if is_gate and found.why_nothing_compared:
        raise ConfigError(f"--fail-over has nothing to judge: {found.why_nothing_compared}")
    if is_gate and found.n_regressions(threshold):
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
