"""`oomph launch`: files that start a model, checked against the card, tried with a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import CalibrationOption, GpuMemoryOption, GpuOption, ModelArgument
from oomph.cli.output import say
from oomph.cli.phantom import PhantomOption

if TYPE_CHECKING:
    from oomph.advise.launch_plan import Launch
    from oomph.architectures.spec import ModelSpec
    from oomph.programs.said import Said
    from oomph.views.launch.files import LaunchFiles


def register(app: typer.Typer) -> None:
    """Add `launch` to the command line."""
    without = ("program", "n_outputs_max", "n_depth", "n_parallel")
    app.command("launch")(takes_knobs(_launch, without=without, tells=True))


def _launch(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="folder for the files")],
    profile: Annotated[str, typer.Option(help="quality, long-context or fast")] = "quality",
    gpu: GpuOption = None,
    gpu_mem: GpuMemoryOption = None,
    model_path: Annotated[
        str | None, typer.Option(help="where the GGUF file is, or will be")
    ] = None,
    calibration: CalibrationOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="write the files even if it does not fit")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="start the script, verify what it promises, stop it")
    ] = False,
    server: Annotated[
        Path | None, typer.Option(help="llama-server for --check; else $LLAMA_SERVER, PATH")
    ] = None,
    phantom: PhantomOption = None,
    *,
    said: "Said",
) -> None:
    """Write files that start a model: llama-server, text-generation-webui, koboldcpp, Ollama,
    llama-cpp-python."""
    from oomph.advise.launch_plan import named_launch
    from oomph.views.launch.files import launch_files, refuse_short, write_launch

    launch, estimator = named_launch(
        model, gpu, gpu_mem, calibration, said, path=model_path, phantom=phantom, profile=profile
    )
    if not force:
        refuse_short(estimator, launch)
    files = launch_files(launch)
    write_launch(files, out)
    _tell(out, launch, files, estimator.model)
    if check:
        _check(out, launch, server=server, phantom=phantom)


def _tell(out: Path, launch: "Launch", files: "LaunchFiles", model: "ModelSpec") -> None:
    from oomph.cli.output import print_notes
    from oomph.views.launch.spelling import about, expectations

    for line in (*about(launch), *expectations(launch)):
        say(line)
    say(f"written to {out}: {', '.join(files.texts)}")
    for name, why in files.left_out.items():
        say(f"left out: {name}: {why}")
    print_notes(model)


def _check(out: Path, launch: "Launch", *, server: Path | None, phantom: str | None) -> None:
    """Start the script and hold what llama-server reports against its promises; exit code 1 where
    one is not kept."""
    from oomph.advise.launch_check import check
    from oomph.cli.output import print_table
    from oomph.views.launch.files import SCRIPT
    from oomph.views.launch.findings import findings_table

    done = check(launch, out / SCRIPT, server=server, phantom=phantom)
    print_table(findings_table(done.findings))
    if done.answer is not None:
        say(f"asked {done.question!r}, it answered {done.answer!r}")
    where = f" on a phantom {phantom}, which computes nothing" if phantom else ""
    say(f"tried with {done.program}{where}")
    if not all(finding.holds for finding in done.findings):
        raise typer.Exit(1)
