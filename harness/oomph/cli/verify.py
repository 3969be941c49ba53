"""`oomph verify`: the estimate held against the llama.cpp that is installed."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say
from oomph.cli.phantom import PhantomOption

if TYPE_CHECKING:
    from oomph.phantom.cards import Phantom


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("verify")(_verify)


def _verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="files or names (`qwen3-30b-a3b:Q4_K_M`); a sample of the catalogue if left out"
        ),
    ] = None,
    phantom: PhantomOption = None,
    server: Annotated[
        Path | None, typer.Option(help="a llama-server to ask instead, by its own log")
    ] = None,
    library: Annotated[
        Path | None, typer.Option(help="the library of another build, with its --header")
    ] = None,
    header: Annotated[Path | None, typer.Option(help="the llama.h of --library")] = None,
    build: Annotated[
        int | None,
        typer.Option(min=1000, help="the number of the build that is asked, where it is known"),
    ] = None,
) -> None:
    """Hold the estimate against what llama.cpp itself counts, with nothing allocated.

    Exit code 1 where a figure is not exact. The bound of a build that is named is kept.
    """
    from oomph.analysis.verifying import Asked, verify_asked
    from oomph.views.verify import summary_line, verified_line

    with _cards(phantom) as cards:
        asked = Asked.of(server, library, header, build=build, phantom=cards)
        found = []
        for each in verify_asked(asked, tuple(models or ())):
            say(verified_line(each))
            found.append(each)
    say(summary_line(found, asked.what))
    if kept := asked.keep(found):
        say(f"kept in {kept}; `oomph estimate --build {asked.build}` uses it")
    if any(each.differences or each.failed for each in found):
        raise typer.Exit(1)


def _cards(phantom: str | None) -> "AbstractContextManager[Phantom | None]":
    from oomph.phantom.cards import phantom_cards

    return phantom_cards(phantom) if phantom else nullcontext()
