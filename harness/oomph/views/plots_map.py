"""The map of memory: n_ctx by n_expert_used, to scale, with the line where the card is full.

Stands apart from the bars because it also shows what nobody has measured: between records there is
the prediction. One colour scale, which ends with the card's memory, holds for all settings, so that
two maps can be compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from oomph.units import GIB, MIB, count
from oomph.views.map_squares import MapSquare, MemoryMap
from oomph.views.plots_memory import plain
from oomph.views.readings import experts_word
from oomph.views.style import GRID, INK, VERMILLION, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure


IN_GIB: Final = 10 * GIB
"""From here on the scale is in GiB."""
BANDS: Final = 16
"""Colours of the scale."""
WIDE: Final = 8
"""Largest by smallest context from which the axis is logarithmic."""
REACH: Final = 1.02
"""How far beyond the last context a frontier is still drawn."""
MOST_TICKS: Final = 6


def plot_map(
    charts: Mapping[str, MemoryMap], *, cards: bool, card_bytes: int | None = None
) -> "Figure":
    """A panel for each setting, by its name: rows of active experts along n_ctx, to scale, coloured
    by memory on one scale for all, which ends where the card does.

    What is predicted not to fit is hatched; the frontier is a line where it is predicted, a ring
    what ran, a cross what ran out of memory or was refused.
    """
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm

    known = [n for chart in charts.values() for s in chart.squares if (n := s.n_bytes)]
    top = card_bytes or max(known, default=1)
    colours = mpl.colormaps["cividis"].resampled(BANDS)
    rows = [max(len(chart.experts), 1) for chart in charts.values()]
    figure, panels = new_figure(
        height=1.15 + sum(0.34 + 0.2 * n for n in rows),
        rows=len(charts),
        ratios=tuple(0.5 + n for n in rows),
    )
    contexts = sorted({n for chart in charts.values() for n in chart.contexts})
    for axes, (name, chart) in zip(panels, charts.items(), strict=True):
        _draw_panel(axes, chart, top, colours)
        if name:
            axes.set_title(plain(name), loc="left", fontsize=8, color=INK)
    unit, word = (GIB, "GiB") if top >= IN_GIB else (MIB, "MiB")
    scale = ScalarMappable(
        BoundaryNorm([n * top / unit / BANDS for n in range(BANDS + 1)], BANDS), colours
    )
    bar = figure.colorbar(
        scale, ax=panels, orientation="horizontal", aspect=45, fraction=0.06, pad=0.02,
        ticks=[0, top / unit / 4, top / unit / 2, top / unit * 3 / 4, top / unit],
        format=_in_digits,
    )  # fmt: skip
    what = "VRAM" if cards else "memory"
    bar.set_label(f"{what}, {word}" + (", to the card's last" if card_bytes else ""), color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, colors=INK, length=2)
    figure.supylabel("n_expert_used", fontsize=9, color=INK)
    _scale_contexts(panels[-1], contexts)
    panels[-1].set_xlabel("n_ctx")
    _name_marks(figure, charts)
    return figure


def _in_digits(value: float, _position: object = None) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _draw_panel(axes: "Axes", chart: MemoryMap, top: int, colours: "Colormap") -> None:
    experts = chart.experts
    heights = _heights(experts)
    axes.grid(visible=False)
    for expert, (y, height) in zip(experts, heights, strict=True):
        row = sorted((s for s in chart.squares if s.n_expert_used == expert), key=lambda s: s.n_ctx)
        _draw_strip(axes, row, y, height, top, colours)
        frontier, (ran, full) = _within_reach(chart, expert), chart.measured(expert)
        if frontier is not None:
            ends = [y - height / 2, y + height / 2]
            axes.plot([frontier] * 2, ends, color=VERMILLION, linewidth=2, zorder=3)
        _draw_points(axes, row, y)
        if words := _frontier_words(ran, full, frontier):
            axes.annotate(
                words,
                (1, y),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=INK,
                annotation_clip=False,
            )
    axes.set_yticks([y for y, _ in heights], [experts_word(e) for e in experts], fontsize=7.5)
    lowest, highest = heights[0], heights[-1]
    axes.set_ylim(lowest[0] - 0.62 * lowest[1], highest[0] + 0.62 * highest[1])
    axes.tick_params(axis="y", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _within_reach(chart: MemoryMap, expert: int | None) -> int | None:
    """The predicted frontier of a row, None where it lies beyond what the row shows."""
    frontier = chart.predicted.get(expert)
    last = max(square.n_ctx for square in chart.squares if square.n_expert_used == expert)
    return frontier if frontier is not None and frontier <= last * REACH else None


def _heights(experts: Sequence[int | None]) -> list[tuple[float, float]]:
    """Where each row lies and how high it is: to scale, unless rows would be too thin for their
    names."""
    values = [float(expert or 0) for expert in experts]
    gaps = [after - before for before, after in pairwise(values)]
    if not gaps or max(values) - min(values) > 1.7 * len(values) * min(gaps):
        return [(float(place), 0.86) for place in range(len(values))]
    return [(value, 0.86 * min(gaps)) for value in values]


def _draw_strip(
    axes: "Axes", row: Sequence[MapSquare], y: float, height: float, top: int, colours: "Colormap"
) -> None:
    """Bands of colour along the contexts; between two of them memory is taken to grow in a
    line."""
    from matplotlib.patches import Rectangle

    known = [(square.n_ctx, square.n_bytes) for square in row if square.n_bytes is not None]
    for start, end, band in _bands(known, top):
        box = (start, y - height / 2), end - start, height
        if band >= BANDS:
            axes.add_patch(
                Rectangle(*box, fill=False, hatch="////", edgecolor=GRID, linewidth=0, zorder=1)
            )
        else:
            axes.add_patch(Rectangle(*box, facecolor=colours(band), linewidth=0, zorder=1))
    ends = [square.n_ctx for square in row]
    axes.update_datalim([(min(ends), y), (max(ends), y)])


def _bands(known: Sequence[tuple[int, int]], top: int) -> Iterator[tuple[float, float, int]]:
    """Pieces of a row in which memory stays within one of BANDS equal parts of `top` (the last is
    beyond it): from, to, which."""
    step = top / BANDS
    pieces: list[tuple[float, float, int]] = []
    for (left, low), (right, high) in pairwise(known):
        cuts = {float(left), float(right)}
        for band in range(1, BANDS + 1):
            if low != high and 0 < (share := (band * step - low) / (high - low)) < 1:
                cuts.add(left + share * (right - left))
        for start, end in pairwise(sorted(cuts)):
            middle = low + ((start + end) / 2 - left) / (right - left) * (high - low)
            band = min(int(middle / step), BANDS)
            if pieces and pieces[-1][2] == band:
                pieces[-1] = (pieces[-1][0], end, band)
            else:
                pieces.append((start, end, band))
    yield from pieces


def _draw_points(axes: "Axes", row: Sequence[MapSquare], y: float) -> None:
    for square in row:
        if square.outcome == "ok":
            look: dict[str, Any] = {
                "marker": "o",
                "markersize": 4.5,
                "color": "#ffffff",
                "zorder": 4,
            }
            axes.plot([square.n_ctx], [y], markeredgecolor="#000000", markeredgewidth=0.8, **look)
        elif square.failed:
            look = {"marker": "X", "markersize": 6, "color": VERMILLION, "zorder": 5}
            axes.plot([square.n_ctx], [y], markeredgecolor="#ffffff", markeredgewidth=0.6, **look)


def _frontier_words(ran: int | None, full: int | None, predicted: int | None) -> str:
    """What a row's end says: what ran where the next ran out, and in brackets what was predicted if
    it is another."""
    if ran is None or full is None:
        return "" if predicted is None else f"({count(predicted)})"
    return count(ran) if predicted in (None, ran) else f"{count(ran)} ({count(predicted)})"


def _scale_contexts(axes: "Axes", contexts: Sequence[int]) -> None:
    """n_ctx to scale for all panels, in powers of two where it spreads, with round ticks."""
    from matplotlib.ticker import NullLocator

    low, high = contexts[0], contexts[-1]
    is_log = high >= WIDE * low
    step = 1024
    while (high - low) / step > MOST_TICKS:
        step *= 2
    ticks = (
        [1 << power for power in range(6, 24) if low <= 1 << power <= high]
        if is_log
        else list(range(-(-low // step) * step, high + 1, step))
    ) or list(contexts)
    while len(ticks) > MOST_TICKS:
        ticks = ticks[::-2][::-1]
    if is_log:
        axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [count(tick) for tick in ticks], fontsize=7.5)
    axes.xaxis.set_minor_locator(NullLocator())
    margin, pad = (high / low) ** 0.02, 0.02 * (high - low) or 0.02 * high
    axes.set_xlim((low / margin, high * margin) if is_log else (low - pad, high + pad))


def _name_marks(figure: "Figure", charts: Mapping[str, MemoryMap]) -> None:
    from matplotlib.lines import Line2D

    squares = [square for chart in charts.values() for square in chart.squares]
    reached = [_within_reach(c, e) is not None for c in charts.values() for e in c.experts]
    ring: dict[str, Any] = {"color": "#ffffff", "markeredgecolor": INK}
    marks: tuple[tuple[str, bool, dict[str, Any]], ...] = (
        ("predicted frontier", any(reached), {"color": VERMILLION}),
        ("ran", any(s.outcome == "ok" for s in squares), {"marker": "o", "ls": "none", **ring}),
        (
            "did not run",
            any(s.failed for s in squares),
            {"marker": "X", "ls": "none", "color": VERMILLION},
        ),
    )
    handles = [Line2D([], [], label=name, **look) for name, there, look in marks if there]
    figure.legend(
        handles=handles,
        loc="outside upper left",
        ncols=3,
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        handlelength=1.4,
    )
