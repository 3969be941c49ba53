"""How figures look, and how they are written: one palette, one size, one way to SVG and PNG.

Stands apart so that the plots say only what they show. Colours are Okabe and Ito's, told apart by
every kind of colour vision. Ink and grid are greys that stand on white and on black alike; in a
page each colour becomes a CSS variable, so that the page's scheme decides. Text stays text: it can
be selected and read aloud.
"""

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from oomph.files import replacing
from oomph.foreign_text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#757b83"
GRID: Final = "#9aa0a8"
BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
)
SERIES: Final = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY)
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
COMPONENT_COLOURS: Final[Mapping[str, str]] = {
    "weights": BLUE,
    "kv_cache": ORANGE,
    "recurrent": PURPLE,
    "compute": GREEN,
    "output": SKY,
    "overhead": GRID,
}
PAGE_COLOURS: Final[Mapping[str, str]] = {
    INK: "var(--ink)",
    GRID: "var(--grid)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    VERMILLION: "var(--vermillion)",
    PURPLE: "var(--purple)",
    SKY: "var(--sky)",
}
"""What a page's style sheet defines for each colour of the figures, in either scheme."""

WIDTH: Final = 4.9
"""Inches. Narrow, so that the figure's 9-point text can still be read on a telephone."""

WIDE_SPAN: Final = 4.0
"""Largest by smallest value from which an axis is logarithmic."""

_RC: Final[dict[str, Any]] = {
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

    with style.context(_RC):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(
            rows, 1, squeeze=False, sharex=rows > 1, gridspec_kw={"height_ratios": ratios[:rows]}
        )
        flat = [row[0] for row in axes]
        for each in flat:
            each.grid(visible=True, axis="y")
            each.set_axisbelow(True)
    return figure, flat


def legend_above(axes: "Axes", *, columns: int = 4, title: str | None = None) -> None:
    """The legend over the plot, where it hides no point."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(
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
        legend = axes.get_legend()
        if legend is not None:
            legend.get_title().set_color(INK)


def thousands(value: float, _position: object = None) -> str:
    """A tick's label with separators; contexts and rates are read in digits, not in powers of
    ten."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def spread_axis(axes: "Axes", which: Literal["x", "y"], values: Sequence[float]) -> None:
    """A logarithmic axis where the values span WIDE_SPAN or more, else a linear one; labels in
    digits either way."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis = axes.xaxis if which == "x" else axes.yaxis
    if values and min(values) > 0 and max(values) >= WIDE_SPAN * min(values):
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(
            LogLocator(subs=(1.0, 2.0, 5.0) if max(values) < 1000 * min(values) else (1.0,))
        )
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(thousands)


def _make_inert(figure: "Figure") -> None:
    """Show what does not print in any text of the figure: SVG has no place for a control character,
    and a name that begins with a dollar is no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(visible(text.get_text(), keep="\n"))
        text.set_parse_math(False)


def draw_svg(figure: "Figure", *, name: str) -> str:
    """The figure as an SVG file; the same text for the same data and `name`. Drawing takes a
    second, so a page and a folder of figures share it."""
    from matplotlib import style

    buffer = io.StringIO()
    _make_inert(figure)
    with style.context({**_RC, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def inline_svg(svg: str, *, name: str, alt: str) -> str:
    """A drawn figure as an `<svg>` element for a page: `alt` is what a screen reader says, ids
    start with `name`.

    No prologue, no metadata, no external reference; each colour is a CSS variable of PAGE_COLOURS.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (id|href|xlink:href)="(#?)', rf' \1="\2{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1).rstrip()


def render_svg(figure: "Figure", *, name: str, alt: str) -> str:
    """`inline_svg` of a figure that is drawn for it."""
    return inline_svg(draw_svg(figure, name=name), name=name, alt=alt)


def render_figure(figure: "Figure", name: str, suffix: str) -> bytes:
    """The figure as a file's content, `.svg` or `.png`, transparent; the same bytes for the same
    data."""
    from matplotlib import style

    buffer = io.BytesIO()
    _make_inert(figure)
    with style.context({**_RC, "svg.hashsalt": name}):
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(buffer, format=suffix[1:], dpi=160, metadata=metadata)
    return buffer.getvalue()


def write_figure(figure: "Figure", path: Path) -> Path:
    """The figure as a file, SVG or PNG by its suffix; StoreError where it cannot be written."""
    with replacing(path) as part:
        part.write_bytes(render_figure(figure, path.stem, path.suffix))
    return path
