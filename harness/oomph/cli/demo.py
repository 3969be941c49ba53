"""`oomph demo`: the whole of what oomph is for, end to end, on the embedded model."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say
from oomph.cli.report import print_remarks
from oomph.cli.sweep import run_sweep

if TYPE_CHECKING:
    from oomph.records.schema import Record
    from oomph.views.report import Report


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("demo")(demo)


def demo(
    out: Annotated[
        Path | None, typer.Option(help="Results folder; by default results/<machine>/demo.")
    ] = None,
    spec: Annotated[
        Path | None, typer.Option(help="The sweep to run; by default the demo's own.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
) -> None:
    """Make the demo model, measure it, calibrate the estimate on it and write the page. Started
    again, it resumes."""
    from oomph.measure.sweep import Sweep
    from oomph.models.demo import demo_sweep
    from oomph.records.environment import machine_name
    from oomph.records.store import read_records
    from oomph.views.report import write_pages
    from oomph.views.reporting import report_on

    folder = out or Path("results") / machine_name() / "demo"
    run_sweep(Sweep.load(spec or demo_sweep()), folder)
    records = read_records([folder])
    report = report_on(records, calibrate=True)
    page = write_pages(report, folder)
    _tell(records, report)
    say(f"The page: {page}")
    if open_page:
        webbrowser.open(page.resolve().as_uri())


def _tell(records: "list[Record]", report: "Report") -> None:
    from oomph.cli.output import print_table
    from oomph.records.summary import summaries_of
    from oomph.views.tables import experts_table, outcomes_table

    print_remarks(report)
    summaries = summaries_of(records)
    for table in (experts_table(summaries), outcomes_table(summaries)):
        if table.rows:
            print_table(table)
    for chapter in report.chapters:
        say(f"{chapter.headline}.", *(f"- {sentence}" for sentence in chapter.evidence))
