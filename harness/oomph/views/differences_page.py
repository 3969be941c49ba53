"""Two result folders as one HTML page: the verdict, the worst changes drawn, and every table."""

from pathlib import Path
from typing import Final

from oomph.analysis.paired_runs import RunsCompared
from oomph.files import write_file
from oomph.units import counted
from oomph.views.differences import (
    alone_table,
    changes_table,
    differences_table,
    headline,
    overall_table,
)
from oomph.views.plots_differences import drawn_differences, plot_differences
from oomph.views.svg import render_svg
from oomph.views.table import for_page
from oomph.views.what_if_page import content_hash, page_script, page_style, page_templates

PAGE: Final = Path("compare.html")


def render_comparison(
    found: RunsCompared, *, before: str, after: str, threshold: float = 0.0, said: str | None = None
) -> str:
    """The page; `before` and `after` name the folders, `threshold` is the fraction from which worse
    is a regression, `said` how it was asked for."""
    tables = (
        ("By quantity", overall_table(found.overall)),
        ("Regressions first", differences_table(found.differences, threshold=threshold)),
        ("Around the points", changes_table(found.changes)),
        ("Why points did not pair", alone_table(found)),
    )
    drawn = drawn_differences(found.differences)
    figure = plot_differences(drawn, threshold=threshold) if drawn else None
    script = page_script(asks=False)
    return (
        page_templates()
        .get_template("compare.html.jinja")
        .render(
            before=before,
            after=after,
            headline=headline(found, threshold=threshold, said=said),
            evidence=_evidence(found),
            figure=figure and render_svg(figure, name="differences", alt=_caption(len(drawn))),
            caption=_caption(len(drawn)),
            tables=[(title, for_page(table)) for title, table in tables if table.rows],
            style=page_style(),
            script=script,
            script_hash=content_hash(script),
        )
    )


def _evidence(found: RunsCompared) -> list[str]:
    """What the verdict rests on."""
    alike = f"; {found.n_failed_alike} of them failed on both sides alike"
    pairs = f"{counted(found.n_pairs, 'pair')} of points with the same knobs and the same work"
    sentences = [pairs + (alike if found.n_failed_alike else "") + "."]
    if found.only_before or found.only_after:
        sentences.append(
            f"Without a partner: {found.only_before} before, {found.only_after} after; the last "
            "table says why."
        )
    sentences.append(
        "A rate is worse by more than chance where the 95 % interval of its raw samples leaves out "
        "no change; memory has one figure a side and must move by more than 1 %."
    )
    return sentences


def _caption(n_drawn: int) -> str:
    return (
        f"After against before: {counted(n_drawn, 'change')}, the worst of each quantity, with "
        "95 % intervals. Squares are regressions, triangles are better, circles are neither."
    )


def write_comparison(page: str, path: Path) -> Path:
    """Write the page, whole or not at all; StoreError where it cannot be written."""
    return write_file(path, page, otherwise="name another file with --out")
