"""The command line: parse, call one library function, print.

One module a group of commands; each defines functions that `main` registers. Errors that a user can
mend are caught here, once.
"""

import signal
import sys
from typing import NoReturn

import typer

from oomph import __version__
from oomph.cli import (
    answer,
    bundle,
    calibrate,
    chat,
    claims,
    classify,
    compare,
    demo,
    demo_model,
    doctor,
    estimate,
    exchange,
    explain,
    facts,
    first_card,
    frontier,
    launch,
    max_context,
    models,
    phantom,
    records,
    report,
    setup,
    sweep,
    what_if,
)
from oomph.errors import OomphError
from oomph.extras import missing_extra

app = typer.Typer(
    name="oomph",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Will this GGUF model, with this context and this many experts, fit on this card, and "
    "how fast?",
)


@app.callback(invoke_without_command=False)
def _root() -> None:
    """Predict, measure, calibrate and publish what a GGUF model takes on a card."""


@app.command("version")
def _version() -> None:
    """Print oomph's version."""
    typer.echo(__version__)


answer.register(app)
bundle.register(app)
calibrate.register(app)
chat.register(app)
claims.register(app)
classify.register(app)
compare.register(app)
demo.register(app)
demo_model.register(app)
doctor.register(app)
estimate.register(app)
exchange.register(app)
explain.register(app)
facts.register(app)
first_card.register(app)
frontier.register(app)
launch.register(app)
max_context.register(app)
models.register(app)
phantom.register(app)
records.register(app)
report.register(app)
setup.register(app)
sweep.register(app)
what_if.register(app)


def _exit(number: int, _: object) -> None:
    """An exit cleans up: workers end, no file is left behind."""
    sys.exit(128 + number)


def main() -> None:
    """The console script: exit code 2 and one sentence for what a user can mend."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets SIGHUP
            signal.signal(number, _exit)
    try:
        app()
    except OomphError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        sentence = missing_extra(error.name)
        if sentence is None:
            raise
        _fail(sentence)


def _fail(sentence: str) -> NoReturn:
    print(f"oomph: {sentence}", file=sys.stderr)
    sys.exit(2)
