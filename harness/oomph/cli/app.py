"""The whole command line as one typer app, whose commands are imported when they are called.

typer builds what it knows: the root. A command stands in its list as a name and a line, and becomes
itself when it is to parse or to complete its words.
"""

from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from oomph import __version__
from oomph.cli.commands import PANELS, SUMMARIES, module_of
from oomph.cli.front import front_page
from oomph.cli.output import say
from oomph.cli.words import keep_words

UsageError: Final[type[Exception]] = typer.BadParameter.__mro__[1]
"""What typer raises for a command line that it does not understand; it exports its children."""
_SETTINGS: Final = {"max_content_width": 100}
"""Of help: the house's own width."""


class _Worded:
    """What typer parses, but for making text of text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does, with words that reach the command as they are."""
        itself: Any = self
        keep_words(itself.get_params(ctx))
        own: Any = super()
        parsed: list[str] = own.parse_args(ctx, args)
        return parsed


class Command(_Worded, TyperCommand):
    """A command whose words reach it as they are."""


class Deferred(TyperCommand):
    """A command's place in the list: its name and its line. Parsing is the command's own."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """The context of the command itself."""
        return load(str(self.name)).make_context(info_name, args, *more, **extra)


class Commands(_Worded, TyperGroup):
    """The root: every command of the panels, none of them imported."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for panel in PANELS.values():
            for name in panel:
                self.add_command(Deferred(name=name, help=SUMMARIES[name]))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The page that `oomph --help` shows without typer."""
        formatter.write(front_page())


def load(name: str) -> Any:
    """The command `name`, imported and built, with its example."""
    made = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_SETTINGS)
    import_module(f"oomph.cli.{module_of(name)}").register(made)
    examples = {each: text for panel in PANELS.values() for each, text in panel.items()}
    for command in made.registered_commands:
        command.cls, command.context_settings = Command, _SETTINGS
        command.epilog = f"Example: oomph {examples[str(command.name)]}"
    for group in made.registered_groups:
        group.epilog = f"Example: oomph {examples[str(group.name)]}"
    built: Any = typer.main.get_command(made)
    return getattr(built, "commands", {name: built}).get(name, built)


def _version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


app = typer.Typer(
    name="oomph",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
)


@app.callback(invoke_without_command=False)
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print oomph's version."),
    ] = False,
) -> None:
    """Predict, measure, calibrate and publish what a GGUF model takes on a card."""
