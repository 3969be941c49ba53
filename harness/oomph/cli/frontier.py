"""`oomph frontier`: the largest context that really runs, for each combination of knobs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.named import ProgramOption
from oomph.cli.output import say, say_json, say_text
from oomph.cli.phantom import PhantomOption
from oomph.programs.said import DEFAULT_PROGRAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oomph.config import RunConfig


def register(app: typer.Typer) -> None:
    """Add `frontier` to the command line."""
    app.command("frontier")(_frontier)


def _frontier(
    model: Annotated[
        str, typer.Argument(help="a GGUF file; on a phantom card also name:QUANT, made sparse")
    ],
    n_expert_used: Annotated[
        str | None, typer.Option(help="active experts, several by comma")
    ] = None,
    type_kv: Annotated[str, typer.Option(help="type of K and V, several by comma")] = "f16",
    flash_attn: Annotated[str, typer.Option(help="on, off or auto, several by comma")] = "on",
    n_ubatch: Annotated[str, typer.Option(help="several by comma")] = "512",
    n_cpu_moe: Annotated[int, typer.Option(help="layers whose experts stay on the CPU")] = 0,
    program: ProgramOption = DEFAULT_PROGRAM,
    phantom: PhantomOption = None,
    limit: Annotated[
        str, typer.Option(help="the largest context that is tried", metavar="N")
    ] = "128K",
    out: Annotated[
        Path | None,
        typer.Option(help="folder for records and frontier.md; started again, it goes on"),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object per combination")
    ] = False,
) -> None:
    """Find the largest context that runs when it is filled to the end, by loading and filling
    it."""
    from oomph.architectures.source import read_model
    from oomph.calibrate.frontiers import combinations
    from oomph.config import knob_value, knob_values
    from oomph.programs.said import Said, checked_program
    from oomph.views.asked import asked_paragraph

    axes = {"n_expert_used": n_expert_used, "flash_attn": flash_attn, "n_ubatch": n_ubatch}
    values = {knob: knob_values(knob, text) for knob, text in axes.items()}
    values["type_kv"] = knob_values("type_k", type_kv)
    said = Said(program=checked_program(program), knobs={"n_cpu_moe": n_cpu_moe})
    configs = combinations(values, said, read_model(model))
    besides = ("n_ctx", "type_k", "type_v", "n_devices", *axes)
    say_text(asked_paragraph(said, configs[0], besides=besides), err=True)
    _find(model, configs, phantom, limit=knob_value("n_ctx", limit), out=out, as_json=as_json)


def _find(
    model: str,
    configs: "Sequence[RunConfig]",
    phantom: str | None,
    *,
    limit: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print each frontier as it is found, and leave the table of all in `out`."""
    from oomph.calibrate.frontiers import find_frontiers
    from oomph.measure.bench import open_bench
    from oomph.views.run_lines import frontier_json, frontier_line, write_frontiers

    found = []
    with open_bench(phantom) as bench:
        if bench.remark:
            say(bench.remark, err=True)
        for each in find_frontiers(model, configs, bench, limit=limit, out=out):
            found.append(each)
            say_json(frontier_json(each)) if as_json else say(frontier_line(each))
        if out is not None:
            write_frontiers(found, out, model=model, bench=bench)
