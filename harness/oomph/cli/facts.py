"""`oomph inspect` and `oomph gpus`: what is known of a model or a card before anything runs."""

from typing import Annotated

import typer

from oomph.cli.named import FileSizeOption, ModelArgument
from oomph.cli.output import say, say_json


def register(app: typer.Typer) -> None:
    """Add `inspect` and `gpus` to the command line."""
    app.command("inspect")(_inspect)
    app.command("gpus")(_gpus)


def _inspect(
    model: ModelArgument,
    file_size: FileSizeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Show a model's architecture, experts, context, bytes by role and bytes of KV cache per
    token."""
    from oomph.architectures.file_size import sized
    from oomph.architectures.source import read_model
    from oomph.cli.output import print_table
    from oomph.views.facts import inspect_lines, kv_cache_table, model_json, roles_table

    spec = read_model(sized(model, file_size))
    if as_json:
        say_json(model_json(spec))
        return
    for line in inspect_lines(spec):
        say(line)
    for table in (roles_table(spec), kv_cache_table(spec)):
        print_table(table)


def _gpus(
    name: Annotated[
        str | None, typer.Argument(help="any spelling: 4090, RTX 4090, NVIDIA GeForce RTX 4090")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object per card, one per line")
    ] = False,
) -> None:
    """List the cards that are known, or show one with the sources of its figures."""
    from dataclasses import asdict

    from oomph.cli.output import print_table
    from oomph.gpus import gpu, gpu_specs
    from oomph.views.facts import gpu_lines, gpus_table

    found = (gpu(name),) if name else gpu_specs()
    if as_json:
        for spec in found:
            say_json(asdict(spec))
    elif name:
        for line in gpu_lines(found[0]):
            say(line)
    else:
        print_table(gpus_table(found))
