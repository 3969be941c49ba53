"""`oomph answer`: can I? In plain words first, then what they rest on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import (
    CalibrationOption,
    GpuMemoryOption,
    GpuOption,
    HostBandwidthOption,
    LanguageOption,
    ModelArgument,
    PowerLimitOption,
    SystemOption,
)
from oomph.cli.output import say_json, say_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oomph.advise.answer import Answer
    from oomph.calibrate.subject import Asked
    from oomph.programs.said import Said


def register(app: typer.Typer) -> None:
    """Add `answer` to the command line."""
    asked = takes_knobs(_answer, without=("n_expert_used", "n_depth", "n_parallel"), fits=True)
    app.command("answer")(asked)


def _answer(
    model: ModelArgument,
    n_expert_used: Annotated[
        str | None, typer.Option(help="active experts, several by comma")
    ] = None,
    gpu: GpuOption = None,
    gpu_mem: GpuMemoryOption = None,
    records: Annotated[
        list[Path] | None, typer.Option(help="results folders that may hold the evidence")
    ] = None,
    calibration: CalibrationOption = None,
    system: SystemOption = None,
    power_limit: PowerLimitOption = None,
    host_bandwidth: HostBandwidthOption = None,
    goal: Annotated[
        str | None,
        typer.Option("--for", help="find the best placement for decode, prefill or context"),
    ] = None,
    lang: LanguageOption = "en",
    exit_status: Annotated[
        bool, typer.Option("--exit-status", help="exit with 0 for a yes to all, else with 1")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object per number of experts, one per line")
    ] = False,
    *,
    said: "Said",
) -> None:
    """Can I run it? n_ctx left out is the model's own context; no card named is the machine's."""
    from oomph.advise.context_questions import records_of
    from oomph.advise.placement.parts import checked_goal
    from oomph.advise.questions import answers
    from oomph.calibrate.subject import asked_of
    from oomph.config import knob_values
    from oomph.estimate.machine import machine_of

    machine = machine_of(system, power_limit, host_bandwidth)
    asked = asked_of(model, gpu, gpu_mem, calibration, said, machine)
    experts = knob_values("n_expert_used", n_expert_used)
    found = answers(asked, experts, records_of(records or []), checked_goal(goal))
    (_print_json if as_json else _print)(asked, found, lang)
    if exit_status and any(each.verdict != "yes" for each in found):
        raise typer.Exit(1)


def _print_json(asked: "Asked", answers: "Sequence[Answer]", _lang: str) -> None:
    from oomph.views.answer import answer_json

    notes = {"notes": list(asked.estimator.model.notes)}
    for each in answers:
        say_json(answer_json(each) | notes)


def _print(asked: "Asked", answers: "Sequence[Answer]", lang: str) -> None:
    """Every verdict, a table of several, and the details of the one that is hardest to fit."""
    from oomph.cli.output import print_notes, print_table
    from oomph.views.answer import answers_table, details_text, verdicts_text
    from oomph.views.placement import front_table, front_text

    say_text(verdicts_text(answers, lang))
    if len(answers) > 1:
        print_table(answers_table(answers, lang))
    hardest = min(answers, key=lambda each: each.margin_bytes)
    say_text(details_text(hardest, lang), end="")
    if hardest.front:
        say_text("")
        print_table(front_table(hardest, lang))
        say_text(front_text(hardest, lang), end="")
    print_notes(asked.estimator.model)
