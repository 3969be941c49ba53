"""`oomph launch`: files that start a model, checked against the card, tried with a server."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import CalibrationOption, GpuMemoryOption, GpuOption, ModelArgument
from oomph.cli.phantom import PhantomOption

if TYPE_CHECKING:
    from oomph.advise.launch_plan import Launch
    from oomph.estimate.estimator import Estimator
    from oomph.views.launch.files import LaunchFiles

QUESTION: Final = "Say hello."
"""What --check asks a server that computes."""


def register(app: typer.Typer) -> None:
    """Add `launch` to the command line."""
    app.command("launch")(takes_knobs(_launch, without=("n_outputs_max", "n_depth", "n_parallel")))


def _launch(
    model: ModelArgument,
    out: Annotated[Path, typer.Option(help="folder for the files")],
    profile: Annotated[str, typer.Option(help="long-context, fast or quality")] = "long-context",
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
    knobs: dict[str, Any],
) -> None:
    """Write files that start a model: llama-server, text-generation-webui, koboldcpp, Ollama,
    llama-cpp-python."""
    from oomph.advise.launch_plan import choose
    from oomph.cli.named import asked_of
    from oomph.phantom.cards import parse_cards
    from oomph.views.launch.files import launch_files

    if phantom:
        gpu = gpu or phantom.split(",")[0].strip()
        knobs = {"n_devices": len(parse_cards(phantom))} | knobs
    asked = asked_of(model, gpu, gpu_mem, calibration, knobs)
    said = dict(knobs) | {"n_devices": asked.config.n_devices}
    launch = choose(
        asked.estimator, said, model_path=_path(model, model_path, phantom), profile=profile
    )
    if launch.prediction.fits is False and not force:
        _refuse(asked.estimator, launch)
    files = launch_files(launch)
    _write(out, files)
    _tell(out, launch, files)
    if check:
        _check(out, launch, server=server, phantom=phantom)


def _path(model: str, given: str | None, phantom: str | None) -> str:
    """Where the files look for the model: absolute, so that they start from any folder.

    A phantom card is content with a sparse file of the model's shape.
    """
    from oomph.errors import ConfigError

    path = Path(given or model).expanduser()
    if given is None and not (path.is_file() and path.suffix == ".gguf"):
        if phantom is None:
            raise ConfigError(
                f"{model} is no GGUF file, and launch files start one; say where it is or will "
                "be: --model-path"
            )
        from oomph.models.sparse import model_path

        path = model_path(model)
    return str(path.absolute())


def _refuse(estimator: "Estimator", launch: "Launch") -> None:
    """What llama.cpp would not run, or what is short and what would do."""
    from oomph.advise.first_failure import margin_bytes
    from oomph.advise.remedy import remedy
    from oomph.errors import ConfigError
    from oomph.units import count, mib
    from oomph.views.estimates import warnings
    from oomph.views.launch.saying import verdict

    short = -margin_bytes(launch.prediction.memory, estimator.gpu_memory_bytes or 0)
    if short <= 0:
        raise ConfigError(
            f"{'; '.join(warnings(launch.prediction))}; --force writes the files all the same"
        )
    raise ConfigError(
        f"n_ctx {count(launch.config.n_ctx)} in profile {launch.profile}: "
        f"{verdict(launch).rstrip('.')} ({mib(short)} "
        f"short); {remedy(estimator, launch.config, 'oom_kv')}; --force writes the files all the "
        "same"
    )


def _write(out: Path, files: "LaunchFiles") -> None:
    for name, text in files.texts.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if path.suffix == ".sh":
            path.chmod(0o755)
    for name in files.left_out:  # of another configuration
        (out / name).unlink(missing_ok=True)


def _tell(out: Path, launch: "Launch", files: "LaunchFiles") -> None:
    from oomph.views.launch.saying import about

    for line in about(launch):
        typer.echo(line)
    typer.echo(f"written to {out}: {', '.join(files.texts)}")
    for name, why in files.left_out.items():
        typer.echo(f"left out: {name}: {why}")


def _check(out: Path, launch: "Launch", *, server: Path | None, phantom: str | None) -> None:
    """Start the script and hold what llama-server reports against its promises; exit code 1 where
    one is not kept."""
    from oomph.advise.launch_check import held_against
    from oomph.cli.output import print_table
    from oomph.measure.server_run import boot, find_server, phantom_arguments
    from oomph.phantom.cards import phantom_cards
    from oomph.views.launch.files import SCRIPT
    from oomph.views.launch.tried import findings_table

    program = find_server(server)
    environment, arguments = {"LLAMA_SERVER": str(program)}, list[str]()
    with contextlib.ExitStack() as stack:
        if phantom:
            cards = stack.enter_context(phantom_cards(phantom, llama_cpp=program.parent))
            environment |= cards.program_environment()
            arguments = phantom_arguments(len(cards.cards))
        booted = boot(
            (out / SCRIPT).absolute(),
            arguments=arguments,
            environment=environment,
            question=None if phantom else QUESTION,
        )
    findings = held_against(launch, booted)
    print_table(findings_table(findings))
    if booted.answer is not None:
        typer.echo(f"asked {QUESTION!r}, it answered {booted.answer!r}")
    typer.echo(
        "tried with "
        f"{program}{f' on a phantom {phantom}, which computes nothing' if phantom else ''}"
    )
    if not all(finding.holds for finding in findings):
        raise typer.Exit(1)
