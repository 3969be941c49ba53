"""The map shows what was measured, what is predicted between, and both frontiers."""

from collections.abc import Callable

import pytest

from oomph.advise.memory_map import MemoryGrid
from oomph.estimate.prediction import Prediction
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.units import GIB, MIB
from oomph.views.data_tables import map_table
from oomph.views.map_squares import map_in_words, memory_map
from oomph.views.plots_map import plot_map

Make = Callable[..., Record]


def _texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.fixture
def cramped(records: list[Record], make_record: Make) -> list[Record]:
    """The nine points that ran, and one more context that did not."""
    full = [
        make_record(
            n_ctx=8192,
            n_expert_used=e,
            record_id=f"x{e}",
            outcome={"label": "oom_kv"},
            buffers={},
            timings=[],
        )
        for e in (4, 6)
    ]
    return [*records[:9], *full]


@pytest.fixture
def grid(cramped: list[Record]) -> MemoryGrid:
    n_bytes = {
        (n_ctx, e): n_ctx * MIB // 8 for n_ctx in (1024, 2048, 4096, 8192, 16384) for e in (4, 6, 8)
    }
    ids = frozenset(record.record_id for record in cramped)
    return MemoryGrid(record_ids=ids, n_bytes=n_bytes, frontier={4: 6144, 6: 4096, 8: 99999})


def test_each_tried_square_is_a_ring_or_a_cross_where_its_context_is(
    cramped: list[Record], predictions: dict[str, Prediction]
) -> None:
    chart = memory_map(summaries_of(cramped), predictions)
    assert len(chart.squares) == 11
    axes = plot_map({"": chart}, cards=False).axes[0]
    marks = [(line.get_marker(), line.get_xdata()[0]) for line in axes.lines]
    assert sorted(marks) == sorted(
        [("o", n_ctx) for n_ctx in (1024, 2048, 4096)] * 3 + [("X", 8192)] * 2
    )


def test_untried_squares_hold_the_prediction_and_colours_end_with_the_card(
    cramped: list[Record], grid: MemoryGrid
) -> None:
    chart = memory_map(summaries_of(cramped), {}, grid)
    assert len(chart.squares) == 15
    told = {(s.n_ctx, s.n_expert_used): (s.n_bytes, s.measured, s.outcome) for s in chart.squares}
    assert told[16384, 8] == (2048 * MIB, False, None)
    assert told[1024, 8] == (round(224.69 * MIB), True, "ok")
    card = 1024 * MIB
    axes = plot_map({"": chart}, cards=True, card_bytes=card).axes[0]
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert len(hatched) == 3
    assert hatched[-1].get_x() == pytest.approx(8192)  # where 8 experts reach the card's end


def test_the_measured_frontier_lies_between_what_ran_and_what_did_not(
    cramped: list[Record],
) -> None:
    chart = memory_map(summaries_of(cramped), {})
    assert chart.measured(4) == chart.measured(6) == (4096, 8192)
    assert chart.measured(8) == (4096, None)
    texts = _texts(plot_map({"": chart}, cards=False))
    assert texts == ["4,096", "4,096"]  # of the rows that ended


def test_the_predicted_frontier_is_where_it_is_predicted(
    cramped: list[Record], grid: MemoryGrid
) -> None:
    figure = plot_map({"": memory_map(summaries_of(cramped), {}, grid)}, cards=True)
    lines = [line for line in figure.axes[0].lines if line.get_linewidth() == 2]
    assert [line.get_xdata()[0] for line in lines] == [6144, 4096]  # 99,999 is off the axis
    assert _texts(figure) == ["4,096 (6,144)", "4,096"]
    (legend,) = figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["predicted frontier", "ran", "did not run"]


def test_settings_share_one_scale_and_one_axis(
    cramped: list[Record], grid: MemoryGrid, make_record: Make
) -> None:
    other = [make_record(n_ctx=n_ctx, record_id=f"y{n_ctx}") for n_ctx in (512, 1024)]
    charts = {
        "KV f16": memory_map(summaries_of(cramped), {}, grid),
        "KV q8_0": memory_map(summaries_of(other), {}),
    }
    one, two, scale = plot_map(charts, cards=True, card_bytes=2048 * MIB).axes
    assert one.get_title(loc="left") == "KV f16"
    assert one.get_xlim() == two.get_xlim()
    assert one.get_xscale() == "log"
    assert scale.get_xlim() == (0, 2048)


def test_a_card_is_shown_by_its_peak_and_large_ones_in_gib(make_record: Make) -> None:
    base = make_record()
    environment = base.environment.model_copy(update={"backend": "cuda"})
    vram = [{"probe": "nvml", "quantity": "vram", "device": "CUDA0", "peak_bytes": 12 * GIB}]
    record = make_record(
        environment=environment, memory=vram, buffers={"model_mib": {"CUDA0": [5000.0]}}
    )
    chart = memory_map(summaries_of([record]), {})
    assert chart.squares[0].n_bytes == 12 * GIB
    figure = plot_map({"": chart}, cards=True, card_bytes=24 * GIB)
    assert figure.axes[1].get_xlabel() == "VRAM, GiB, to the card's last"


def test_an_outcome_is_no_mathematics_and_a_dense_model_has_one_row(make_record: Make) -> None:
    failed = make_record(n_expert_used=None, outcome={"label": "oom_$x$"}, buffers={}, reported={})
    chart = memory_map(summaries_of([failed]), {})
    figure = plot_map({"$x$": chart}, cards=False)
    assert r"\$x\$" in figure.axes[0].get_title(loc="left")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["not set"]
    assert map_in_words(chart) == "n_expert_used not set: 1,024 — oom_$x$"


def test_the_table_says_what_the_map_shows(cramped: list[Record], grid: MemoryGrid) -> None:
    table = map_table({"KV f16": memory_map(summaries_of(cramped), {}, grid)})
    rows = [[cell.text for cell in row] for row in table.rows]
    assert ["KV f16", "8", "1,024", "224.7", "measured", "ok", "99,999"] in rows
    assert ["KV f16", "4", "8,192", "—", "predicted", "oom_kv", "6,144"] in rows
    assert ["KV f16", "6", "16,384", "2,048.0", "predicted", "not tried", "4,096"] in rows
