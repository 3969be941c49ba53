"""A page of very many records shows a sample and says so, and asks each record once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from oomph.calibrate.comparison import Comparison
from oomph.records import summary as summary_module
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.views.figures import MOST_BARS, MOST_DRAWN, fit_pictures, memory_pictures
from oomph.views.map_squares import MOST_CONTEXTS, memory_map, thinned
from oomph.views.material import Material
from oomph.views.plots_quality import TradePoint, not_beaten, sampled_trades
from oomph.views.report import build_report, render_report_markdown
from oomph.views.sections import build_chapter
from oomph.views.table import MOST_ROWS, Cell, Table, for_page

Make = Callable[..., Record]


def test_a_long_table_is_cut_in_even_steps_and_says_so() -> None:
    rows = tuple((Cell(str(n), n), Cell("x")) for n in range(3 * MOST_ROWS))
    table = Table(caption="All", columns=("n", "word"), rows=rows)
    shown = for_page(table)
    assert len(shown.rows) == MOST_ROWS
    assert (shown.rows[0], shown.rows[-1]) == (rows[0], rows[-1])
    assert shown.caption.startswith("All. 1,000 of 3,000 rows, in even steps")
    assert shown.is_numeric(0)
    assert not shown.is_numeric(1)
    assert for_page(replace(table, rows=rows[:MOST_ROWS])).caption == "All"


def test_a_scatter_draws_at_most_so_many_measurements(comparisons: list[Comparison]) -> None:
    many = [
        replace(comparisons[0], measured=float(n), predicted=n * 1.1)
        for n in range(1, MOST_DRAWN + 500)
    ]
    (picture,) = fit_pictures(many)
    (points,) = [line for line in picture.figure.axes[1].lines if len(line.get_xdata()) > 2]
    assert len(points.get_xdata()) == MOST_DRAWN
    assert "1,000 of 1,499 measurements are drawn, in even steps" in picture.caption
    assert "1499 measurements" in picture.alt
    assert picture.table is not None
    assert len(picture.table.rows) == MOST_DRAWN


def test_bars_and_maps_of_very_many_contexts_are_thinned(make_record: Make) -> None:
    contexts = range(1024, 1024 * (MOST_BARS + 21), 1024)
    records = summaries_of(make_record(n_ctx=n, n_expert_used=8) for n in contexts)
    full = make_record(n_ctx=contexts[-2] + 1, outcome={"label": "oom_kv"})
    bars, chart = memory_pictures(Material(summaries=summaries_of([full]) + records))
    assert f"{MOST_BARS} of {len(contexts) + 1} points are drawn" in bars.caption
    assert "contexts are drawn" in chart.caption
    whole = memory_map(records, {})
    assert len(thinned(whole).contexts) <= MOST_CONTEXTS + 2
    assert thinned(whole).measured(8) == whole.measured(8)


def test_of_many_trades_those_that_nothing_beats_stay() -> None:
    points = [
        TradePoint(
            n_expert_used=1 + n % 8,
            n_ctx=1024,
            decode_tokens_per_s=n % 97,
            perplexity=(n * 31) % 101,
            n_bytes=1 + (n * 7) % 53,
        )
        for n in range(600)
    ]
    slow = [p for p in points if not any(p.dominated_by(other) for other in points)]
    assert list(not_beaten(points)) == slow
    shown = sampled_trades(points, 400)
    assert len(shown) == 400
    assert set(slow) <= set(shown)


def test_a_report_asks_each_record_once(make_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(record: Record) -> tuple[str, ...]:
        asked.append(record.record_id)
        return ()

    monkeypatch.setattr(summary_module, "remarks", counted)
    records = [make_record(record_id=f"r{n}", n_ctx=1024 + n) for n in range(5)]
    render_report_markdown(build_report(summaries_of(records)))
    assert asked == [record.record_id for record in records]


def test_a_chapter_of_many_points_says_how_many_it_shows(make_record: Make) -> None:
    record = make_record()
    many = [record.model_copy(update={"record_id": str(n)}) for n in range(MOST_ROWS + 1)]
    chapter = build_chapter(Material(summaries=summaries_of(many)))
    (points,) = [section for section in chapter.sections if section.title == "Every point"]
    assert points.text.startswith("1,000 of 1,001 points are shown")
    assert len(points.tables[0].rows) == MOST_ROWS
