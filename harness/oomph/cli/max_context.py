"""`oomph max-context`: what is my maximum? Over quantizations, experts and cache types."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import CalibrationOption, GpuMemoryOption, GpuOption, LanguageOption

if TYPE_CHECKING:
    from oomph.cli.named import Asked
    from oomph.estimate.estimator import Estimator

_OWN = ("n_ctx", "n_expert_used", "type_k", "type_v", "n_depth", "n_parallel")


def register(app: typer.Typer) -> None:
    """Add `max-context` to the command line."""
    app.command("max-context")(takes_knobs(_max_context, without=_OWN))


def _max_context(
    model: Annotated[
        str,
        typer.Argument(help="a GGUF file or name:QUANT; a name alone is every quantization of it"),
    ],
    n_expert_used: Annotated[
        str | None, typer.Option(help="active experts, several by comma")
    ] = None,
    type_kv: Annotated[
        str, typer.Option(help="type of K and V, several by comma")
    ] = "f16,q8_0,q4_0",
    gpu: GpuOption = None,
    gpu_mem: GpuMemoryOption = None,
    records: Annotated[
        list[Path] | None, typer.Option(help="results folders of `oomph frontier --out`")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="look no further; else as far as the model's positions go")
    ] = None,
    calibration: CalibrationOption = None,
    lang: LanguageOption = "en",
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object a combination, a line each")
    ] = False,
    *,
    knobs: dict[str, Any],
) -> None:
    """The longest context that fits, and that was seen to run full, for each combination."""
    from oomph.advise.max_context import positions, reaches
    from oomph.cli.knobs import expert_counts
    from oomph.cli.named import asked_of
    from oomph.cli.output import print_table
    from oomph.cli.report import read_records
    from oomph.errors import ConfigError
    from oomph.views.language import checked_language
    from oomph.views.max_context import max_context_table, max_context_text, reach_json

    checked_language(lang)
    asked = asked_of(_one_of(model), gpu, gpu_mem, calibration, knobs)
    if asked.config.n_devices == 0:
        raise ConfigError("max-context is about the memory of cards; name one with --gpu")
    spec, card = asked.estimator.model, asked.estimator.gpu
    found = list(
        reaches(
            _estimators(model, asked),
            asked.config,
            experts=expert_counts(n_expert_used),
            caches=type_kv.split(","),
            records=read_records(records or []),
            limit=limit,
        )
    )
    reach = positions(spec)
    if as_json:
        for each in found:
            typer.echo(json.dumps(reach_json(each, reach)))
        return
    name = card.name if card else "the card"
    typer.echo(
        max_context_text(spec.name, name, reach, found, lang, n_cards=asked.config.n_devices)
    )
    print_table(max_context_table(spec.name, found, lang))


def _is_name(model: str) -> bool:
    """Whether it is a name of the catalogue without a quantization (and no file of that name)."""
    from oomph.architectures.catalogue import catalogue_names

    return model.lower() in catalogue_names() and not Path(model).exists()


def _one_of(model: str) -> str:
    return f"{model}:F16" if _is_name(model) else model


def _estimators(model: str, asked: "Asked") -> "list[Estimator]":
    from oomph.advise.quantizations import published_variants

    first = asked.estimator
    if not _is_name(model):
        return [first]
    return [first.changed(model=each) for each in published_variants(model.lower())]
