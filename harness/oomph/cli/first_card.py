"""`oomph first-card`: a card's first day, most valuable first, within some minutes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from oomph.cli.phantom import PhantomOption
from oomph.errors import ConfigError

if TYPE_CHECKING:
    from oomph.analysis.first_card.expectations import Foreseen
    from oomph.analysis.first_card.verdict import Verdict
    from oomph.gpus import GpuSpec
    from oomph.measure.bench import Bench
    from oomph.measure.first_card.models import ProtocolModels
    from oomph.measure.first_card.protocol import Protocol
    from oomph.measure.first_card.visit import Event, Visit

REPORT_S: Final = 20.0
"""Kept of the minutes for the verdict and the page."""


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
    if cpu and phantom:
        raise ConfigError("--cpu and --phantom both say where to measure; give one of them")
    chosen = size or (Size.SMALL if cpu else Size.FULL)
    with _day(
        phantom, cpu=cpu, size=chosen, model=model, busy=busy, out=out, minutes=minutes
    ) as day:
        day.print_plan(minutes)
        if not plan:
            day.run()
            day.judge(keeps=chosen is Size.FULL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """The parts of one run, put together."""

    bench: "Bench"
    folder: Path
    protocol: "Protocol"
    models: "ProtocolModels"
    foreseen: "Foreseen"
    visit: "Visit"

    def print_plan(self, minutes: float) -> None:
        """What is going to be done, and where."""
        from oomph.cli.output import print_table
        from oomph.views.first_card import plan_table

        where = self.bench.cards[0].name if self.bench.cards else self.bench.environment.cpu
        typer.echo(f"{where}, into {self.folder}")
        print_table(plan_table(self.visit.plan(), minutes=minutes))

    def run(self) -> None:
        """Predict, then measure, saying each thing as it comes; exit code 130 where it is
        interrupted."""
        from oomph.analysis.first_card.predictions import FILE, write_predictions

        open_steps = [step.name for step in self.visit.plan() if not (step.done or step.why)]
        steps = [step for step in self.protocol.step if step.name in open_steps]
        try:
            n_lines = write_predictions(
                steps,
                self.protocol,
                self.models,
                self.foreseen,
                self.visit.environment,
                self.folder,
            )
            if n_lines:
                typer.echo(
                    f"{n_lines} predictions are in {self.folder / FILE}, before anything is "
                    "measured"
                )
            for event in self.visit.run():
                typer.echo(_line(event))
        except KeyboardInterrupt:
            typer.echo(
                f"\nStopped; what was measured is in {self.folder}. The same command goes on from "
                "there.",
                err=True,
            )
            raise typer.Exit(130) from None

    def judge(self, *, keeps: bool) -> None:
        """The verdict, printed, and the page; what a real card taught is kept for `oomph
        estimate`."""
        from oomph.advise.citations import keep_measured
        from oomph.analysis.first_card.day import read_day
        from oomph.cli.output import print_table
        from oomph.cli.report import day_report
        from oomph.views.first_card import errors_table, evidence, frontiers_table, stages_table
        from oomph.views.report import write_report

        day = read_day(self.folder)
        found = day.verdict
        for table in (errors_table(found), frontiers_table(found), stages_table(found)):
            if table.rows:
                print_table(table)
        for sentence in evidence(found):
            typer.echo(f"- {sentence}")
        if found.fit is not None:
            self._calibration(found, keeps=keeps and self.bench.environment.backend == "cuda")
        if keeps:
            for path in keep_measured(found.records):
                typer.echo(f"measured runs kept in {path}; oomph estimate cites them for this card")
        typer.echo(f"The page: {write_report(day_report(day), self.folder)}")
        typer.echo(
            f"To give it to others without what names you: oomph export {self.folder} --share FILE"
        )

    def _calibration(self, found: "Verdict", *, keeps: bool) -> None:
        from oomph.calibrate.store import calibration_json, keep

        assert found.fit is not None
        text = calibration_json(found.fit, found.records)
        (self.folder / "calibration.json").write_text(text, encoding="utf-8")
        if keeps and found.fit.health.is_healthy:
            typer.echo(
                f"calibration kept in {keep(text)}; oomph estimate uses it for this card and "
                "these families"
            )


@contextmanager
def _day(
    phantom: str | None,
    *,
    cpu: bool,
    size: Size,
    model: str | None,
    busy: bool,
    out: Path | None,
    minutes: float,
) -> Iterator[_Day]:
    from oomph.analysis.first_card.expectations import Foreseen
    from oomph.measure.bench import cpu_bench, open_bench
    from oomph.measure.first_card.fitness import only_card, refuse_unready
    from oomph.measure.first_card.models import ProtocolModels
    from oomph.measure.first_card.protocol import Protocol
    from oomph.measure.first_card.visit import Visit

    with ExitStack() as stack:
        bench = cpu_bench() if cpu else stack.enter_context(open_bench(phantom))
        if not cpu:
            card = only_card(bench)
            if not busy:
                refuse_unready(bench, card)
        protocol = Protocol.read(size.value)
        if model:
            protocol = protocol.asking(model)
        folder = out or _folder(bench)
        models = ProtocolModels(size.value, computes=bench.phantom is None)
        stack.callback(models.close)
        foreseen = Foreseen(_spec(bench), bench.environment.backend)
        visit = Visit(
            protocol,
            bench,
            folder=folder,
            minutes=max(0.0, minutes - REPORT_S / 60),
            foresight=foreseen,
            models=models,
        )
        yield _Day(
            bench=bench,
            folder=folder,
            protocol=protocol,
            models=models,
            foreseen=foreseen,
            visit=visit,
        )


def _folder(bench: "Bench") -> Path:
    """Where results go: a machine's own folder, or a phantom's under its card's name."""
    from oomph.measure.first_card.protocol import SWEEP
    from oomph.records.environment import machine_name

    if bench.phantom:
        return (
            Path("results") / "phantom" / f"{SWEEP}-{'-'.join(bench.cards[0].name.lower().split())}"
        )
    return Path("results") / machine_name() / (SWEEP if bench.cards else f"{SWEEP}-cpu")


def _spec(bench: "Bench") -> "GpuSpec | None":
    """The first card by the catalogue; one that it lacks by what its driver says."""
    from oomph.errors import UnknownNameError
    from oomph.gpus import gpu
    from oomph.measure.ballast import door_to, holding
    from oomph.units import MIB

    if not bench.cards:
        return None
    card = bench.cards[0]
    if bench.phantom:
        return bench.phantom.specs[0]
    try:
        return gpu(card.name)
    except UnknownNameError:
        with holding(door_to(bench, card)) as holder:
            n_sms, memory = holder.said["sm_count"], holder.said["total_bytes"]
        return gpu(f"{card.name}:{memory // MIB}:{card.compute_capability}:{n_sms}")


def _line(event: "Event") -> str:
    """One event as a line."""
    from oomph.cli.frontier import frontier_line
    from oomph.cli.sweep import record_line

    if event.record is not None:
        return f"[{event.step}] {record_line(event.record)}"
    return f"[{event.step}] {frontier_line(event.frontier) if event.frontier else event.text}"
