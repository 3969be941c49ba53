"""`oomph classify`: what a log says about how a run ended."""

from typing import Annotated, Any

import typer

from oomph.cli.named import CommandOption, ReserveOption
from oomph.cli.output import say, say_json
from oomph.cli.pasted import said_of_run


def register(app: typer.Typer) -> None:
    """Add `classify` to the command line."""
    app.command("classify")(_classify)


def _classify(
    log: Annotated[
        str, typer.Argument(help="a file with the program's output, or - for standard input")
    ],
    exit_code: Annotated[
        str | None,
        typer.Option(help="its exit code: 134, -6 or 0xC0000409; negative or 128 + n for a signal"),
    ] = None,
    timed_out: Annotated[
        bool, typer.Option("--timed-out", help="it was ended for taking too long")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    model: Annotated[
        str | None, typer.Option(help="which model it was: adds what would have fitted")
    ] = None,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            help="on which card or cards, for the same; else what the log says was free",
            metavar="CARDS",
        ),
    ] = None,
    reserve: ReserveOption = None,
    command: CommandOption = None,
) -> None:
    """Say how a llama.cpp run ended: which out-of-memory, or what else, and the next step."""
    from oomph.advise.failed_run import classify_log
    from oomph.measure.logs.exit_codes import read_exit_code
    from oomph.measure.logs.lines import read_lines
    from oomph.views.outcome import outcome_json, outcome_lines

    code = None if exit_code is None else read_exit_code(exit_code)
    lines = read_lines(log)
    model, said = said_of_run(command, model)
    asked: dict[str, Any] = {"model": model, "gpu": gpu, "said": said, "reserve": reserve}
    found = classify_log(lines, code, timed_out=timed_out, **asked)
    say(*(said.remarks if said else ()), err=True)
    if as_json:
        say_json(outcome_json(found))
    else:
        say(*outcome_lines(found))
