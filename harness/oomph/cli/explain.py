"""`oomph explain`: where memory and time go, in a model's and a card's own figures."""

from pathlib import Path
from typing import Annotated

import typer

from oomph.cli.named import CalibrationOption, GpuMemoryOption, GpuOption, LanguageOption


def register(app: typer.Typer) -> None:
    """Add `explain` to the command line."""
    app.command("explain")(_explain)


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
    n_ctx: Annotated[
        int | None, typer.Option("--n-ctx", "-c", help="32,768, or the model's own if less")
    ] = None,
    records: Annotated[
        list[Path] | None, typer.Option(help="results folders with measured speeds (context)")
    ] = None,
    calibration: CalibrationOption = None,
    lang: LanguageOption = "en",
) -> None:
    """Explain how memory and time are spent, in figures of one model on one card. `context` has the
    tiers."""
    from oomph.records.store import read_records
    from oomph.views.explain import explain_text, topic_of
    from oomph.views.language import checked_language

    subject = topic_of(
        model,
        gpu,
        gpu_mem,
        n_ctx=n_ctx,
        calibration=calibration,
        records=read_records(records or []),
    )
    typer.echo(explain_text(topic, subject, checked_language(lang)), nl=False)
