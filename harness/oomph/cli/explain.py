"""`oomph explain`: where memory and time go, in a model's and a card's own figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.named import CalibrationOption, GpuMemoryOption, GpuOption, LanguageOption

if TYPE_CHECKING:
    from oomph.records.schema import Record
    from oomph.views.explain import Topic

EXAMPLE_MODEL = "qwen3-30b-a3b:Q4_K_M"
EXAMPLE_CARD = "RTX 4090"
USUAL_CONTEXT = 32_768


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
    from oomph.cli.report import read_records
    from oomph.views.explain import explain_text
    from oomph.views.language import checked_language

    subject = _subject(model, gpu, gpu_mem, n_ctx, calibration, read_records(records or []))
    typer.echo(explain_text(topic, subject, checked_language(lang)), nl=False)


def _subject(
    model: str | None,
    gpu: str | None,
    gpu_mem: float | None,
    n_ctx: int | None,
    calibration: Path | None,
    records: "list[Record]",
) -> "Topic":
    """The model and the card that were named, the machine's own card, or examples."""
    from oomph.cli.named import asked_of, seen_cards
    from oomph.errors import ConfigError
    from oomph.views.explain import Topic

    is_example_card = False
    if gpu is None:
        try:
            gpu = seen_cards()[0].name
        except ConfigError:
            gpu, is_example_card = EXAMPLE_CARD, True
    asked = asked_of(
        model or EXAMPLE_MODEL, gpu, gpu_mem, calibration, {"n_ctx": n_ctx} if n_ctx else {}
    )
    config = (
        asked.config if n_ctx else asked.config.with_(n_ctx=min(asked.config.n_ctx, USUAL_CONTEXT))
    )
    return Topic(
        estimator=asked.estimator,
        config=config,
        records=records,
        is_example_model=model is None,
        is_example_card=is_example_card,
    )
