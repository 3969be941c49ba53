"""`oomph estimate`: what configurations take, whether they fit, how fast they run."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.knobs import asked_knobs
from oomph.cli.named import (
    GpuMemoryOption,
    HostBandwidthOption,
    ModelArgument,
    PowerLimitOption,
    SystemOption,
)
from oomph.cli.output import say, say_json, say_text

if TYPE_CHECKING:
    from oomph.advise.own_fit import OwnFit
    from oomph.config import RunConfig
    from oomph.estimate.estimator import Estimator
    from oomph.estimate.prediction import Prediction
    from oomph.programs.said import Said
    from oomph.views.estimates import Answer


def register(app: typer.Typer) -> None:
    """Add `estimate` to the command line."""
    app.command("estimate")(takes_knobs(_estimate, fits=True))


def _estimate(
    model: ModelArgument,
    gpu: Annotated[
        list[str] | None,
        typer.Option(
            help="a card of `oomph gpus`, for speed and for whether it fits, or several: 2x3090, "
            "3090,5090 or --gpu again (NAME:MIB for another memory)",
            metavar="CARDS",
        ),
    ] = None,
    gpu_mem: GpuMemoryOption = None,
    grid: Annotated[
        list[str] | None, typer.Option(help="axes: n_ctx=1024,2048,n_expert_used=8,10")
    ] = None,
    configs: Annotated[
        Path | None, typer.Option(help="a file with a JSON object of knobs per line")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="coefficients that `oomph calibrate` wrote; the newest kept that match, or `none`"
        ),
    ] = None,
    build: Annotated[
        int | None,
        typer.Option(min=1000, help="build number of another llama.cpp, 8829 for b8829"),
    ] = None,
    unified_memory: Annotated[
        bool,
        typer.Option(
            "--unified-memory",
            help="what a card cannot hold is read over the bus, where drivers do so",
        ),
    ] = False,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="compute buffers as the installed llama.cpp counts them itself, of any "
            "architecture that it knows, on a phantom of the card",
        ),
    ] = False,
    system: SystemOption = None,
    power_limit: PowerLimitOption = None,
    host_bandwidth: HostBandwidthOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object per configuration, one per line")
    ] = False,
    *,
    said: "Said",
) -> None:
    """Predict memory, fit and speed of a model without loading it. Knobs are llama.cpp's."""
    from oomph.calibrate.subject import cards_of_each, estimator_of_each
    from oomph.estimate.machine import machine_of

    each_asked = asked_knobs(said.of_build(build), grid or [], configs)
    cards, asked = cards_of_each(gpu, gpu_mem, each_asked)
    estimator, origin = estimator_of_each(
        model,
        cards,
        asked,
        calibration,
        build=build,
        unified_memory=unified_memory,
        machine=machine_of(system, power_limit, host_bandwidth),
        beside=said,
    )
    _print(estimator, asked, origin, is_one=not (grid or configs), as_json=as_json, exact=exact)


def _print(
    estimator: "Estimator",
    asked: "list[Said]",
    origin: str | None,
    *,
    is_one: bool,
    as_json: bool,
    exact: bool,
) -> None:
    configs = [_config(estimator, said) for said in asked]
    fits = [_own_fit(estimator, *each) for each in zip(asked, configs, strict=True)]
    configs = [fit.config if fit else config for fit, config in zip(fits, configs, strict=True)]
    if exact:
        _take_counts(estimator, configs)
    if as_json:
        _print_json(estimator, asked, configs, fits, strict=is_one, calibration=origin)
        return
    if is_one:
        _print_one(estimator, asked[0], configs, fits[0])
    else:
        _print_grid(estimator, asked[0], configs)
    if origin:
        say(f"calibration: {origin}")


def _take_counts(estimator: "Estimator", configs: "list[RunConfig]") -> None:
    from oomph.analysis.exact import take_counts

    take_counts(estimator, configs)


def _config(estimator: "Estimator", said: "Said") -> "RunConfig":
    """The configuration that the program makes of it, with what it takes of a draft's file."""
    from oomph.calibrate.aboard import inferred

    said = inferred(said, estimator.riders)
    return said.config(estimator.model, estimator.gpu_memory_bytes)


def _own_fit(estimator: "Estimator", said: "Said", config: "RunConfig") -> "OwnFit | None":
    """What --fit makes of it; nothing of what the model cannot have, which its answer tells."""
    if said.fit is None:
        return None
    from oomph.advise.own_fit import own_fit
    from oomph.errors import OomphError

    try:
        return own_fit(estimator, said, config)
    except OomphError:
        return None


def _answers(
    estimator: "Estimator", asked: "Iterable[RunConfig]"
) -> "Iterator[tuple[RunConfig, Answer]]":
    """A prediction for each configuration, or why the model cannot have it; the others are answered
    all the same."""
    from oomph.advise.positions import within_positions
    from oomph.errors import OomphError

    for config in asked:
        try:
            yield config, within_positions(estimator.predict(config), estimator.model)
        except OomphError as error:
            yield config, str(error)


def _print_json(
    estimator: "Estimator",
    asked: "list[Said]",
    configs: "list[RunConfig]",
    fits: "list[OwnFit | None]",
    *,
    strict: bool,
    calibration: str | None,
) -> None:
    from oomph.errors import ConfigError
    from oomph.views.asked import asked_json
    from oomph.views.estimates import refusal_json
    from oomph.views.own_fit import own_fit_json

    answers = _answers(estimator, configs)
    for said, fit, (config, answer) in zip(asked, fits, answers, strict=True):
        if isinstance(answer, str):
            if strict:
                raise ConfigError(answer)
            line = refusal_json(estimator.model.name, config, answer)
        else:
            line = _line(estimator, answer) | {"calibration": calibration}
            line |= {"own_fit": own_fit_json(fit)}
        say_json(line | {"asked_as": asked_json(said, config)})


def _line(estimator: "Estimator", prediction: "Prediction") -> dict[str, Any]:
    """The prediction for programs, with what was measured of it and what its estimator rests on."""
    from oomph.advise.citations import cited
    from oomph.advise.drafting import head_bytes
    from oomph.views.estimates import citations_json, prediction_json

    line = prediction_json(prediction)
    return line | {
        "mtp_head_bytes": head_bytes(estimator, prediction.config),
        "machine": estimator.machine.to_dict(),
        "measured": citations_json(cited(estimator, prediction.config)),
        "warnings": list(dict.fromkeys((*line["warnings"], *estimator.model.notes))),
    }


def _print_grid(estimator: "Estimator", said: "Said", asked: "list[RunConfig]") -> None:
    from oomph.cli.output import print_table
    from oomph.views.asked import asked_paragraph
    from oomph.views.estimates import differing_knobs, grid_table

    differing = differing_knobs(asked)
    say_text(asked_paragraph(said, asked[0], besides=differing))
    answers = list(_answers(estimator, asked))
    print_table(grid_table(estimator.model.name, differing, answers))
    for note in dict.fromkeys(_notes(estimator, answers)):
        say(f"note: {note}")


def _notes(estimator: "Estimator", answers: "list[tuple[RunConfig, Answer]]") -> Iterator[str]:
    from oomph.views.estimates import warnings

    yield from estimator.model.notes
    for _, answer in answers:
        yield from (answer,) if isinstance(answer, str) else warnings(answer)


def _print_one(
    estimator: "Estimator", said: "Said", asked: "list[RunConfig]", fit: "OwnFit | None"
) -> None:
    from oomph.advise.positions import within_positions
    from oomph.cli.output import print_table
    from oomph.views.asked import asked_paragraph
    from oomph.views.estimates import devices_table, summary_lines

    prediction = within_positions(estimator.predict(asked[0]), estimator.model)
    say_text(asked_paragraph(said, asked[0]))
    if fit:
        from oomph.views.own_fit import own_fit_paragraph

        say_text(own_fit_paragraph(fit), end="")
    print_table(devices_table(prediction))
    for line in (*summary_lines(prediction), *_further_lines(estimator, asked[0])):
        say(line)


def _further_lines(estimator: "Estimator", config: "RunConfig") -> Iterator[str]:
    """What is known of the file besides, and what was measured of it."""
    from oomph.advise.citations import cited
    from oomph.advise.drafting import head_notes
    from oomph.views.estimates import citation_lines

    for note in (*head_notes(estimator, config), *estimator.model.notes):
        yield f"note: {note}"
    yield from citation_lines(cited(estimator, config))
