"""From results folders to a report: what was measured, beside what is predicted of it."""

import warnings
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Final

from oomph.advise.memory_map import MemoryGrid, as_measured, memory_grids
from oomph.analysis.claims import CLAIMS_FILE, read_claims
from oomph.analysis.first_card.day import Day, is_day, read_day
from oomph.analysis.real_card import RealCard, on_real_card
from oomph.calibrate.comparison import Comparison, compare, record_config
from oomph.calibrate.expected_memory import PHANTOM
from oomph.calibrate.fit import fit
from oomph.calibrate.recorded import estimator_for
from oomph.calibrate.result import FitResult
from oomph.errors import ConfigError, FitError, OomphError
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import Prediction
from oomph.records.grouping import subject
from oomph.records.schema import Record
from oomph.records.store import MANY, read_records
from oomph.records.summary import by_subject, summaries_of
from oomph.views.claims_page import claims_chapter
from oomph.views.figures import MOST_MAPS
from oomph.views.first_card import first_chapter
from oomph.views.language import checked_language
from oomph.views.report import Report, build_report, write_pages
from oomph.views.sections import ESTIMATE_TITLE, Chapter
from oomph.views.what_if import WhatIf, what_if

IN_FRONT: Final = frozenset({ESTIMATE_TITLE, "Memory by source", "Every test", "How to repeat it"})
"""Sections of single models that a first day's front has for all."""


def write_report(
    folders: Sequence[Path | str],
    out: Path | str | None = None,
    *,
    model: str | None = None,
    calibrate: bool = False,
    suffixes: Sequence[str] = (),
    scripts: Path | None = None,
    language: str = "en",
) -> Path:
    """Write report.html, report.md and figures/ of what the folders hold; the page's path.

    `out` is where, the first folder if left out. `model` names the model where it is no longer
    where the records say; `calibrate` fits the coefficients to them first; `suffixes` (`.png`,
    `.pdf`) are of the figures' files beside SVG. `scripts` is a folder
    that keeps the what-if's script for all pages that are published together. StoreError for a
    folder without records; a warning for a model that nothing is predicted of.
    """
    made = report_of(folders, model=model, calibrate=calibrate, language=language)
    for remark in made.remarks:
        warnings.warn(remark, stacklevel=2)
    return write_pages(made, Path(out or folders[0]), suffixes=suffixes, scripts=scripts)


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
    made = report_on(
        [record for each in records for record in each],
        model=model,
        calibrate=calibrate,
        language=checked_language(language),
        tell=tell,
    )
    return _with_claims(made, records[0], places[0]) if len(places) == 1 else made


def _with_claims(made: Report, records: Sequence[Record], folder: Path) -> Report:
    """The report behind its claims' verdicts, where the folder keeps the claims."""
    claims = folder / CLAIMS_FILE
    if not claims.is_file():
        return made
    front = claims_chapter(read_claims(claims), records, made.predicted_bytes)
    return in_front(made, front)


def _refuse_twins(places: Sequence[Path], records: Sequence[Sequence[Record]]) -> None:
    """ConfigError where two folders hold one point of one machine and build: a page would mix
    before and after into one series."""
    seen: dict[tuple[str, Hashable], Path] = {}
    for place, own in zip(places, records, strict=True):
        points = {(record.point_id, subject(record)): place for record in own}
        for twin in points.keys() & seen.keys():
            raise ConfigError(
                f"{seen[twin]} and {place} hold the same points of one machine; `oomph compare` "
                "sets them side by side, and `oomph report` takes one of them"
            )
        seen |= points


def day_report(day: Day) -> Report:
    """A card's first day: its verdict, then the models' own chapters, without sliders: they are for
    asking, and this is what was seen; and without what is in front for all of them."""
    made = report_on(day.verdict.records, knows=day.estimator_of)
    chapters = tuple(
        replace(each, sections=tuple(s for s in each.sections if s.title not in IN_FRONT))
        for each in made.chapters
    )
    made = replace(made, chapters=chapters)
    is_phantom = any(each.environment.backend == PHANTOM for each in day.verdict.records)
    first = first_chapter(
        day.verdict, f"The first day of {'a phantom ' if is_phantom else ''}{day.where}"
    )
    return in_front(replace(made, what_ifs=(None,) * len(made.chapters)), first)


def in_front(made: Report, chapter: Chapter) -> Report:
    """The report with a chapter before its others."""
    return replace(
        made,
        title=chapter.title,
        chapters=(chapter, *made.chapters),
        what_ifs=(None, *made.what_ifs),
    )


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
    real: dict[Hashable, RealCard] = {}
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
        comparisons += compare(estimator, those, predictions)
        around += memory_grids(estimator, own, most=MOST_MAPS)
        if first.environment.backend == PHANTOM and first.sweep == "frontier":
            real[own[0].subject] = on_real_card(asked, own)
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
        real=real,
        language=language,
    )
    return replace(made, remarks=tuple(remarks))
