"""`oomph first-card`: a card's first day, most valuable first, within some minutes."""

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say
from oomph.cli.phantom import PhantomOption
from oomph.cli.report import print_remarks
from oomph.files import write_file

if TYPE_CHECKING:
    from oomph.analysis.first_card.day import Day
    from oomph.analysis.first_card.opening import FirstDay
    from oomph.analysis.first_card.verdict import DayVerdict
    from oomph.measure.first_card.visit import VisitEvent


class Size(StrEnum):
    """The values of --size."""

    FULL = "full"
    SMALL = "small"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("first-card")(first_card)


def first_card(
    minutes: Annotated[
        float, typer.Option(min=0.1, help="how long it may take; what does not fit is left out")
    ] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="results folder, by default results/<machine>/first-card; it goes on from there"
        ),
    ] = None,
    phantom: PhantomOption = None,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="on the processor: speed without a card")
    ] = False,
    size: Annotated[
        Size | None, typer.Option(help="small: likenesses of the models, seconds; CPU's default")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="the model in question: a GGUF file, or name:QUANT")
    ] = None,
    busy: Annotated[
        bool, typer.Option("--busy", help="measure beside what else is on the card")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="print the plan and do nothing")] = False,
) -> None:
    """Measure what matters on a card that was never measured: memory, speed, running out, beside
    what was predicted.

    Each step is on the disk before the next; interrupted, the same command goes on.
    """
    from oomph.analysis.first_card.opening import open_first_day

    chosen = size or (Size.SMALL if cpu else Size.FULL)
    with open_first_day(
        phantom, cpu=cpu, size=chosen.value, model=model, busy=busy, out=out, minutes=minutes
    ) as day:
        _print_plan(day, minutes)
        if not plan:
            _run(day)
            _judge(day, keeps=chosen is Size.FULL)


def _print_plan(day: "FirstDay", minutes: float) -> None:
    """What is going to be done, and where."""
    from oomph.cli.output import print_table
    from oomph.views.first_card import plan_table

    say(f"{day.where}, into {day.folder}")
    print_table(plan_table(day.visit.plan(), minutes=minutes))


def _run(day: "FirstDay") -> None:
    """Predict, then measure, saying each thing as it comes; exit code 130 where it is
    interrupted."""
    from oomph.analysis.first_card.predictions import FILE

    try:
        if n_lines := day.predict():
            where = day.folder / FILE
            say(f"{n_lines} predictions are in {where}, before anything is measured")
        with closing(day.visit.run()) as events:
            for event in events:
                say(_line(event))
    except KeyboardInterrupt:
        stopped = f"Stopped; what was measured is in {day.folder}."
        say(f"{stopped} The same command goes on from there.", err=True)
        raise typer.Exit(130) from None


def _judge(day: "FirstDay", *, keeps: bool) -> None:
    """The verdict, printed, and the page; what a real card taught is kept for `oomph estimate`."""
    from oomph.advise.citations import keep_measured
    from oomph.analysis.first_card.day import read_day

    read = read_day(day.folder)
    _print_verdict(read.verdict)
    _keep_calibration(day, read.verdict, keeps=keeps)
    for path in keep_measured(read.verdict.records) if keeps else ():
        say(f"measured runs kept in {path}; oomph estimate cites them for this card")
    _write_page(read, day.folder)
    say(f"To give it to others without what names you: oomph export {day.folder} --share FILE")


def _write_page(day: "Day", folder: Path) -> None:
    from oomph.views.report import write_pages
    from oomph.views.reporting import day_report

    made = day_report(day)
    print_remarks(made)
    say(f"The page: {write_pages(made, folder)}")


def _print_verdict(found: "DayVerdict") -> None:
    from oomph.cli.output import print_table
    from oomph.views.first_card import errors_table, evidence, frontiers_table, stages_table

    for table in (errors_table(found), frontiers_table(found), stages_table(found)):
        if table.rows:
            print_table(table)
    for sentence in evidence(found):
        say(f"- {sentence}")


def _keep_calibration(day: "FirstDay", found: "DayVerdict", *, keeps: bool) -> None:
    from oomph.calibrate.store import calibration_json, keep

    if found.fit is None:
        return
    text = calibration_json(found.fit, found.records)
    write_file(day.folder / "calibration.json", text)
    if keeps and day.bench.environment.backend == "cuda" and found.fit.health.is_healthy:
        say(
            f"calibration kept in {keep(text)}; oomph estimate uses it for this card and "
            "these families"
        )


def _line(event: "VisitEvent") -> str:
    """One event as a line."""
    from oomph.views.run_lines import frontier_line, record_line

    if event.record is not None:
        return f"[{event.step}] {record_line(event.record)}"
    return f"[{event.step}] {frontier_line(event.frontier) if event.frontier else event.text}"
