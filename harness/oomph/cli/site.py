"""`oomph site`: a folder of results as a static site."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say, tell


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("site")(_site)


def _site(
    results: Annotated[Path, typer.Argument(help="the folder that holds results folders")],
    out: Annotated[Path, typer.Option(help="write the site here")],
    models: Annotated[
        str | None,
        typer.Option(
            help="models that can be asked, several by comma; all of the catalogue if left out",
            metavar="NAMES",
        ),
    ] = None,
) -> None:
    """Write a site of all results: an index, each report, machines side by side, claims, what-if
    pages.

    It opens from a folder and needs no network.
    """
    from oomph.views.site import write_site

    names = None if models is None else [name for name in models.split(",") if name]
    site = write_site(results, out, models=names, tell=tell)
    for remark in site.remarks:
        say(f"oomph: {remark}", err=True)
    say(site.index)
