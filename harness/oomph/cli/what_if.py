"""`oomph what-if`: a page that answers any setting of one model, before it is downloaded."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.named import CalibrationOption, GpuOption, ModelArgument, named_estimator, seen_cards


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
    from oomph.config import RunConfig
    from oomph.errors import ConfigError, StoreError
    from oomph.units import MIB
    from oomph.views import what_if as views
    from oomph.views.what_if_page import render_what_if

    memory_mib = None
    if gpu is None:
        try:
            own = seen_cards()[0]
            gpu, memory_mib = own.name, own.memory_bytes / MIB
        except ConfigError:
            gpu = views.USUAL_CARD
    estimator, _ = named_estimator(model, gpu, memory_mib, calibration, on_host=False)
    page = render_what_if(views.what_if(estimator, RunConfig(n_ctx=n_ctx), reference=model))
    path = out or Path("what-if.html")
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}); name another file with --out"
        ) from None
    typer.echo(path)
    if open_page:
        webbrowser.open(path.resolve().as_uri())
