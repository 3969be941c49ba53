"""`oomph setup`: the parts of llama.cpp that a real card needs."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say


def register(app: typer.Typer) -> None:
    """Add `setup` and its commands to the command line."""
    group = typer.Typer(no_args_is_help=True, help="Set llama.cpp up for this machine's cards.")
    group.callback()(_group)
    group.command("cuda")(_cuda)
    app.add_typer(group, name="setup")


def _group() -> None:
    """Set llama.cpp up for this machine's cards."""


def _cuda(
    backend: Annotated[
        Path | None,
        typer.Option(help="a libggml-cuda.so of your own to load instead of the prebuilt one"),
    ] = None,
    build: Annotated[
        bool,
        typer.Option(
            "--build", help="compile llama-cpp-python with CUDA instead; needs the CUDA toolkit"
        ),
    ] = False,
    off: Annotated[
        bool, typer.Option("--off", help="go back to the CPU; what was fetched stays")
    ] = False,
) -> None:
    """Give this environment's llama.cpp the prebuilt CUDA backend: no toolkit, no compiler, 550 MB
    fetched once."""
    from oomph.cuda import plugin
    from oomph.measure.cuda_setup import build_with_cuda, set_up_cuda

    _refuse_several(backend, build=build, off=off)
    if off:
        say(
            "llama.cpp is for the CPU again"
            if plugin.forget()
            else "llama.cpp was for the CPU already"
        )
        return
    lines = build_with_cuda(say) if build else set_up_cuda(backend, say)
    for line in lines:
        say(line)


def _refuse_several(backend: Path | None, *, build: bool, off: bool) -> None:
    from oomph.errors import ConfigError

    if sum((backend is not None, build, off)) > 1:
        raise ConfigError("--backend, --build and --off exclude each other; give one of them")
