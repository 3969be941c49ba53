"""Figures are tested by what they hold: marks, labels and axes, not pixels."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.container import BarContainer, ErrorbarContainer

from oomph.calibrate.comparison import Comparison
from oomph.errors import StoreError
from oomph.estimate.prediction import Prediction
from oomph.records.schema import Record
from oomph.records.summary import summaries_of
from oomph.units import MIB
from oomph.views.by_experts import quality_by_experts, rates_by_experts
from oomph.views.plots_fit import agreements, plot_predicted_vs_measured
from oomph.views.plots_memory import memory_bars, plot_memory
from oomph.views.plots_quality import TradePoint, plot_quality, plot_trade, trade_points
from oomph.views.plots_speed import plot_speed_by_depth
from oomph.views.style import INK, new_figure, spread_axis
from oomph.views.svg import (
    PAGE_COLOURS,
    render_figure,
    render_svg,
    share_styles,
    write_figure,
)

Make = Callable[..., Record]


def _texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_bars_stand_measured_beside_predicted(
    records: list[Record], predictions: dict[str, Prediction]
) -> None:
    bars = memory_bars(summaries_of(records[:3]), predictions, by=lambda each: each.n_ctx)
    assert [bar.at for bar in bars] == [1024, 2048, 4096]
    figure = plot_memory(bars, axis="n_ctx", cards=False)
    axes = figure.axes[0]
    stacked = [
        c for c in axes.containers if isinstance(c, BarContainer) and c.patches[0].get_height() > 0
    ]
    # measured: weights, KV cache, compute, output; predicted: without output
    assert len(stacked) == 3 * (4 + 3)
    tops = [patch.get_y() + patch.get_height() for c in stacked for patch in c.patches]
    assert max(tops) == pytest.approx(94 + 90 + 132 + 0.19, abs=0.01)
    assert sum(bool(c.patches[0].get_hatch()) for c in stacked) == 9
    assert axes.get_ylabel() == "memory, MiB"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1,024", "2,048", "4,096"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        "weights",
        "KV cache",
        "compute buffer",
        "output",
    ]


def test_a_failed_point_has_a_cross_at_its_predicted_height_and_no_measured_bar(
    records: list[Record], predictions: dict[str, Prediction]
) -> None:
    bars = memory_bars(summaries_of(records[-2:]), predictions, by=lambda each: each.n_ctx)
    assert [bar.failed for bar in bars] == ["oom_kv", "oom_kv"]
    assert all(not bar.measured for bar in bars)
    figure = plot_memory(bars, axis="n_ctx", cards=True)
    crosses = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
    assert [line.get_ydata()[0] for line in crosses] == pytest.approx(
        [94 + 45 + 114, 94 + 90 + 130], abs=0.01
    )
    assert _texts(figure) == ["no room for the cache"] * 2
    assert figure.axes[0].get_ylabel() == "VRAM, MiB"


def test_of_two_points_at_one_place_the_one_that_ran_is_drawn(
    make_record: Make, make_failure: Make
) -> None:
    failed, ran = make_failure(n_ctx=1024), make_record(n_ctx=1024)
    for order in ([failed, ran], [ran, failed]):
        (bar,) = memory_bars(summaries_of(order), {}, by=lambda each: each.n_ctx)
        assert bar.failed is None
        assert bar.predicted == {}


def test_speed_has_a_line_for_each_number_of_experts(records: list[Record]) -> None:
    series = rates_by_experts(summaries_of(records), "tg")
    assert list(series) == [4, 6, 8]
    assert [rate.n_depth for rate in series[8]] == [0, 2048]  # of the roomiest context
    figure = plot_speed_by_depth(series, kind="tg")
    axes = figure.axes[0]
    assert len([c for c in axes.containers if isinstance(c, ErrorbarContainer)]) == 3
    assert axes.get_ylabel() == "decode (tg32), tokens/s"
    assert axes.get_ylim()[0] == 0
    assert axes.xaxis.get_major_formatter()(2048) == "d2048"  # as llama-bench writes it
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["4", "6", "8"]


def test_a_point_under_a_memory_limit_is_no_speed(records: list[Record], make_record: Make) -> None:
    limited = make_record(limits={"memory_bytes": 10**9})
    assert rates_by_experts(summaries_of([limited]), "pp") == {}
    assert trade_points(summaries_of([limited])) == ()


def test_quality_is_drawn_with_its_error(records: list[Record]) -> None:
    quality = quality_by_experts(summaries_of(records))
    figure = plot_quality(quality)
    (line,) = [c for c in figure.axes[0].containers if isinstance(c, ErrorbarContainer)]
    assert line.has_yerr
    assert list(line.lines[0].get_xdata()) == [4, 6, 8]
    assert _texts(figure) == ["99.5", "49.4", "22.2"]
    assert figure.axes[0].get_yscale() == "log"


def test_only_points_that_nothing_beats_are_named(records: list[Record]) -> None:
    good = TradePoint(
        n_expert_used=8, n_ctx=1024, decode_tokens_per_s=50, perplexity=20, n_bytes=100
    )
    slow = TradePoint(
        n_expert_used=7, n_ctx=1024, decode_tokens_per_s=40, perplexity=30, n_bytes=100
    )
    roomy = TradePoint(
        n_expert_used=8, n_ctx=4096, decode_tokens_per_s=40, perplexity=20, n_bytes=300
    )
    assert slow.dominated_by(good)
    assert not good.dominated_by(slow)
    assert not good.dominated_by(good)
    assert not roomy.dominated_by(good)
    figure = plot_trade([good, slow, roomy], cards=False)
    assert _texts(figure) == ["8 experts\nn_ctx 1,024 to 4,096"]
    assert len(trade_points(summaries_of(records))) == 9


def test_predictions_are_judged_by_quantity(comparisons: list[Comparison]) -> None:
    prefill, decode = agreements(comparisons)
    assert (prefill.quantity, prefill.n, prefill.within_band) == ("prefill_tokens_per_s", 18, 1.0)
    assert (decode.n, decode.within_band) == (18, 0.0)
    assert prefill.median_error == pytest.approx(0.1)
    figure = plot_predicted_vs_measured(comparisons)
    above, below, above_2, below_2 = figure.axes  # a panel for each quantity
    for axes in (below, below_2):
        (points,) = [
            line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())
        ]
        assert all(value == pytest.approx(10) for value in points.get_ydata())
    assert len(above.collections[0].get_segments()) == 18  # intervals
    assert above.get_ylabel() == "predicted, t/s"
    assert above.get_xlim() == above.get_ylim()  # so that the line of equality is the diagonal
    assert _texts(figure) == ["n = 18\nmedian 10.0 %, worst 10.0 %\n100 % in the 90 % interval"]
    assert above_2.get_title(loc="left") == "decode"


def test_memory_that_is_equal_is_said_to_be_and_one_value_has_room_about_it() -> None:
    same = Comparison(
        record_id="r",
        label="l",
        quantity="weights_bytes",
        device="CUDA0",
        n_depth=None,
        predicted=100.0 * MIB,
        measured=100.0 * MIB,
    )
    figure = plot_predicted_vs_measured([same, same])
    assert _texts(figure) == ["n = 2\nequal to 0.01 MiB"]
    low, high = figure.axes[0].get_xlim()
    assert low < 99
    assert high > 101


def test_the_cards_memory_is_a_line_where_bars_come_near_it(
    records: list[Record], predictions: dict[str, Prediction]
) -> None:
    bars = memory_bars(summaries_of(records[:3]), predictions, by=lambda each: each.n_ctx)
    near = plot_memory(bars, axis="n_ctx", cards=True, card_bytes=400 * MIB).axes[0]
    assert [line.get_ydata()[0] for line in near.lines] == [400]
    assert near.get_ylim()[1] > 400
    far = plot_memory(bars, axis="n_ctx", cards=True, card_bytes=10_000 * MIB).axes[0]
    assert not far.lines
    assert far.texts[-1].get_text() == "the card: 10,000 MiB, far above"


@pytest.mark.parametrize(
    ("values", "scale"),
    [([10, 1000], "log"), ([10, 12], "linear"), ([0, 1000], "linear"), ([], "linear")],
)
def test_an_axis_is_logarithmic_only_where_the_values_are_far_apart(
    values: list[float], scale: str
) -> None:
    _, (axes,) = new_figure()
    spread_axis(axes, "y", values)
    assert axes.get_yscale() == scale


def test_a_figure_in_a_page_has_only_the_pages_colours_own_ids_and_an_alternative(
    records: list[Record],
) -> None:
    figure = plot_speed_by_depth(rates_by_experts(summaries_of(records), "pp"), kind="pp")
    svg = render_svg(figure, name="speed", alt='says "much" & <more>')
    assert svg.startswith('<svg role="img" aria-label="says &quot;much&quot; &amp; &lt;more&gt;"')
    assert not any(colour in svg for colour in PAGE_COLOURS)
    assert "var(--blue)" in svg
    assert "<metadata" not in svg
    assert all(part.startswith("speed-") for part in svg.split(' id="')[1:])
    assert all(part.startswith("speed-") for part in svg.split("url(#")[1:])
    assert render_svg(figure, name="speed", alt="") != render_svg(figure, name="other", alt="")


def test_what_is_not_seen_is_not_written() -> None:
    figure, (axes,) = new_figure()
    axes.plot([1, 2, 3, 4], [1, 2, 3, 4], marker="o", linestyle="none")
    svg = render_svg(figure, name="x", alt="")
    assert "<metadata" not in svg
    assert "font-family:" not in svg
    assert "<g></g>" not in svg
    assert not re.search(r"\d\.\d{3}", svg)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    assert set(re.findall(r' id="([^"]+)"', svg)) == used


def test_looks_that_figures_share_are_said_once() -> None:
    drawn = dict.fromkeys(
        range(3), '<svg><path style="fill:none"/><text style="x:1">a</text></svg>'
    )
    shared, sheet = share_styles(drawn)
    assert sheet == ".s0{fill:none}.s1{x:1}"
    assert shared[0] == '<svg><path class="s0"/><text class="s1">a</text></svg>'


def test_on_paper_ink_is_dark_and_only_there() -> None:
    figure, (axes,) = new_figure()
    axes.set_xlabel("x", color=INK)
    assert render_figure(figure, "x", ".pdf").startswith(b"%PDF")
    assert axes.xaxis.label.get_color() == INK


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_a_figures_file_is_the_same_each_time(
    suffix: str, tmp_path: Path, records: list[Record]
) -> None:
    written = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = write_figure(
            plot_quality(quality_by_experts(summaries_of(records))),
            tmp_path / folder / f"quality{suffix}",
        )
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert len(written[0]) > 1000


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"missing/x\.svg cannot be written"):
        write_figure(new_figure()[0], tmp_path / "missing" / "x.svg")


def test_what_was_disturbed_is_drawn_hollow_and_counts_in_no_error(
    comparisons: list[Comparison],
) -> None:
    speeds = [c for c in comparisons if c.quantity == "decode_tokens_per_s"]
    far = dataclasses.replace(speeds[0], measured=speeds[0].measured / 50, is_disturbed=True)
    (quiet,), (both,) = agreements(speeds), agreements([*speeds, far])
    assert (both.n, both.worst_error, both.n_disturbed) == (quiet.n, quiet.worst_error, 1)
    figure = plot_predicted_vs_measured([*speeds, far])
    above, below = figure.axes
    (hollow,) = [line for line in above.lines if line.get_markerfacecolor() == "none"]
    assert len(hollow.get_xdata()) == 1
    assert below.get_ylim()[1] < 20  # what is quiet sets the scale
    (arrow,) = [line for line in below.lines if line.get_marker() == "^"]
    assert arrow.get_ydata()[0] < below.get_ylim()[1]
    assert "n = 18, 1 disturbed (hollow)" in _texts(figure)[0]
    assert "1 off the lower scale (arrows)" in _texts(figure)[0]
