"""`oomph synth`: a file of any shape, to see what llama.cpp takes for it without a download."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.output import say


def synth(
    model: Annotated[
        str,
        typer.Argument(
            help="Whose shape: qwen3-30b-a3b:Q4_K_M, a GGUF file or URL, a config.json."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    random: Annotated[
        bool,
        typer.Option(
            "--random",
            help="Fill it with random weights, so that speed is real; takes the full size.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the random weights.")] = 0,
) -> None:
    """Write a GGUF with the tensors of MODEL that llama.cpp loads: sparse, a few MB on disk, unless
    --random."""
    from oomph.architectures.source import read_model
    from oomph.models.synth import write_synthetic
    from oomph.units import size

    spec = read_model(model)
    path = write_synthetic(spec, out, weights="random" if random else "sparse", seed=seed)
    occupied = size(path.stat().st_blocks * 512)
    say(
        f"{path}: {len(spec.tensors)} tensors, {size(path.stat().st_size)}, {occupied} of it on "
        "disk"
    )


def register(app: typer.Typer) -> None:
    """Add the command to the console script."""
    app.command("synth")(synth)
