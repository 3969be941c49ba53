"""A folder of results as a static site: index, reports, machines side by side, what-ifs.

Addresses are relative, so that the site opens from a folder and from a project's page alike, and no
page asks a network. A folder that cannot be read is left out and said.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from oomph.analysis.first_card.day import is_day
from oomph.errors import OomphError, StoreError
from oomph.files import write_files
from oomph.frozen import frozen
from oomph.records.schema import Record
from oomph.records.store import RECORDS, read_records
from oomph.records.summary import summaries_of
from oomph.views.lead import QUESTIONS
from oomph.views.peers import PEERS_FILE, peers_chapter, read_peers
from oomph.views.readings import cards_word
from oomph.views.report import Report, across_chapters, render_html, write_pages
from oomph.views.reporting import report_of
from oomph.views.sections import Chapter
from oomph.views.what_if_page import content_hash, page_file, page_style, page_templates
from oomph.views.what_if_site import ASK, write_what_ifs

INDEX: Final = "index.html"
MACHINES, CLAIMS, PEERS = "machines.html", "claims.html", "peers.html"


@frozen
class Entry:
    """One report on the index: what was asked, of which models, on what, the answer, when, with
    which build of llama.cpp, and where its page is."""

    asked: str
    models: str
    where: str
    answer: str
    date: str
    build: str
    address: str


@frozen
class Site:
    """A site that was written: its index, and what was left out of it, and why."""

    index: Path
    remarks: tuple[str, ...]


def write_site(
    results: Path,
    out: Path,
    *,
    models: Sequence[str] | None = None,
    tell: Callable[[str], None] | None = None,
) -> Site:
    """Write the site of all results folders in `results` into `out`.

    `models` are the catalogue's that can be asked, all of them if left out; `tell` is told which
    page is being made. StoreError where there are no results, or `out` cannot be written.
    """
    places = list(result_folders(results))
    if not places:
        raise StoreError(f"{results} holds no records; name a folder that `oomph sweep` wrote into")
    entries: list[Entry] = []
    claims: list[Chapter] = []
    records: list[Record] = []
    remarks: list[str] = []
    for place in places:
        if tell:
            tell(f"{place}")
        target = out / place.relative_to(results)
        try:
            own = read_records([place])
            made = report_of([place], calibrate=any(map(_is_of_processor, own)))
        except OomphError as error:
            remarks.append(f"{place}: {error}")
            continue
        page = write_pages(made, target, scripts=out, home=_address(out / INDEX, target))
        records += own
        remarks += made.remarks
        claims += [each for each in made.chapters if each.question == QUESTIONS["claims"]][:1]
        entries.append(_entry(made, own, _address(page, out)))
    if tell:
        tell("the pages of all")
    pages = {
        MACHINES: ("Machines and builds", across_chapters(summaries_of(records))),
        CLAIMS: ("Claims", claims),
        PEERS: ("Beside other estimators", _peers(results)),
    }
    links = {
        name: (title, render_html(_plain_report(title, chapters), home=INDEX))
        for name, (title, chapters) in pages.items()
        if chapters
    }
    write_what_ifs(out, models, tell=tell)
    index = render_index(entries, {name: title for name, (title, _) in links.items()})
    write_files(
        {out / name: page for name, (_, page) in links.items()} | {out / INDEX: index},
        otherwise="name another folder with --out",
    )
    return Site(index=out / INDEX, remarks=tuple(dict.fromkeys(remarks)))


def result_folders(results: Path) -> Iterator[Path]:
    """The folders with records, by name; what lies within a first day belongs to it."""
    days: list[Path] = []
    for place in sorted(path.parent for path in results.rglob(RECORDS)):
        if any(day in place.parents for day in days):
            continue
        if is_day(place):
            days.append(place)
        yield place


def _is_of_processor(record: Record) -> bool:
    """Whether the record has speeds of a processor, of which nothing is known until it is
    calibrated."""
    return record.environment.backend == "cpu" and bool(record.timings)


def _address(page: Path, start: Path) -> str:
    return quote(Path(os.path.relpath(page, start)).as_posix())


def _entry(made: Report, records: Sequence[Record], address: str) -> Entry:
    first, chapter = records[0], made.chapters[0]
    environment = first.environment
    on = cards_word(first) or environment.cpu or environment.machine
    return Entry(
        asked=chapter.question,
        models=", ".join(dict.fromkeys(record.model.name for record in records)),
        where=f"phantom {on}" if environment.backend == "phantom" else str(on),
        answer=f"{chapter.headline}.",
        date=max(record.started_at or "" for record in records)[:10],
        build=environment.llama_cpp_commit or "",
        address=address,
    )


def _plain_report(title: str, chapters: Sequence[Chapter]) -> Report:
    """Chapters without a model to be asked."""
    return Report(title=title, chapters=tuple(chapters), what_ifs=(None,) * len(chapters))


def _peers(results: Path) -> list[Chapter]:
    path = results / PEERS_FILE
    return [peers_chapter(read_peers(path))] if path.is_file() else []


def render_index(entries: Sequence[Entry], pages: dict[str, str]) -> str:
    """The first page: the pages of all by address and title, and each report."""
    script = page_file("site.js")
    return (
        page_templates()
        .get_template("index.html.jinja")
        .render(
            entries=entries,
            pages={ASK: "What if", **pages},
            style=page_style(),
            script=script,
            script_hash=content_hash(script),
        )
    )
