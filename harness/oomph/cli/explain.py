"""`oomph explain`: where memory and time go, in a model's and a card's own figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.knob_options import takes_knobs
from oomph.cli.named import CalibrationOption, GpuMemoryOption, GpuOption, LanguageOption
from oomph.cli.output import say_text

if TYPE_CHECKING:
    from oomph.programs.said import Said


def register(app: typer.Typer) -> None:
    """Add `explain` to the command line."""
    app.command("explain")(takes_knobs(_explain, without=("n_depth", "n_parallel")))


def _explain(
    topic: Annotated[
        str | None,
        typer.Argument(
            help="oom, context, experts, kv, flash-attention, batch, rope; left out: a list"
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="as in `oomph answer`; an example if left out")
    ] = None,
    gpu: GpuOption = None,
    gpu_mem: GpuMemoryOption = None,
    records: Annotated[
        list[Path] | None, typer.Option(help="results folders with measured speed and quality")
    ] = None,
    calibration: CalibrationOption = None,
    lang: LanguageOption = "en",
    *,
    said: "Said",
) -> None:
    """Explain how memory and time are spent, in figures of one model on one card. `context` has the
    tiers; n_ctx left out is 32,768, or the model's own if less."""
    from oomph.advise.context_questions import records_of
    from oomph.cli.output import print_notes
    from oomph.views.explain import explain_text, topic_of

    subject = topic_of(
        model,
        gpu,
        gpu_mem,
        said=said,
        calibration=calibration,
        records=records_of(records or []),
    )
    say_text(explain_text(topic, subject, lang), end="")
    print_notes(subject.estimator.model)
