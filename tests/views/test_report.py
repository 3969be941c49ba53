"""The page stands alone, says what the records say, and runs nothing that a record brought
along."""

import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from oomph.calibrate.comparison import Comparison
from oomph.calibrate.result import FitResult
from oomph.errors import StoreError
from oomph.estimate.prediction import Prediction
from oomph.records.grouping import subject
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.views.report import (
    Report,
    anchor,
    build_report,
    render_html,
    render_report_markdown,
    write_pages,
)

Make = Callable[..., Record]
GOLDEN = Path(__file__).parent.parent / "golden" / "report.md"
HOSTILE = """<script>alert("x")</script><img src=x onerror=alert(1)>'"${7*7}{{7*7}}$\\x$"""


class _Page(HTMLParser):
    """Collects what a browser would see: tags with attributes, text, ids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._inside: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_data(self, data: str) -> None:
        if not self._inside or self._inside[-1] not in ("script", "style"):
            self.text.append(data)

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture
def report(
    records: list[Record], predictions: dict[str, Prediction], comparisons: list[Comparison]
) -> Report:
    return build_report(summaries_of(records), predictions=predictions, comparisons=comparisons)


def test_the_markdown_is_the_one_that_was_agreed(report: Report) -> None:
    text = render_report_markdown(report)
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_the_page_needs_nothing_from_outside(report: Report) -> None:
    html = render_html(report)
    page = _Page(html)
    addresses = [
        v
        for _, attrs in page.tags
        for k, v in attrs.items()
        if k in ("src", "href", "xlink:href", "action")
    ]
    assert addresses
    assert all(address and address.startswith(("#", "data:,")) for address in addresses)
    assert not re.search(r"url\((?!#)", html)
    assert "@import" not in html
    names = {attrs.get("xmlns") for _, attrs in page.tags} | {
        attrs.get("xmlns:xlink") for _, attrs in page.tags
    }
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= names
    assert len(html) < 3_000_000


def test_the_page_is_whole(report: Report) -> None:
    page = _Page(render_html(report))
    assert page.count("h1") == 1
    assert page.count("svg") == 10
    figures = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in figures)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    text = " ".join(page.text)
    assert "Tiny-8x192 takes 225 MiB at n_ctx 1,024" in text
    assert "oomph sweep bench/sweeps/demo.toml --model tiny.gguf --out results/demo" in text


def test_every_table_sorts_and_every_command_copies(report: Report) -> None:
    html = render_html(report)
    page = _Page(html)
    (chapter,) = report.chapters
    data = [picture.table for picture in chapter.every_picture if picture.table]
    tables = [*chapter.tables, *data]
    tables += [table for section in chapter.sections for table in section.tables]
    assert page.count("details") == len(data) + len(chapter.sections)
    commands = [command for section in report.chapters[0].sections for command in section.commands]
    assert page.count("table") == len(tables)
    assert page.count("th") == sum(len(table.columns) for table in tables)
    long = sum(len(table.rows) > 14 for table in tables)
    assert page.count("button") == page.count("th") + len(commands) + long
    keys = [attrs["data-key"] for tag, attrs in page.tags if tag == "td" and "data-key" in attrs]
    assert all(float(str(key)) >= 0 for key in keys)


def test_untrusted_text_stays_text_in_the_page(make_record: Make, make_failure: Make) -> None:
    base = make_record()
    model = base.model.model_copy(
        update={"name": HOSTILE, "path": f"/x/{HOSTILE}.gguf", "arch": HOSTILE}
    )
    environment = base.environment.model_copy(update={"machine": HOSTILE, "cpu": HOSTILE})
    outcome = {
        "label": "crash" + HOSTILE,
        "evidence": [HOSTILE],
        "message": HOSTILE,
        "stage": HOSTILE,
    }
    changes = {"model": model, "environment": environment, "sweep": HOSTILE, "label": HOSTILE}
    records = [make_record(**changes), make_failure(n_ctx=2048).model_copy(update=changes)]
    failed = Record.model_validate(records[1].model_dump() | {"outcome": outcome})
    html = render_html(build_report(summaries_of([records[0], failed])))
    page = _Page(html)
    assert page.count("script") == 1
    assert page.count("img") == 0
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert 'alert("x")' in "".join(page.text)
    assert "{{7*7}}" in "".join(page.text)
    policy = next(
        attrs["content"]
        for tag, attrs in page.tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in str(policy)
    assert "script-src 'sha256-" in str(policy)


def test_untrusted_text_brings_no_markup_into_the_markdown(make_record: Make) -> None:
    base = make_record()
    model = base.model.model_copy(update={"name": HOSTILE})
    text = render_report_markdown(build_report(summaries_of([make_record(model=model)])))
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script" in text


def test_models_and_machines_are_chapters_of_their_own(make_record: Make) -> None:
    base = make_record()
    other = base.environment.model_copy(update={"machine": "bench-2"})
    report = build_report(
        summaries_of(
            [base, make_record(environment=other, record_id="b"), make_record(record_id="c")]
        )
    )
    assert [chapter.title for chapter in report.chapters] == [
        "Tiny-8x192",
        "Tiny-8x192 on bench-1",
        "Tiny-8x192 on bench-2",
    ]
    ids = [attrs["id"] for _, attrs in _Page(render_html(report)).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_what_is_written_lies_together(report: Report, tmp_path: Path) -> None:
    page = write_pages(report, tmp_path / "out")
    assert page == tmp_path / "out" / "report.html"
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    figures = re.findall(r"\]\((figures/[\w.-]+)\)", text)
    assert len(figures) == 10
    assert all((tmp_path / "out" / figure).is_file() for figure in figures)


def test_without_records_or_a_folder_there_is_one_sentence(report: Report, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no records to report on"):
        build_report(summaries_of([]))
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="name another folder with --out"):
        write_pages(report, tmp_path / "file")


def test_headings_become_fragments() -> None:
    assert anchor("Predicted against measured") == "predicted-against-measured"


def test_a_calibration_says_on_what_it_was_made_and_what_it_could_not_tell(
    records: list[Record], comparisons: list[Comparison], calibration: FitResult
) -> None:
    report = build_report(
        summaries_of(records), comparisons=comparisons, fits={subject(records[0]): calibration}
    )
    text = render_report_markdown(report)
    assert "fitted to 36 measurements of 9 of these very points" in text
    assert "- next: measure decode at two depths" in text
    assert "This calibration can be believed within its intervals." in text
    assert "- note: 2 disturbed rates of 1 record took no part" in text
    assert (
        "| host.flops_per_s | 1.5e+10 | 2e+11 | ± 14 % | identified | what prefill computes |"
        in text
    )
    assert (
        "| host.token_s | 0.0001 | 0.0001 | ± 100 % | leans on its prior: 2 % of its variance "
        "gone |" in text
    )
    assert "measure decode at two depths" in "".join(_Page(render_html(report)).text)
    untold = render_report_markdown(build_report(summaries_of(records), comparisons=comparisons))
    assert "With the coefficients that ship with oomph." in untold


def test_a_search_is_repeated_by_its_own_command(make_record: Make) -> None:
    environment = make_record().environment.model_copy(
        update={"backend": "phantom", "gpus": [{"name": "RTX $5090"}]}
    )
    config = {"n_ctx": 1024, "n_expert_used": 8, "type_k": "f16", "flash_attn": "on"}
    changes = {"sweep": "frontier", "environment": environment}
    records = [
        make_record(config=config, **changes),
        make_record(config=config | {"type_k": "q8_0"}, **changes),
    ]
    (section,) = [
        s
        for s in build_report(summaries_of(records)).chapters[0].sections
        if s.title == "How to repeat it"
    ]
    assert section.commands[0] == (
        "oomph frontier tiny.gguf --n-expert-used 8 --type-kv f16,q8_0 --flash-attn on --phantom "
        "'RTX $5090' --out results/frontier"
    )
