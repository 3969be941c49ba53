"""How figures look: one palette, one width, one kind of axis.

Stands apart so that the plots say only what they show. Colours are Okabe and Ito's, told apart by
every kind of colour vision. Ink and grid are greys that stand on white and on black alike; in a
page each colour becomes a CSS variable, so that the page's scheme decides.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

INK: Final = "#757b83"
GRID: Final = "#9aa0a8"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, YELLOW = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#e8d92f",
)
SERIES: Final = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
COMPONENT_COLOURS: Final[Mapping[str, str]] = {
    "weights": BLUE,
    "kv_cache": ORANGE,
    "recurrent": PURPLE,
    "compute": GREEN,
    "output": SKY,
    "overhead": YELLOW,
}
WIDTH: Final = 4.5
"""Inches. Narrow, so that the figure's 9-point text can still be read on a telephone."""

WIDE_SPAN: Final = 4.0
"""Largest by smallest value from which an axis is logarithmic."""

RC: Final[dict[str, Any]] = {
    "font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK, "axes.titlecolor": INK, "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left", "legend.frameon": False, "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none", "text.parse_math": False,
    "grid.color": GRID, "grid.alpha": 0.35, "grid.linewidth": 0.6,
    "lines.linewidth": 1.6, "lines.markersize": 5, "hatch.linewidth": 0.7, "svg.fonttype": "none",
}  # fmt: skip


def series_style(number: int) -> dict[str, Any]:
    """Colour and marker of the n-th series: the two together repeat only after all their pairs."""
    return {
        "color": SERIES[number % len(SERIES)],
        "marker": MARKERS[(number + number // len(SERIES)) % len(MARKERS)],
    }


def new_figure(
    *, height: float = 3.3, rows: int = 1, ratios: tuple[float, ...] = (1,)
) -> "tuple[Figure, list[Axes]]":
    """An empty figure of the house's width and its axes from top to bottom; no window, no global
    state of pyplot."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(RC):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(
            rows, 1, squeeze=False, sharex=rows > 1, gridspec_kw={"height_ratios": ratios[:rows]}
        )
        flat = [row[0] for row in axes]
        for each in flat:
            each.grid(visible=True, axis="y")
            each.set_axisbelow(True)
    return figure, flat


def new_panels(
    number: int, *, height: float, ratios: tuple[float, ...] = (1,)
) -> "tuple[Figure, list[list[Axes]]]":
    """An empty figure of `number` panels, two beside each other from two on; each is a column of as
    many axes as there are `ratios`, which share their x axis. `height` is that of one row."""
    from matplotlib import style
    from matplotlib.figure import Figure

    columns = min(number, 2)
    rows = -(-number // columns)
    with style.context(RC):
        figure = Figure(figsize=(WIDTH, height * rows), layout="constrained")
        deep = len(ratios)
        grid = figure.add_gridspec(rows * deep, columns, height_ratios=ratios * rows)
        panels = []
        for place in range(number):
            row, column = divmod(place, columns)
            axes: list[Axes] = []
            for step in range(deep):
                shared = axes[0] if axes else None
                axes.append(figure.add_subplot(grid[row * deep + step, column], sharex=shared))
                axes[-1].grid(visible=True, axis="y")
                axes[-1].set_axisbelow(True)
            for above in axes[:-1]:
                above.tick_params(labelbottom=False)
            panels.append(axes)
    return figure, panels


def head(axes: "Axes", title: str, words: str = "") -> None:
    """A bold title, flush left, and under it what the panel says of itself, small."""
    n_lines = words.count("\n") + 1 if words else 0
    axes.set_title(
        title, loc="left", fontsize=9, fontweight="bold", color=INK, pad=4 + 9.2 * n_lines
    )
    if words:
        axes.annotate(
            words,
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, 3),
            textcoords="offset points",
            va="bottom",
            fontsize=7.5,
            color=INK,
            linespacing=1.15,
        )


def legend_above(axes: "Axes", *, columns: int = 3, title: str | None = None) -> "Legend | None":
    """The legend over the plot, where it hides no point; None where nothing has a name."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return None
    legend = axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=min(columns, len(handles)),
        title=title,
        alignment="left",
        fontsize=8,
        title_fontsize=8,
        frameon=False,
        labelcolor=INK,
        handlelength=1.4,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
    legend.get_title().set_color(INK)
    return legend


def thousands(value: float, _position: object = None) -> str:
    """A tick's label with separators; contexts and rates are read in digits, not in powers of
    ten."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def depth_axis(axes: "Axes", depths: Iterable[int]) -> None:
    """Depths below the plot, as llama-bench writes them after its `@`."""
    distinct = sorted(set(depths))
    axes.set_xlabel("@ n_depth, cells filled before the test")
    axes.xaxis.set_major_formatter(lambda value, _: f"d{value:.0f}")
    if len(distinct) == 1:
        axes.set_xticks(distinct)


def doubling_axis(axes: "Axes", values: Sequence[int], label: str) -> None:
    """An x axis of numbers that double, each of them named."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [thousands(value) for value in values])
    axes.minorticks_off()
    axes.set_xlabel(label)


def spread_axis(
    axes: "Axes", which: Literal["x", "y"], values: Sequence[float], *, few: bool = False
) -> None:
    """A logarithmic axis where the values span WIDE_SPAN or more, else a linear one; labels in
    digits either way. `few` labels are for a narrow panel."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    if values and min(values) > 0 and max(values) >= WIDE_SPAN * min(values):
        axes.set(**{f"{which}scale": "log"})
        span = max(values) / min(values)
        subs = (1.0, 2.0, 5.0) if span < (15 if few else 1000) else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs))
        axis.set_minor_locator(NullLocator())
    elif few:
        axis.set_major_locator(MaxNLocator(3 if which == "x" else 4))
    axis.set_major_formatter(thousands)
