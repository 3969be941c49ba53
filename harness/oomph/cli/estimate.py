"""`oomph estimate`: what configurations take, whether they fit, how fast they run."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from oomph.estimate.coefficients import Coefficients
    from oomph.estimate.estimator import Estimator
    from oomph.facts.config import RunConfig
    from oomph.views.estimates import Answer

SHIPPED: Final = "none"
"""What `--calibration` takes for the coefficients that ship with the package."""


def register(app: typer.Typer) -> None:
    """Add `estimate` to the command line."""
    app.command("estimate")(_estimate)


def _estimate(
    model: Annotated[
        str, typer.Argument(help="GGUF file, https URL, hf:owner/repo/file.gguf, name:QUANT, config.json")
    ],
    gpu: Annotated[str | None, typer.Option(help="a card of `oomph gpus`, for speed and for whether it fits")] = None,
    gpu_mem: Annotated[float | None, typer.Option(help="memory of each card in MiB, as CUDA reports it")] = None,
    grid: Annotated[list[str] | None, typer.Option(help="axes: n_ctx=1024,2048,n_expert_used=8,10")] = None,
    configs: Annotated[Path | None, typer.Option(help="a file with a JSON object of knobs a line")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="coefficients that `oomph calibrate` wrote; the newest kept that match, or `none`"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a configuration, a line each")] = False,
    n_ctx: Annotated[int | None, typer.Option("--n-ctx", "--ctx-size", "-c")] = None,
    n_batch: Annotated[int | None, typer.Option("--n-batch", "--batch-size", "-b")] = None,
    n_ubatch: Annotated[int | None, typer.Option("--n-ubatch", "--ubatch-size", "-ub")] = None,
    n_seq_max: Annotated[int | None, typer.Option("--n-seq-max", "--parallel", "-np")] = None,
    kv_unified: Annotated[bool | None, typer.Option("--kv-unified/--no-kv-unified", "-kvu/-no-kvu")] = None,
    type_k: Annotated[str | None, typer.Option("--type-k", "--cache-type-k", "-ctk")] = None,
    type_v: Annotated[str | None, typer.Option("--type-v", "--cache-type-v", "-ctv")] = None,
    flash_attn: Annotated[str | None, typer.Option("--flash-attn", "-fa", help="on, off or auto")] = None,
    swa_full: Annotated[bool | None, typer.Option("--swa-full/--no-swa-full")] = None,
    n_gpu_layers: Annotated[
        str | None, typer.Option("--n-gpu-layers", "--gpu-layers", "-ngl", help="-1 is all")
    ] = None,
    n_cpu_moe: Annotated[int | None, typer.Option("--n-cpu-moe", "-ncmoe")] = None,
    override_tensor: Annotated[list[str] | None, typer.Option("--override-tensor", "-ot", help="regex=CPU")] = None,
    tensor_split: Annotated[str | None, typer.Option("--tensor-split", "-ts", help="3,1")] = None,
    split_mode: Annotated[str | None, typer.Option("--split-mode", "-sm")] = None,
    main_gpu: Annotated[int | None, typer.Option("--main-gpu", "-mg")] = None,
    no_kv_offload: Annotated[bool, typer.Option("--no-kv-offload", "-nkvo", help="KV cache on the host")] = False,
    no_op_offload: Annotated[bool, typer.Option("--no-op-offload")] = False,
    n_outputs_max: Annotated[int | None, typer.Option("--n-outputs-max", help="llama-server: its slots")] = None,
    n_expert_used: Annotated[int | None, typer.Option("--n-expert-used", help="active experts")] = None,
    n_devices: Annotated[int | None, typer.Option("--n-devices", help="cards; 0 is a CPU-only build")] = None,
    n_threads: Annotated[int | None, typer.Option("--n-threads", "--threads", "-t")] = None,
    n_depth: Annotated[int | None, typer.Option("--n-depth", "-d", help="cells filled when speed is asked")] = None,
    n_parallel: Annotated[int | None, typer.Option("--n-parallel", help="sequences that decode at once")] = None,
) -> None:
    """Predict memory, fit and speed of a model without loading it. Knobs are llama.cpp's."""
    from oomph.cli.knobs import grid_configs, knob_value, read_configs
    from oomph.errors import ConfigError
    from oomph.facts.config import RunConfig

    given: dict[str, Any] = {
        "n_ctx": n_ctx, "n_batch": n_batch, "n_ubatch": n_ubatch, "n_seq_max": n_seq_max, "kv_unified": kv_unified,
        "type_k": type_k, "type_v": type_v, "flash_attn": flash_attn, "swa_full": swa_full, "n_cpu_moe": n_cpu_moe,
        "n_gpu_layers": _layers(n_gpu_layers), "override_tensor": ",".join(override_tensor or ()) or None,
        "tensor_split": knob_value("tensor_split", tensor_split) if tensor_split else None, "split_mode": split_mode,
        "main_gpu": main_gpu, "offload_kqv": False if no_kv_offload else None,
        "op_offload": False if no_op_offload else None, "n_outputs_max": n_outputs_max,
        "n_expert_used": n_expert_used, "n_devices": n_devices, "n_threads": n_threads, "n_depth": n_depth,
        "n_parallel": n_parallel,
    }  # fmt: skip
    if grid and configs:
        raise ConfigError("--grid and --configs both say which configurations to answer; give one of them")
    base = RunConfig.from_mapping(
        {knob: value for knob, value in given.items() if value is not None}, where="the command line"
    )
    asked = list(read_configs(configs, base)) if configs else grid_configs(base, grid or [])
    if not asked:
        raise ConfigError(f"{configs} has no configuration; write one JSON object of knobs a line")
    on_host = any(config.n_devices == 0 for config in asked)
    estimator, origin = _estimator(model, gpu, gpu_mem, calibration, on_host=on_host)
    if as_json:
        _print_json(estimator, asked, strict=not (grid or configs), calibration=origin)
    else:
        (_print_grid if grid or configs else _print_one)(estimator, asked)
        if origin:
            typer.echo(f"calibration: {origin}")


def _layers(text: str | None) -> int | None:
    """`-ngl` as llama.cpp takes it: a number, or `all` and `auto` for -1."""
    from oomph.cli.knobs import knob_value

    if text is None:
        return None
    return -1 if text in ("all", "auto") else int(knob_value("n_gpu_layers", text))


def _estimator(
    model: str, gpu: str | None, gpu_mem: float | None, calibration: Path | None, *, on_host: bool
) -> "tuple[Estimator, str | None]":
    """The estimator, and the file that its coefficients are of, if they are a calibration's."""
    from oomph.errors import ConfigError
    from oomph.estimate.estimator import Estimator
    from oomph.facts.gpus import gpu as find_gpu
    from oomph.facts.source import read_model
    from oomph.units import MIB

    if gpu_mem is not None and not 1 <= gpu_mem < 1 << 40:
        raise ConfigError(f"--gpu-mem is {gpu_mem:g}; give the memory of a card in MiB, for example 24080")
    spec, card = read_model(model), find_gpu(gpu) if gpu else None
    coefficients, origin = _calibration(calibration, spec.arch, card.name if card else None, on_host=on_host)
    memory_bytes = round(gpu_mem * MIB) if gpu_mem else None
    return Estimator(spec, card, gpu_memory_bytes=memory_bytes, coefficients=coefficients), origin


def _calibration(
    asked: Path | None, arch: str, card: str | None, *, on_host: bool
) -> "tuple[Coefficients | None, str | None]":
    """The coefficients to use and the file that they are of; nothing for those that ship with the package.

    Unless a file or `none` is asked for, the newest kept calibration of the same card, build and family of models; with
    no card named, one of this machine, and only for what runs without a card.
    """
    from oomph.estimate.coefficients import read_coefficients
    from oomph.fitting.kept import calibrations_folder, newest_matching

    if asked is not None:
        return (None, None) if str(asked) == SHIPPED else (read_coefficients(asked), str(asked))
    if not (card or on_host) or not calibrations_folder().is_dir():
        return None, None
    from oomph.records.environment import llama_cpp_commit, machine_name

    kept = newest_matching(card=card, arch=arch, machine=machine_name(), commit=llama_cpp_commit())
    return (kept.coefficients, str(kept.path)) if kept else (None, None)


def _answers(estimator: "Estimator", asked: "Iterable[RunConfig]") -> "Iterator[tuple[RunConfig, Answer]]":
    """A prediction for each configuration, or why the model cannot have it; the others are answered all the same."""
    from oomph.errors import OomphError

    for config in asked:
        try:
            yield config, estimator.predict(config)
        except OomphError as error:
            yield config, str(error)


def _print_json(estimator: "Estimator", asked: "Iterable[RunConfig]", *, strict: bool, calibration: str | None) -> None:
    from oomph.errors import ConfigError
    from oomph.views.estimates import prediction_json, refusal_json

    for config, answer in _answers(estimator, asked):
        if isinstance(answer, str):
            if strict:
                raise ConfigError(answer)
            line = refusal_json(estimator.model.name, config, answer)
        else:
            line = prediction_json(answer)
            line["calibration"] = calibration
            line["warnings"] = list(dict.fromkeys((*line["warnings"], *estimator.model.notes)))
        sys.stdout.write(json.dumps(line) + "\n")


def _print_grid(estimator: "Estimator", asked: "list[RunConfig]") -> None:
    from oomph.cli.output import print_table
    from oomph.views.estimates import differing_knobs, grid_table

    answers = list(_answers(estimator, asked))
    print_table(grid_table(estimator.model.name, differing_knobs(asked), answers))
    for note in dict.fromkeys(_notes(estimator, answers)):
        typer.echo(f"note: {note}")


def _notes(estimator: "Estimator", answers: "list[tuple[RunConfig, Answer]]") -> Iterator[str]:
    from oomph.views.estimates import warnings

    yield from estimator.model.notes
    for _, answer in answers:
        yield from (answer,) if isinstance(answer, str) else warnings(answer)


def _print_one(estimator: "Estimator", asked: "list[RunConfig]") -> None:
    from oomph.cli.output import print_table
    from oomph.views.estimates import devices_table, summary_lines

    prediction = estimator.predict(asked[0])
    print_table(devices_table(prediction))
    for line in (*summary_lines(prediction), *(f"note: {note}" for note in estimator.model.notes)):
        typer.echo(line)
