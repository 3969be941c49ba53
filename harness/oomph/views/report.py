"""Results as a page: one self-contained HTML file, and the same as Markdown.

Stands apart because it is the only view that writes. The page needs no network and runs no script
but its own, which a content security policy in its head enforces; names, paths and logs are escaped
by the template engine.
"""

import hashlib
import os
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from oomph.errors import StoreError
from oomph.estimate.prediction import Prediction
from oomph.files import write_files
from oomph.frozen import frozen
from oomph.records.grouping import grouped, model_key
from oomph.records.schema import Record
from oomph.records.summary import RecordSummary, by_subject
from oomph.units import size
from oomph.views.across import across_chapter, machines_of
from oomph.views.figures import Picture
from oomph.views.files_chapter import files_chapters
from oomph.views.material import Material
from oomph.views.report_markdown import figure_file, render_chapters
from oomph.views.sections import Chapter, build_chapter
from oomph.views.svg import draw_svg, inline_svg, render_figure, share_styles
from oomph.views.what_if import WhatIf, shared_facts
from oomph.views.what_if_page import (
    content_hash,
    page_script,
    page_style,
    page_templates,
    what_if_script,
)

if TYPE_CHECKING:
    from oomph.advise.memory_map import MemoryGrid
    from oomph.analysis.real_card import RealCard
    from oomph.calibrate.comparison import Comparison
    from oomph.calibrate.result import FitResult


Drawings = dict[tuple[int, str], str]
"""SVG by the number of the chapter and the figure's name."""


@frozen
class Report:
    """What is published: a title, one chapter for each model and machine, and the model of each to
    be asked. `remarks` are for who makes it: what could not be predicted or calibrated, and why.
    `predicted_bytes` of the cards' memory are by record id."""

    title: str
    chapters: tuple[Chapter, ...]
    what_ifs: tuple[WhatIf | None, ...]
    remarks: tuple[str, ...] = ()
    predicted_bytes: Mapping[str, int] = field(default_factory=dict)


def build_report(
    summaries: Iterable[RecordSummary],
    *,
    predictions: Mapping[str, Prediction] | None = None,
    comparisons: Sequence["Comparison"] = (),
    fits: Mapping[Hashable, "FitResult"] | None = None,
    memory_grids: Sequence["MemoryGrid"] = (),
    what_ifs: Mapping[Hashable, WhatIf] | None = None,
    real: Mapping[Hashable, "RealCard"] | None = None,
    language: str = "en",
) -> Report:
    """The report of these records; `predictions` by record id, `fits` and `what_ifs` by
    `grouping.subject`, if any.

    `language` is the headlines'; the rest is in English. Raises StoreError where there is no
    record.
    """
    groups = by_subject(summaries)
    subjects = {each.record.record_id: each.subject for group in groups for each in group}
    compared: dict[Hashable, list[Comparison]] = {}
    for comparison in comparisons:
        compared.setdefault(subjects[comparison.record_id], []).append(comparison)
    if not groups:
        raise StoreError("there are no records to report on; run `oomph sweep` first")
    dry = {
        _configuration(r): r
        for group in groups
        for r in group
        if r.record.environment.backend == "phantom"
    }
    chapters = [
        build_chapter(
            Material(
                summaries=group,
                predictions=predictions or {},
                memory_grids=memory_grids,
                comparisons=compared.get(group[0].subject, []),
                fit=(fits or {}).get(group[0].subject),
                dry_runs=_dry_runs(group, dry),
                real=(real or {}).get(group[0].subject),
            ),
            language,
        )
        for group in groups
    ]
    chapters = _told_apart(chapters, [group[0] for group in groups])
    across = [*files_chapters(groups), *_across(groups)]
    asked = [(what_ifs or {}).get(group[0].subject) for group in groups]
    return Report(
        title=" · ".join(chapter.title for chapter in chapters),
        chapters=(*across, *chapters),
        what_ifs=(*(None for _ in across), *asked),
        predicted_bytes={
            record_id: prediction.memory.total_vram_bytes
            for record_id, prediction in (predictions or {}).items()
        },
    )


def across_chapters(summaries: Iterable[RecordSummary]) -> list[Chapter]:
    """A chapter for each model that several machines or builds measured."""
    return _across(by_subject(summaries))


def _across(groups: Sequence[Sequence[RecordSummary]]) -> list[Chapter]:
    return [
        across_chapter(own[0][0].record.model.name, machines_of(own))
        for own in _by_model(groups)
        if len(own) > 1
    ]


def _by_model(groups: Sequence[Sequence[RecordSummary]]) -> list[list[Sequence[RecordSummary]]]:
    """The machines and builds of each model."""
    return list(grouped(groups, lambda group: model_key(group[0].record.model)).values())


def _configuration(summary: RecordSummary) -> Hashable:
    """The same for a run on a card and its dry run on a phantom of that card."""
    cards = tuple(str(card.get("name")) for card in summary.record.environment.gpus)
    knobs = tuple(knob for knob in summary.setting if knob[0] != "n_threads")
    return model_key(summary.record.model), cards, summary.n_ctx, summary.n_expert_used, knobs


def _dry_runs(
    summaries: Sequence[RecordSummary], dry: Mapping[Hashable, RecordSummary]
) -> dict[str, RecordSummary]:
    real = (summary for summary in summaries if summary.record.environment.backend == "cuda")
    return {
        summary.record.record_id: dry[key]
        for summary in real
        if (key := _configuration(summary)) in dry
    }


def _told_apart(chapters: Sequence[Chapter], firsts: Sequence[RecordSummary]) -> list[Chapter]:
    """Chapters of equal titles get what tells them apart: the size of their model's file, since
    quantizations often share a name, the processor, the build."""
    found = list(chapters)
    for words in (_file_words, _processor_words, _build_words):
        titles = [chapter.title for chapter in found]
        told = [words(summary.record) for summary in firsts]
        for place, chapter in enumerate(found):
            same = [told[other] for other, title in enumerate(titles) if title == chapter.title]
            if len(same) > 1 and len(set(same)) > 1:
                found[place] = replace(chapter, title=f"{chapter.title}, {told[place]}")
    return found


def _file_words(record: Record) -> str:
    return f"file of {size(record.model.file_bytes or record.model.tensor_bytes)}"


def _processor_words(record: Record) -> str:
    return str(record.environment.cpu)


def _build_words(record: Record) -> str:
    return f"llama.cpp {record.environment.llama_cpp_commit}"


def render_html(
    report: Report,
    *,
    shared_script: str | None = None,
    drawings: Drawings | None = None,
    home: str | None = None,
) -> str:
    """The whole page. Figures are inline SVG, tables sort, commands copy, the reader's colour
    scheme is kept.

    `shared_script` is where the page finds the what-if's script, as a relative address; None puts
    it into the page, which then can be sent alone. `drawings` are `draw_figures`', where they are
    there already; `home` is the address of the site's index, for a page of a site.
    """
    asks = any(report.what_ifs)
    script = page_script(asks=asks and shared_script is None)
    figures, looks = share_styles(_inline_figures(report, drawings or draw_figures(report)))
    return (
        page_templates()
        .get_template("page.html.jinja")
        .render(
            report=report,
            figures=figures,
            anchor=anchor,
            style=page_style() + looks,
            script=script,
            script_hash=content_hash(script),
            shared=shared_facts() if asks else None,
            shared_script=shared_script if asks else None,
            home=home,
        )
    )


def _pictures(report: Report) -> Iterator[tuple[int, Picture]]:
    """Each with the number of its chapter."""
    for number, chapter in enumerate(report.chapters):
        for picture in chapter.every_picture:
            yield number, picture


def draw_figures(report: Report) -> Drawings:
    """Each figure as SVG, by chapter and name: drawn once for the page and for the folder."""
    return {
        (number, picture.name): draw_svg(
            picture.figure, name=Path(figure_file(number, picture.name)).stem
        )
        for number, picture in _pictures(report)
    }


def _inline_figures(report: Report, drawings: Drawings) -> Drawings:
    """The same for the page; ids carry the figure's number, so that figures on one page share
    none."""
    return {
        (number, picture.name): inline_svg(
            drawings[number, picture.name], name=f"f{place}", alt=picture.alt
        )
        for place, (number, picture) in enumerate(_pictures(report))
    }


def anchor(title: str) -> str:
    """A heading as the fragment of a link: letters and digits joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def render_report_markdown(report: Report) -> str:
    """The report as GitHub's Markdown; pictures are looked for in the folder `figures`, as
    `write_pages` has them."""
    return render_chapters(report.chapters)


def _shared_script(scripts: Path) -> dict[Path, str]:
    """The what-if's script and where it lies; its name has its hash, so that older pages keep
    theirs."""
    script = what_if_script()
    name = f"what-if-{hashlib.sha256(script.encode()).hexdigest()[:8]}.js"
    return {scripts / name: script}


def write_pages(
    report: Report,
    folder: Path,
    *,
    suffixes: Sequence[str] = (),
    scripts: Path | None = None,
    home: str | None = None,
) -> Path:
    """Write `report.html`, `report.md` and `figures/*.svg` (and as files of `suffixes`, `.png` or
    `.pdf`) into `folder`, all of them or none; the page's path.

    `scripts` is a folder for the what-if's script, once for all pages that are published together;
    None puts it into the page. `home` is the address of a site's index. StoreError where a folder
    cannot be written: what was there is untouched.
    """
    page = folder / "report.html"
    script = _shared_script(scripts) if scripts and any(report.what_ifs) else {}
    shared = next((quote(Path(os.path.relpath(path, folder)).as_posix()) for path in script), None)
    drawings = draw_figures(report)
    write_files(
        {path: text for path, text in script.items() if not path.exists()}
        | {folder / "report.md": render_report_markdown(report)}
        | {folder / "figures" / figure_file(*place): svg for place, svg in drawings.items()}
        | _more_files(report, folder / "figures", suffixes)
        | {page: render_html(report, shared_script=shared, drawings=drawings, home=home)},
        otherwise="name another folder with --out",
    )
    return page


def _more_files(report: Report, folder: Path, suffixes: Sequence[str]) -> dict[Path, bytes]:
    files = {}
    for number, picture in _pictures(report):
        path = folder / figure_file(number, picture.name)
        for suffix in suffixes:
            files[path.with_suffix(suffix)] = render_figure(picture.figure, path.stem, suffix)
    return files
