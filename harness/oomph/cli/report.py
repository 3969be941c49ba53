"""`oomph report`: result folders as a page, as Markdown and as figures."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say, tell

if TYPE_CHECKING:
    from oomph.views.report import Report


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("report")(report)


def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders, as `oomph sweep --out` writes them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write the page here; by default into the first folder.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model, where it is no longer at the path that the records name."),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            help="Fit the coefficients to these records first; the page says that it was done."
        ),
    ] = False,
    png: Annotated[
        bool, typer.Option("--png", help="Write each figure as PNG too, beside its SVG.")
    ] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Write each figure as PDF too, for print.")
    ] = False,
    scripts: Annotated[
        Path | None,
        typer.Option(
            help="Keep the what-if's script in this folder, once for all pages that are published "
            "together, instead of in the page."
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
    lang: Annotated[str, typer.Option("--lang", help="en or ru, of the headline")] = "en",
) -> None:
    """Write report.html (one file, no network), report.md and figures/ from measured records."""
    from oomph.views.report import write_pages
    from oomph.views.reporting import report_of

    made = report_of(folders, model=model, calibrate=calibrate, language=lang, tell=tell)
    print_remarks(made)
    suffixes = [suffix for suffix, wanted in ((".png", png), (".pdf", pdf)) if wanted]
    page = write_pages(made, out or folders[0], suffixes=suffixes, scripts=scripts)
    say(page)
    if open_page:
        webbrowser.open(page.resolve().as_uri())


def print_remarks(made: "Report") -> None:
    """What the report lacks, and why, on standard error."""
    for remark in made.remarks:
        say(f"oomph: {remark}", err=True)
