"""`oomph phantom`: the parts that a card without a card needs."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from oomph.cli.output import say

PhantomOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--phantom",
        help="run on phantom cards: a name ('RTX 5090') or name:memory MiB:compute "
        "capability:SMs, several by comma",
    ),
]
"""The option of every command that can run on phantom cards."""


def register(app: typer.Typer) -> None:
    """Add `phantom` and its commands to the command line."""
    group = typer.Typer(
        no_args_is_help=True, help="CUDA's memory without a card: try any card before you buy it."
    )
    group.command("setup")(_setup)
    app.add_typer(group, name="phantom")


def _setup(
    backend: Annotated[
        Path | None,
        typer.Option(help="a libggml-cuda.so (CUDA 13) to take instead of fetching one by npm"),
    ] = None,
) -> None:
    """Fetch llama.cpp's CUDA backend, compile the phantom card, and say what was done."""
    from oomph.cuda.backend import take_backend
    from oomph.phantom.build import libraries

    installed, how = take_backend(backend)
    say(
        f"{how} the CUDA backend of {installed.source} (ggml {installed.ggml_version}): "
        f"{installed.path}"
    )
    say(f"compiled the phantom card: {libraries().cuda.parent}")
    say("ready: add --phantom 'RTX 5090' to oomph sweep, frontier or doctor")
