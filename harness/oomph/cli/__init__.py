"""The command line: parse, call one library function, print.

One module a group of commands; each defines functions that `main` registers. Errors that a user can
mend are caught here, once.
"""

import signal
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.models import CommandInfo, TyperInfo

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
    verify,
    what_if,
)
from oomph.cli.output import guard, say, say_json
from oomph.errors import OomphError, machine_sentence
from oomph.extras import missing_extra

_UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""What typer raises for a command line that it does not understand; it exports its children."""

app = typer.Typer(
    name="oomph",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Will this GGUF model, with this context and this many experts, fit on this card, and "
    "how fast?",
)


PANELS: Final[Mapping[str, Mapping[str, str]]] = {
    "Ask": {
        "answer": 'answer qwen3-30b-a3b:Q4_K_M --gpu "RTX 5090" -c 90k --n-expert-used 9-10',
        "estimate": 'estimate model.gguf -c 32k -ctk q8_0 -ctv q8_0 --gpu "RTX 3090" --json',
        "max-context": 'max-context gemma-3-27b:Q4_K_M --gpu "RTX 3090" --as ollama',
        "what-if": "what-if qwen3-30b-a3b:Q4_K_M --open",
        "explain": 'explain kv --model model.gguf --gpu "RTX 4090"',
        "launch": 'launch model.gguf -c 90k --gpu "RTX 5090" --out launch --check',
        "inspect": "inspect model.gguf",
        "classify": "classify llama-server.log",
        "models": 'models "Qwen3 30B A3B"',
        "gpus": 'gpus "RTX 5090"',
        "claims": "claims bench/claims/qwen3-30b-a3b.toml --out results/claims",
    },
    "Measure": {
        "sweep": "sweep model.gguf --n-ctx 4k,32k --n-expert-used 8-10 --out results/mine",
        "frontier": "frontier model.gguf --n-expert-used 8-10 --type-kv f16,q8_0",
        "first-card": "first-card --out results/mine/first-card",
        "rerun": "rerun results/mine 85623b22b8d5 --out results/again",
    },
    "Results": {
        "report": "report results/mine --open",
        "calibrate": "calibrate results/mine",
        "compare": "compare results/before results/after --html",
        "merge": "merge results/a results/b --out results/both",
        "import": "import llama-bench.json --out results/theirs",
        "export": "export results/mine --format llama-bench-jsonl",
        "records": "records --help",
    },
    "Set up": {
        "doctor": "doctor",
        "verify": "verify qwen3-30b-a3b:Q4_K_M",
        "setup": "setup cuda",
        "bundle": "bundle /media/usb/oomph --cuda --cuda-arch 9.0",
        "synth": "synth qwen3-30b-a3b:Q4_K_M sparse.gguf",
        "phantom": "phantom --help",
    },
    "Demonstrate": {
        "demo": "demo --open",
        "demo-model": "demo-model",
        "chat": "chat model.gguf --n-ctx 8192",
    },
}
"""The commands by what they are for, the common ones first, each with an example."""


def _version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=False)
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print oomph's version."),
    ] = False,
) -> None:
    """Predict, measure, calibrate and publish what a GGUF model takes on a card."""


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
verify.register(app)
what_if.register(app)


def _in_panels() -> None:
    """Put every command into its panel, in the order of the panel, with its example."""
    panel_of = {name: panel for panel, examples in PANELS.items() for name in examples}
    order = list(panel_of)
    everything: list[CommandInfo | TyperInfo] = [*app.registered_commands, *app.registered_groups]
    for command in everything:
        name = str(command.name)
        command.rich_help_panel = panel_of[name]
        command.epilog = f"Example: `oomph {PANELS[panel_of[name]][name]}`"
    app.registered_commands.sort(key=lambda command: order.index(str(command.name)))


_in_panels()


def _exit(number: int, _: object) -> None:
    """An exit cleans up: workers end, no file is left behind."""
    sys.exit(128 + number)


def main() -> None:
    """The console script: exit code 2 and one sentence for what a user can mend."""
    _prepare()
    try:
        code = app(standalone_mode=False)
    except OomphError as error:
        _fail(str(error))
    except _UsageError as error:
        _refuse(error)
    except typer.Abort:
        _fail("nothing was confirmed")
    except (ModuleNotFoundError, OSError) as error:
        _fail_for_missing(error)
    finally:
        _keep_replays()
    sys.exit(code if isinstance(code, int) else 0)


def _keep_replays() -> None:
    """Let the next process know what this one's replays have taught, if it had any."""
    if files := sys.modules.get("oomph.calibrate.replay_files"):
        files.REPLAYS.save()


def _prepare() -> None:
    """Before any command: signals, what goes to the terminal, and how help looks."""
    _end_cleanly()
    guard()
    _choose_help()


def _choose_help() -> None:
    """A command's options as plain text, which wraps: in a narrow terminal typer's own tables cut
    their names."""
    app.rich_markup_mode = None if "--help" in sys.argv[2:] else "markdown"


def _end_cleanly() -> None:
    """Let a signal end the program as an exit does."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets SIGHUP
            signal.signal(number, _exit)


def _fail_for_missing(error: ModuleNotFoundError | OSError) -> NoReturn:
    """An import that an extra would have brought, or something that the machine lacks; any other is
    a bug."""
    sentence = machine_sentence(error) if isinstance(error, OSError) else missing_extra(error.name)
    if sentence is None:
        raise error
    _fail(sentence)


def _refuse(error: Any) -> NoReturn:
    """A command line that is not understood: typer's own way to say so takes foreign text as it
    is. An `oomph` without arguments has been shown its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.exit(error.exit_code)
    if error.ctx is not None:
        say(f"{error.ctx.get_usage()}; --help says more", err=True)
    _fail(error.format_message())


def _fail(sentence: str) -> NoReturn:
    if "--json" in sys.argv:  # who asks for JSON reads why there is no answer there too
        say_json({"error": sentence})
    say(f"oomph: {sentence}", err=True)
    sys.exit(2)
