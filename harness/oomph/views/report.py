"""Results as a page: one self-contained HTML file, and the same as Markdown.

Stands apart because it is the only view that writes. The page needs no network and runs no script
but its own, which a content security policy in its head enforces; names, paths and logs are escaped
by the template engine.
"""

import hashlib
import os
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from oomph.errors import StoreError
from oomph.estimate.prediction import Prediction
from oomph.files import write_files
from oomph.foreign_text import visible
from oomph.records.grouping import model_key
from oomph.records.summary import RecordSummary, by_subject
from oomph.units import size
from oomph.views.figures import Material, Picture
from oomph.views.sections import Chapter, Section, build_chapter
from oomph.views.style import draw_svg, inline_svg, render_figure
from oomph.views.table import escape_markdown, render_markdown
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
    from oomph.calibrate.comparison import Comparison
    from oomph.calibrate.result import FitResult


Drawings = dict[tuple[int, str], str]
"""SVG by the number of the chapter and the figure's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is published: a title, one chapter for each model and machine, and the model of each to
    be asked. `remarks` are for who makes it: what could not be predicted or calibrated, and why."""

    title: str
    chapters: tuple[Chapter, ...]
    what_ifs: tuple[WhatIf | None, ...]
    remarks: tuple[str, ...] = ()


def build_report(
    summaries: Iterable[RecordSummary],
    *,
    predictions: Mapping[str, Prediction] | None = None,
    comparisons: Sequence["Comparison"] = (),
    fits: Mapping[Hashable, "FitResult"] | None = None,
    memory_grids: Sequence["MemoryGrid"] = (),
    what_ifs: Mapping[Hashable, WhatIf] | None = None,
    title: str | None = None,
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
            ),
            language,
        )
        for group in groups
    ]
    chapters = _with_sizes(chapters, [group[0] for group in groups])
    return Report(
        title=title or " · ".join(chapter.title for chapter in chapters),
        chapters=tuple(chapters),
        what_ifs=tuple((what_ifs or {}).get(group[0].subject) for group in groups),
    )


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


def _with_sizes(chapters: Sequence[Chapter], firsts: Sequence[RecordSummary]) -> list[Chapter]:
    """Chapters of equal titles get the size of their model's file: quantizations often share a
    name."""
    titles = [chapter.title for chapter in chapters]
    return [
        replace(
            chapter,
            title=f"{chapter.title}, file of "
            f"{size(summary.record.model.file_bytes or summary.record.model.tensor_bytes)}",
        )
        if titles.count(chapter.title) > 1
        else chapter
        for chapter, summary in zip(chapters, firsts, strict=True)
    ]


def render_html(
    report: Report, *, shared_script: str | None = None, drawings: Drawings | None = None
) -> str:
    """The whole page. Figures are inline SVG, tables sort, commands copy, the reader's colour
    scheme is kept.

    `shared_script` is where the page finds the what-if's script, as a relative address; None puts
    it into the page, which then can be sent alone. `drawings` are `draw_figures`', where they are
    there already.
    """
    asks = any(report.what_ifs)
    script = page_script(asks=asks and shared_script is None)
    return (
        page_templates()
        .get_template("page.html.jinja")
        .render(
            report=report,
            figures=_inline_figures(report, drawings or draw_figures(report)),
            anchor=anchor,
            style=page_style(),
            script=script,
            script_hash=content_hash(script),
            shared=shared_facts() if asks else None,
            shared_script=shared_script if asks else None,
        )
    )


def _pictures(report: Report) -> Iterator[tuple[int, Picture]]:
    """Each with the number of its chapter."""
    for number, chapter in enumerate(report.chapters):
        for section in chapter.sections:
            for picture in section.pictures:
                yield number, picture


def draw_figures(report: Report) -> Drawings:
    """Each figure as SVG, by chapter and name: drawn once for the page and for the folder."""
    return {
        (number, picture.name): draw_svg(
            picture.figure, name=Path(_file_name(number, picture.name)).stem
        )
        for number, picture in _pictures(report)
    }


def _inline_figures(report: Report, drawings: Drawings) -> Drawings:
    """The same for the page; ids carry chapter and name, so that figures on one page share
    none."""
    return {
        (number, picture.name): inline_svg(
            drawings[number, picture.name], name=f"c{number}-{picture.name}", alt=picture.alt
        )
        for number, picture in _pictures(report)
    }


def anchor(title: str) -> str:
    """A heading as the fragment of a link: letters and digits joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def render_report_markdown(report: Report, *, figures: str = "figures") -> str:
    """The report as GitHub's Markdown; pictures are looked for in the folder `figures`, as
    `write_pages` has them."""
    parts = []
    for number, chapter in enumerate(report.chapters):
        parts += [
            f"# {escape_markdown(chapter.title)}",
            f"**{escape_markdown(chapter.headline)}.**",
        ]
        parts.append("\n".join(f"- {escape_markdown(sentence)}" for sentence in chapter.evidence))
        for section in chapter.sections:
            parts += _section_markdown(section, number, figures)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section_markdown(section: Section, chapter: int, figures: str) -> list[str]:
    parts = [f"## {section.title}", escape_markdown(section.text)]
    parts.append("\n".join(f"- {escape_markdown(note)}" for note in section.notes))
    for picture in section.pictures:
        parts += _picture_markdown(picture, f"{figures}/{_file_name(chapter, picture.name)}")
    parts += [render_markdown(table).rstrip() for table in section.tables]
    if section.commands:
        parts.append("\n".join("    " + visible(command) for command in section.commands))
    return parts


def _picture_markdown(picture: Picture, address: str) -> list[str]:
    parts = [
        f"![{escape_markdown(picture.alt)}]({address})",
        f"*{escape_markdown(picture.caption)}*",
    ]
    if picture.table:
        data = render_markdown(picture.table).rstrip()
        parts += ["<details><summary>The figure’s data</summary>", data, "</details>"]
    return parts


def _file_name(chapter: int, name: str) -> str:
    return f"{name}.svg" if chapter == 0 else f"{chapter + 1}-{name}.svg"


def _shared_script(scripts: Path) -> dict[Path, str]:
    """The what-if's script and where it lies; its name has its hash, so that older pages keep
    theirs."""
    script = what_if_script()
    name = f"what-if-{hashlib.sha256(script.encode()).hexdigest()[:8]}.js"
    return {scripts / name: script}


def write_pages(
    report: Report, folder: Path, *, png: bool = False, scripts: Path | None = None
) -> Path:
    """Write `report.html`, `report.md` and `figures/*.svg` (with `png` also `*.png`) into `folder`,
    all of them or none; the page's path.

    `scripts` is a folder for the what-if's script, once for all pages that are published together;
    None puts it into the page. StoreError where a folder cannot be written: what was there is
    untouched.
    """
    page = folder / "report.html"
    script = _shared_script(scripts) if scripts and any(report.what_ifs) else {}
    shared = next((quote(Path(os.path.relpath(path, folder)).as_posix()) for path in script), None)
    drawings = draw_figures(report)
    write_files(
        {path: text for path, text in script.items() if not path.exists()}
        | {folder / "report.md": render_report_markdown(report)}
        | {folder / "figures" / _file_name(*place): svg for place, svg in drawings.items()}
        | (_png_files(report, folder / "figures") if png else {})
        | {page: render_html(report, shared_script=shared, drawings=drawings)},
        otherwise="name another folder with --out",
    )
    return page


def _png_files(report: Report, folder: Path) -> dict[Path, bytes]:
    files = {}
    for number, picture in _pictures(report):
        path = folder / _file_name(number, picture.name)
        files[path.with_suffix(".png")] = render_figure(picture.figure, path.stem, ".png")
    return files
