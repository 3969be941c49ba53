"""Results as a page: one self-contained HTML file, and the same as Markdown.

Stands apart because it is the only view that writes. The page needs no network and runs no script
but its own, which a content security policy in its head enforces; names, paths and logs are escaped
by the template engine.
"""

import hashlib
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from oomph.errors import StoreError
from oomph.estimate.prediction import Prediction
from oomph.files import write_files
from oomph.foreign_text import visible
from oomph.records.grouping import by_subject, model_key, setting, subject
from oomph.records.schema import Record
from oomph.units import size
from oomph.views.figures import Material, Picture
from oomph.views.readings import n_ctx, n_expert_used
from oomph.views.sections import Chapter, Section, build_chapter
from oomph.views.style import render_figure, render_svg
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is published: a title, one chapter for each model and machine, and the model of each to
    be asked. `remarks` are for who makes it: what could not be predicted or calibrated, and why."""

    title: str
    chapters: tuple[Chapter, ...]
    what_ifs: tuple[WhatIf | None, ...]
    remarks: tuple[str, ...] = ()


def build_report(
    records: Iterable[Record],
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
    groups = by_subject(records)
    if not groups:
        raise StoreError("there are no records to report on; run `oomph sweep` first")
    dry = {
        _configuration(r): r
        for group in groups
        for r in group
        if r.environment.backend == "phantom"
    }
    chapters = [
        build_chapter(
            Material(
                records=group,
                predictions=predictions or {},
                memory_grids=memory_grids,
                comparisons=[
                    c for c in comparisons if c.record_id in {record.record_id for record in group}
                ],
                fit=(fits or {}).get(subject(group[0])),
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
        what_ifs=tuple((what_ifs or {}).get(subject(group[0])) for group in groups),
    )


def _configuration(record: Record) -> Hashable:
    """The same for a run on a card and its dry run on a phantom of that card."""
    cards = tuple(str(card.get("name")) for card in record.environment.gpus)
    knobs = tuple(knob for knob in setting(record) if knob[0] != "n_threads")
    return model_key(record.model), cards, n_ctx(record), n_expert_used(record), knobs


def _dry_runs(records: Sequence[Record], dry: Mapping[Hashable, Record]) -> dict[str, Record]:
    real = (record for record in records if record.environment.backend == "cuda")
    return {record.record_id: dry[key] for record in real if (key := _configuration(record)) in dry}


def _with_sizes(chapters: Sequence[Chapter], firsts: Sequence[Record]) -> list[Chapter]:
    """Chapters of equal titles get the size of their model's file: quantizations often share a
    name."""
    titles = [chapter.title for chapter in chapters]
    return [
        replace(
            chapter,
            title=f"{chapter.title}, file of "
            f"{size(record.model.file_bytes or record.model.tensor_bytes)}",
        )
        if titles.count(chapter.title) > 1
        else chapter
        for chapter, record in zip(chapters, firsts, strict=True)
    ]


def render_html(report: Report, *, shared_script: str | None = None) -> str:
    """The whole page. Figures are inline SVG, tables sort, commands copy, the reader's colour
    scheme is kept.

    `shared_script` is where the page finds the what-if's script, as a relative address; None puts
    it into the page, which then can be sent alone.
    """
    asks = any(report.what_ifs)
    script = page_script(asks=asks and shared_script is None)
    return (
        page_templates()
        .get_template("page.html.jinja")
        .render(
            report=report,
            figures=_inline_figures(report),
            anchor=anchor,
            style=page_style(),
            script=script,
            script_hash=content_hash(script),
            shared=shared_facts() if asks else None,
            shared_script=shared_script if asks else None,
        )
    )


def _inline_figures(report: Report) -> dict[tuple[int, str], str]:
    """SVG by chapter and name; ids carry both, so that figures on one page share none."""
    return {
        (number, picture.name): render_svg(
            picture.figure, name=f"c{number}-{picture.name}", alt=picture.alt
        )
        for number, chapter in enumerate(report.chapters)
        for section in chapter.sections
        for picture in section.pictures
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
    write_files(
        {path: text for path, text in script.items() if not path.exists()}
        | {folder / "report.md": render_report_markdown(report)}
        | _figure_files(report, folder / "figures", (".svg", ".png") if png else (".svg",))
        | {page: render_html(report, shared_script=shared)},
        otherwise="name another folder with --out",
    )
    return page


def _figure_files(report: Report, folder: Path, suffixes: Sequence[str]) -> dict[Path, bytes]:
    files = {}
    for number, chapter in enumerate(report.chapters):
        for picture in (picture for section in chapter.sections for picture in section.pictures):
            path = folder / _file_name(number, picture.name)
            for suffix in suffixes:
                files[path.with_suffix(suffix)] = render_figure(picture.figure, path.stem, suffix)
    return files
