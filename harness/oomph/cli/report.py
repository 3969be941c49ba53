"""`oomph report`: result folders as a page, as Markdown and as figures."""

import sys
import webbrowser
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from oomph.cli.recorded import estimator_of
from oomph.errors import FitError, OomphError, StoreError

if TYPE_CHECKING:
    from oomph.analysis.first_card.day import Day
    from oomph.calibrate.comparison import Comparison
    from oomph.calibrate.result import FitResult
    from oomph.estimate.estimator import Estimator
    from oomph.estimate.prediction import Prediction
    from oomph.records.schema import Record
    from oomph.views.report import Report


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("report")(report)


def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders, as `oomph sweep --out` writes them.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write the page here; by default into the first folder.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model, where it is no longer at the path that the records name."),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            help="Fit the coefficients to these records first; the page says that it was done."
        ),
    ] = False,
    png: Annotated[
        bool, typer.Option("--png", help="Write each figure as PNG too, beside its SVG.")
    ] = False,
    scripts: Annotated[
        Path | None,
        typer.Option(
            help="Keep the what-if's script in this folder, once for all pages that are published "
            "together, instead of in the page."
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Show the page in a browser.")] = False,
    lang: Annotated[str, typer.Option("--lang", help="en or ru, of the headline")] = "en",
) -> None:
    """Write report.html (one file, no network), report.md and figures/ from measured records."""
    from oomph.analysis.first_card.day import is_day, read_day
    from oomph.views.language import checked_language
    from oomph.views.report import write_report

    if len(folders) == 1 and is_day(folders[0]):
        made = day_report(read_day(folders[0]))
    else:
        made = report_on(
            read_records(folders), model=model, calibrate=calibrate, language=checked_language(lang)
        )
    page = write_report(made, out or folders[0], png=png, scripts=scripts)
    typer.echo(page)
    if open_page:
        webbrowser.open(page.resolve().as_uri())


def day_report(day: "Day") -> "Report":
    """A card's first day: its verdict, then the models' own chapters, without sliders: they are for
    asking, and this is what was seen."""
    from oomph.views.first_card import first_chapter

    report = report_on(day.verdict.records, estimator_for=day.estimator_of)
    first = first_chapter(day.verdict, f"The first day of {day.where}")
    chapters = (first, *report.chapters)
    return replace(report, title=first.title, chapters=chapters, what_ifs=(None,) * len(chapters))


def read_records(folders: Sequence[Path]) -> "list[Record]":
    """The records of all folders; StoreError names a folder that has none."""
    from oomph.records.store import Store

    records: list[Record] = []
    for folder in folders:
        found = list(Store(folder).records())
        if not found:
            raise StoreError(
                f"{folder} has no records; name a folder that `oomph sweep --out` has written"
            )
        records += found
    return records


def report_on(
    records: "Sequence[Record]",
    *,
    model: str | None = None,
    calibrate: bool = False,
    language: str = "en",
    estimator_for: "Callable[[Record], Estimator] | None" = None,
) -> "Report":
    """The report, with predictions for each model whose facts are at hand; where they are not,
    stderr says so.

    `calibrate` fits the coefficients to the records first, where these hold enough; `language` is
    the headlines'. `estimator_for` knows a record's model and card where the record's own names do
    not.
    """
    from oomph.advise.memory_map import Surface, as_measured, surfaces
    from oomph.calibrate.comparison import compare, record_config
    from oomph.calibrate.fit import fit
    from oomph.records.grouping import by_subject, subject
    from oomph.views.figures import MOST_MAPS
    from oomph.views.report import build_report
    from oomph.views.what_if import WhatIf, what_if

    predictions: dict[str, Prediction] = {}
    comparisons: list[Comparison] = []
    fits: dict[Hashable, FitResult] = {}
    around: list[Surface] = []
    what_ifs: dict[Hashable, WhatIf] = {}
    for own in by_subject(records):
        try:
            estimator = (
                estimator_for(own[0]) if estimator_for else estimator_of(own[0], model=model)
            )
            if calibrate:
                fits[subject(own[0])] = fit(estimator, own)
                estimator = fits[subject(own[0])].estimator
        except FitError as error:
            print(f"oomph: not calibrated: {error}", file=sys.stderr)
        except OomphError as error:
            print(f"oomph: no predictions for {own[0].model.name}: {error}", file=sys.stderr)
            continue
        # what if it were a real card: not a phantom's
        asked, estimator = estimator, as_measured(estimator, own[0])
        predictions |= {
            record.record_id: estimator.predict(record_config(record)) for record in own
        }
        comparisons += compare(estimator, own)
        around += surfaces(estimator, own, most=MOST_MAPS)
        largest = max(
            map(record_config, own), key=lambda config: (config.n_ctx, config.n_expert_used or 0)
        )
        what_ifs[subject(own[0])] = what_if(
            asked, largest, reference=model or PurePath(own[0].model.path).name
        )
    return build_report(
        records,
        predictions=predictions,
        comparisons=comparisons,
        fits=fits,
        surfaces=around,
        what_ifs=what_ifs,
        language=language,
    )
