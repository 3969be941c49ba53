"""`oomph what-if`: a page that answers any setting of one model, before it is downloaded."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.named import CalibrationOption, GpuOption, ModelArgument


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("what-if")(what_if)


def what_if(
    model: ModelArgument,
    gpu: GpuOption = None,
    calibration: CalibrationOption = None,
    n_ctx: Annotated[int, typer.Option(help="the context that the page begins with")] = 8192,
    out: Annotated[
        Path | None, typer.Option(help="write the page here; what-if.html if left out")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="show the page in a browser")] = False,
) -> None:
    """Write a page with sliders for context, experts, cache types, layers and card. It needs no
    network."""
    from oomph.views.what_if_page import write_what_if

    path = write_what_if(model, gpu, out, n_ctx=n_ctx, calibration=calibration)
    typer.echo(path)
    if open_page:
        webbrowser.open(path.resolve().as_uri())
