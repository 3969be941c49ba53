"""The site opens from a folder: its links lead somewhere, and nothing scrolls sideways or errs."""

import re
import shlex
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer.main

from oomph.cli.app import app
from oomph.errors import OomphError
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.views.peers import peers_chapter, read_peers
from oomph.views.site import Site, result_folders, write_site

# on busy cores a headless Chromium may not draw a frame within its virtual time
pytestmark = pytest.mark.flaky(reruns=1)

Dom = Callable[..., str]
Opened = Callable[..., str]
MODEL = "qwen3-0.6b"
NARROW = 400


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Site:
    """Of a demo on two machines, a few points each, and of the repository's errors of others."""
    results = tmp_path_factory.mktemp("results")
    for machine in ("epyc-2-cores", "xeon-2-cores"):
        source = repository / "results" / machine / "demo" / "records.jsonl"
        records = [Record.model_validate_json(line) for line in source.read_bytes().splitlines()]
        with Store(results / machine / "a demo") as store:
            for record in records[:5]:
                store.append(record)
    peers = (repository / "results/peers.toml").read_text(encoding="utf-8")
    (results / "peers.toml").write_text(peers, encoding="utf-8")
    return write_site(results, tmp_path_factory.mktemp("site"), models=[MODEL])


def pages(site: Site) -> list[Path]:
    return sorted(site.index.parent.rglob("*.html"))


def test_the_index_has_every_page(site: Site) -> None:
    names = [page.relative_to(site.index.parent).as_posix() for page in pages(site)]
    assert names == [
        "epyc-2-cores/a demo/report.html",
        "index.html",
        "machines.html",
        "peers.html",
        f"what-if/{MODEL}.html",
        "what-if.html",
        "xeon-2-cores/a demo/report.html",
    ]
    index = site.index.read_text(encoding="utf-8")
    assert 'href="epyc-2-cores/a%20demo/report.html"' in index
    for told in ("What does it take, and how fast is it", "AMD EPYC · 2026-11-22", "0c1e570"):
        assert told in index


def test_every_link_leads_to_a_file_beside_it(site: Site) -> None:
    for page in pages(site):
        html = page.read_text(encoding="utf-8")
        links = re.findall(r'<a [^>]*href="([^"#]*)', html)
        links += re.findall(r'<script src="([^"]*)"', html)
        assert links
        for link in links:
            assert not link.startswith(("http", "/"))
            assert (page.parent / unquote(unescape(link))).is_file(), f"{page.name}: {link}"


def test_no_page_is_large_and_none_asks_a_network(site: Site) -> None:
    for page in pages(site):
        html = page.read_text(encoding="utf-8")
        assert len(html.encode()) < 400_000
        assert "default-src 'none'" in html
        assert not re.search(r'(?:src|href)="(?:https?:)?//', html)


def framed(shown: list[tuple[Path, int]]) -> str:
    """A document with these pages in frames of these widths: a browser takes a second to start."""
    return "<!doctype html>" + "".join(
        f'<iframe src="{page.as_uri()}" style="width:{width}px;height:800px"></iframe>\n'
        for page, width in shown
    )


def measure(dom: Dom, shown: list[tuple[Path, int]]) -> list[tuple[int, int]]:
    """How wide and how high each page becomes in a frame of its width."""
    told = """<script>
    addEventListener("load", () => {
      document.body.dataset.sizes = [...document.querySelectorAll("iframe")].map((frame) => {
        const root = frame.contentDocument.documentElement;
        return `${root.scrollWidth} ${root.scrollHeight}`;
      });
    });</script>"""
    found = re.search(r'data-sizes="([^"]+)"', dom(framed(shown) + told, same_origin=True))
    assert found, "the pages were not measured"
    sizes = [tuple(map(int, size.split())) for size in found[1].split(",")]
    return [(wide, high) for wide, high in sizes]


def test_nothing_scrolls_sideways_and_a_page_is_short_until_unfolded(dom: Dom, site: Site) -> None:
    shown = [(page, width) for page in pages(site) for width in (NARROW, 1280)]
    for (page, width), (wide, high) in zip(shown, measure(dom, shown), strict=True):
        assert wide <= width, page.name
        assert high < 4 * 800, (page.name, width)


def test_no_page_says_an_error_to_the_console(console: Opened, site: Site, tmp_path: Path) -> None:
    wrong, frames = tmp_path / "wrong.html", tmp_path / "frames.html"
    wrong.write_text("<!doctype html><script>nowhere()</script>", encoding="utf-8")
    frames.write_text(framed([(page, 1280) for page in (*pages(site), wrong)]), encoding="utf-8")
    said = re.findall(r"CONSOLE.*", console(frames))
    assert [line for line in said if wrong.name in line], "what a frame says is not heard"
    assert not [line for line in said if wrong.name not in line]


def test_a_long_table_says_what_it_hides_and_unfolds(dom: Dom, site: Site) -> None:
    page = next(each for each in pages(site) if "epyc" in each.as_posix())
    html = page.read_text(encoding="utf-8")
    (rows,) = re.findall(r"Show all (\d+) rows", html)[:1]
    assert f"{int(rows) - 10} of {rows} rows are hidden" in html
    unfold = "<script>document.querySelector('button.unfold').click()</script></body>"
    shown = dom(re.sub(r"<meta http-equiv=.*?>", "", html).replace("</body>", unfold))
    assert shown.count(' long all"') == 1


def test_the_search_carries_the_card_to_a_models_page(dom: Dom, site: Site) -> None:
    search = (site.index.parent / "what-if.html").read_text(encoding="utf-8")
    assert f'href="what-if/{MODEL}.html#card=NVIDIA%20GeForce%20RTX%204090"' in dom(search)
    page = site.index.parent / "what-if" / f"{MODEL}.html"
    shown = dom(page, fragment="card=NVIDIA%20GeForce%20RTX%203060")
    assert "NVIDIA GeForce RTX 3060" in shown.partition('class="verdict"')[2][:200]


def test_others_errors_are_those_of_the_documents(repository: Path) -> None:
    documents = (repository / "docs/speed.md").read_text(encoding="utf-8").replace("*", "")
    (table,) = read_peers(repository / "results/peers.toml").table
    assert len(table.rows) == 4
    for name, *figures in table.rows:
        line = " | ".join(figures)
        assert f"| {line} |" in documents, name
    assert peers_chapter(read_peers(repository / "results/peers.toml")).tables[0].rows


def test_the_workflow_publishes_it_with_what_it_installs(repository: Path) -> None:
    workflow = (repository / ".github/workflows/site.yml").read_text(encoding="utf-8")
    (line,) = re.findall(r"- run: (oomph .*)", workflow)
    _, name, *rest = shlex.split(line)
    typer.main.get_command(app).commands[name].make_context(name, rest)  # type: ignore[attr-defined]
    (extras,) = re.findall(r'pip install "\.\[(.*?)\]"', workflow)
    known = (repository / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{extra} = \[", known, re.MULTILINE) for extra in extras.split(","))
    assert "path: site" in workflow


def test_what_is_no_results_or_no_model_is_refused(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(OomphError, match="holds no records"):
        write_site(tmp_path, tmp_path / "out")
    (tmp_path / "peers.toml").write_text("[[table]]\ntitle = 1\n")
    with pytest.raises(OomphError, match=r"peers\.toml: table"):
        read_peers(tmp_path / "peers.toml")
    days = list(result_folders(repository / "results/h200"))
    assert [day.name for day in days] == ["first-card", "quiet-ladder"]
