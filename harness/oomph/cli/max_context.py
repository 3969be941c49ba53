"""`oomph max-context`: what is my maximum? Over quantizations, experts and cache types."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import CalibrationOption, GpuMemoryOption, GpuOption, LanguageOption
from oomph.cli.output import say_json, say_text

if TYPE_CHECKING:
    from oomph.advise.max_context import ContextLimits
    from oomph.calibrate.subject import Asked
    from oomph.programs.said import Said

_OWN = ("n_ctx", "n_expert_used", "type_k", "type_v", "n_depth", "n_parallel")


def register(app: typer.Typer) -> None:
    """Add `max-context` to the command line."""
    app.command("max-context")(takes_knobs(_max_context, without=_OWN))


def _max_context(
    model: Annotated[
        str,
        typer.Argument(help="a GGUF file or name:QUANT; a name alone is its usual quantizations"),
    ],
    n_expert_used: Annotated[
        str | None, typer.Option(help="active experts, several by comma")
    ] = None,
    type_kv: Annotated[
        str | None, typer.Option(help="type of K and V, several by comma; f16,q8_0,q4_0")
    ] = None,
    gpu: GpuOption = None,
    gpu_mem: GpuMemoryOption = None,
    records: Annotated[
        list[Path] | None, typer.Option(help="results folders of `oomph frontier --out`")
    ] = None,
    rare: Annotated[
        bool, typer.Option("--all", help="of a name alone: every quantization there is")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(help="look no further; else as far as the model's positions go")
    ] = None,
    calibration: CalibrationOption = None,
    lang: LanguageOption = "en",
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object per combination, one per line")
    ] = False,
    *,
    said: "Said",
) -> None:
    """The longest context that fits, and that was seen to run full, for each combination."""
    from oomph.advise import context_questions as questions
    from oomph.config import knob_values

    asked = questions.max_context_subject(model, gpu, gpu_mem, calibration, said)
    found = questions.limits_of_variants(
        model,
        asked,
        experts=knob_values("n_expert_used", n_expert_used),
        caches=knob_values("type_k", type_kv or ",".join(questions.CACHES)),
        records=questions.records_of(records or []),
        limit=limit,
        rare=rare,
    )
    (_print_json if as_json else _print)(asked, list(found), lang)


def _print_json(asked: "Asked", found: "list[ContextLimits]", lang: str) -> None:
    from oomph.architectures.rope import positions
    from oomph.views.asked import asked_json
    from oomph.views.max_context import context_limits_json

    furthest = positions(asked.estimator.model)
    notes = list(asked.estimator.model.notes)
    asked_as = {"asked_as": asked_json(asked.said, asked.config), "notes": notes}
    for each in found:
        say_json(context_limits_json(each, furthest) | asked_as)


def _print(asked: "Asked", found: "list[ContextLimits]", lang: str) -> None:
    from oomph.architectures.rope import positions
    from oomph.cards import kind_counts
    from oomph.cli.output import print_notes, print_table
    from oomph.views.asked import asked_paragraph
    from oomph.views.max_context import max_context_table, max_context_text

    spec, cards = asked.estimator.model, asked.estimator.cards_in(asked.config).values()
    counts = kind_counts(card.name for card in cards)
    is_input = asked.estimator.is_one_batch(asked.config)
    say_text(max_context_text(spec.name, counts, positions(spec), found, lang, is_input=is_input))
    say_text(asked_paragraph(asked.said, asked.config, lang, besides=_OWN))
    print_table(max_context_table(spec.name, found, lang))
    print_notes(spec)
