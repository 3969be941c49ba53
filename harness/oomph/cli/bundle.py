"""`oomph bundle`: everything for a machine without a network, in parts that can be carried."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.output import say

if TYPE_CHECKING:
    from oomph.bundle.write import Bundle


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("bundle")(_bundle)


def _bundle(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="a new folder for the parts and `install`")
    ],
    python: Annotated[
        str, typer.Option(help="the target's Python; by default this one's version")
    ] = f"{sys.version_info[0]}.{sys.version_info[1]}",
    cuda: Annotated[
        bool, typer.Option("--cuda", help="with llama.cpp's CUDA backend and NVIDIA's libraries")
    ] = False,
    cuda_arch: Annotated[
        str | None,
        typer.Option(help="native code for these compute capabilities only: 9.0, several by comma"),
    ] = None,
    system_cuda: Annotated[
        bool,
        typer.Option(
            "--system-cuda", help="the target has CUDA 13's libcudart and libcublas: leave them out"
        ),
    ] = False,
    parts: Annotated[str, typer.Option(help="the largest size of a part: 60MB, 2GB")] = "60MB",
    sweeps: Annotated[
        Path | None, typer.Option(help="a folder of sweep files; by default the checkout's")
    ] = None,
) -> None:
    """Pack oomph, its wheels, llama.cpp, the demo model and the sweeps; `DIR/install /opt/oomph`
    sets them up there."""
    from oomph.bundle.write import Contents, parse_part_size, write_bundle

    contents = Contents.named(
        python=python, cuda=cuda, cards=cuda_arch, system_cuda=system_cuda, sweeps=sweeps
    )
    part_bytes, tell = parse_part_size(parts), partial(say, err=True)
    _print(write_bundle(folder, contents, part_bytes=part_bytes, say=tell), folder)


def _print(bundle: "Bundle", folder: Path) -> None:
    for part in bundle.parts:
        say(f"{part.n_bytes / 1e6:6,.1f} MB  {part.name}")
    say(f"{sum(part.n_bytes for part in bundle.parts) / 1e6:6,.1f} MB  {bundle.title}")
    say(f"Copy {folder} to the machine, all of it, and run there: ./install /opt/oomph")
