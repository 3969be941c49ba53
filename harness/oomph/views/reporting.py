"""From results folders to a report: what was measured, beside what is predicted of it."""

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from oomph.advise.memory_map import MemoryGrid, as_measured, memory_grids
from oomph.analysis.first_card.day import Day, is_day, read_day
from oomph.calibrate.comparison import Comparison, compare, record_config
from oomph.calibrate.fit import fit
from oomph.calibrate.recorded import estimator_for
from oomph.calibrate.result import FitResult
from oomph.errors import ConfigError, FitError, OomphError
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import Prediction
from oomph.records.schema import Record
from oomph.records.store import MANY, read_records
from oomph.records.summary import by_subject, summaries_of
from oomph.views.figures import MOST_MAPS
from oomph.views.first_card import first_chapter
from oomph.views.language import checked_language
from oomph.views.report import Report, build_report, write_pages
from oomph.views.what_if import WhatIf, what_if


def write_report(
    folders: Sequence[Path | str],
    out: Path | str | None = None,
    *,
    model: str | None = None,
    calibrate: bool = False,
    png: bool = False,
    scripts: Path | None = None,
    language: str = "en",
) -> Path:
    """Write report.html, report.md and figures/ of what the folders hold; the page's path.

    `out` is where, the first folder if left out. `model` names the model where it is no longer
    where the records say; `calibrate` fits the coefficients to them first. `scripts` is a folder
    that keeps the what-if's script for all pages that are published together. StoreError for a
    folder without records; a warning for a model that nothing is predicted of.
    """
    made = report_of(folders, model=model, calibrate=calibrate, language=language)
    for remark in made.remarks:
        warnings.warn(remark, stacklevel=2)
    return write_pages(made, Path(out or folders[0]), png=png, scripts=scripts)


def report_of(
    folders: Sequence[Path | str],
    *,
    model: str | None = None,
    calibrate: bool = False,
    language: str = "en",
    tell: Callable[[str], None] | None = None,
) -> Report:
    """The report of results folders, or of one that holds a card's first day; as `write_report`.
    `tell` is told how far it is, of many records."""
    places = [Path(folder) for folder in folders]
    if len(places) == 1 and is_day(places[0]):
        return day_report(read_day(places[0]))
    records = [read_records([place], tell=tell) for place in places]
    _refuse_twins(places, records)
    return report_on(
        [record for each in records for record in each],
        model=model,
        calibrate=calibrate,
        language=checked_language(language),
        tell=tell,
    )


def _refuse_twins(places: Sequence[Path], records: Sequence[Sequence[Record]]) -> None:
    """ConfigError where two folders hold one point of one machine: a page would mix before and
    after into one series."""
    seen: dict[tuple[str, str], Path] = {}
    for place, own in zip(places, records, strict=True):
        points = {(record.point_id, record.environment.machine): place for record in own}
        for twin in points.keys() & seen.keys():
            raise ConfigError(
                f"{seen[twin]} and {place} hold the same points of one machine; `oomph compare` "
                "sets them side by side, and `oomph report` takes one of them"
            )
        seen |= points


def day_report(day: Day) -> Report:
    """A card's first day: its verdict, then the models' own chapters, without sliders: they are for
    asking, and this is what was seen."""
    made = report_on(day.verdict.records, knows=day.estimator_of)
    first = first_chapter(day.verdict, f"The first day of {day.where}")
    chapters = (first, *made.chapters)
    return replace(made, title=first.title, chapters=chapters, what_ifs=(None,) * len(chapters))


def report_on(
    records: Sequence[Record],
    *,
    model: str | None = None,
    calibrate: bool = False,
    language: str = "en",
    knows: Callable[[Record], Estimator] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Report:
    """The report, with predictions for each model whose facts are at hand; where they are not, its
    remarks say so.

    `calibrate` fits the coefficients to the records first, where these hold enough; `language` is
    the headlines'. `knows` tells the estimator for a record whose own names do not.
    """
    predictions: dict[str, Prediction] = {}
    comparisons: list[Comparison] = []
    fits: dict[Hashable, FitResult] = {}
    around: list[MemoryGrid] = []
    what_ifs: dict[Hashable, WhatIf] = {}
    remarks: list[str] = []
    summaries = summaries_of(records)
    for own in by_subject(summaries):
        first = own[0].record
        own = [summary for summary in own if summary.record.is_calibrating]
        if not own:
            remarks.append(f"no predictions for {first.model.name}: {first.why_not_calibrating}")
            continue
        first, those = own[0].record, [summary.record for summary in own]
        if tell and len(own) >= MANY:
            tell(f"predicting {len(own):,} points, then drawing them")
        try:
            estimator = knows(first) if knows else estimator_for(first, model=model)
            if calibrate:
                fits[own[0].subject] = fit(estimator, those)
                estimator = fits[own[0].subject].estimator
        except FitError as error:
            remarks.append(f"not calibrated: {error}")
        except OomphError as error:
            remarks.append(f"no predictions for {first.model.name}: {error}")
            continue
        # what if it were a real card: not a phantom's
        asked, estimator = estimator, as_measured(estimator, first)
        configs = [record_config(record) for record in those]
        distinct = {config: estimator.predict(config) for config in dict.fromkeys(configs)}
        predictions |= {
            record.record_id: distinct[config]
            for record, config in zip(those, configs, strict=True)
        }
        comparisons += compare(estimator, those)
        around += memory_grids(estimator, own, most=MOST_MAPS)
        largest = max(configs, key=lambda config: (config.n_ctx, config.n_expert_used or 0))
        what_ifs[own[0].subject] = what_if(
            asked, largest, reference=model or PurePath(first.model.path).name
        )
    made = build_report(
        summaries,
        predictions=predictions,
        comparisons=comparisons,
        fits=fits,
        memory_grids=around,
        what_ifs=what_ifs,
        language=language,
    )
    return replace(made, remarks=tuple(remarks))
