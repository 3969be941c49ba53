"""`oomph models` and `oomph synth`: the models that need no file, and a file of any's shape."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.named import FileSizeOption, ModelArgument
from oomph.cli.output import say, say_json

if TYPE_CHECKING:
    from oomph.architectures.catalogue import Entry


def models(
    name: Annotated[
        str | None,
        typer.Argument(help="a model in any spelling, or what names begin with; left out: all"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object per model, a line each")
    ] = False,
) -> None:
    """List the models that are known by name, by family, or show one with its quantizations."""
    from oomph.views.catalogue import chosen_entries, entry_json

    entries = chosen_entries(name)
    if not as_json:
        _print_models(entries)
    for entry in entries if as_json else ():
        say_json(entry_json(entry, is_all=len(entries) == 1))


def _print_models(entries: "list[Entry]") -> None:
    from oomph.cli.output import print_table
    from oomph.views import catalogue as view

    if len(entries) == 1:
        for line in view.entry_lines(entries[0]):
            say(line)
        print_table(view.quantizations_table(entries[0]))
    else:
        print_table(view.models_table(entries))
    for line in view.sizing_lines():
        say(line)


def synth(
    model: ModelArgument,
    out: Annotated[Path, typer.Argument(help="The GGUF file to write.")],
    random: Annotated[
        bool,
        typer.Option(
            "--random",
            help="Fill it with random weights, so that speed is real; takes the full size.",
        ),
    ] = False,
    file_size: FileSizeOption = None,
    seed: Annotated[int, typer.Option(help="Of the random weights.")] = 0,
) -> None:
    """Write a GGUF with the tensors of MODEL that llama.cpp loads: sparse, a few MB on disk, unless
    --random."""
    from oomph.architectures.file_size import sized
    from oomph.architectures.source import read_model
    from oomph.models.synth import write_synthetic
    from oomph.units import size

    spec = read_model(sized(model, file_size))
    path = write_synthetic(spec, out, weights="random" if random else "sparse", seed=seed)
    occupied = size(path.stat().st_blocks * 512)
    say(
        f"{path}: {len(spec.tensors)} tensors, {size(path.stat().st_size)}, {occupied} of it on "
        "disk"
    )


def register(app: typer.Typer) -> None:
    """Add the commands to the console script."""
    app.command("models")(models)
    app.command("synth")(synth)
