"""`oomph what-if`: a page that answers any setting of one model, before it is downloaded."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import CalibrationOption, GpuOption, ModelArgument
from oomph.cli.output import say

if TYPE_CHECKING:
    from oomph.programs.said import Said


_OWN = ("n_depth", "n_parallel", "n_devices")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("what-if")(takes_knobs(what_if, without=_OWN, tells=True))


def _tell(model: str) -> None:
    """What was made of the model's name, beside the path that a script reads."""
    from oomph.architectures.source import read_model

    say(*(f"note: {note}" for note in read_model(model).notes), err=True)


def what_if(
    model: ModelArgument,
    gpu: GpuOption = None,
    calibration: CalibrationOption = None,
    out: Annotated[
        Path | None, typer.Option(help="write the page here; what-if.html if left out")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="show the page in a browser")] = False,
    *,
    said: "Said",
) -> None:
    """Write a page with sliders for context, experts, cache types, layers and card, which begins
    with the knobs that are given. It needs no network."""
    from oomph.views.what_if_page import write_what_if

    path = write_what_if(model, gpu, out, said=said, calibration=calibration)
    say(path)
    _tell(model)
    if open_page:
        webbrowser.open(path.resolve().as_uri())
