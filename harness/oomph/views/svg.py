"""A figure as SVG, PNG or PDF: small, inert, and the same bytes for the same data.

matplotlib writes an SVG of thousands of groups that nothing refers to. They are taken out, numbers
are rounded to a hundredth of a point, and what is left is a third of the size. Text stays text: it
can be selected and read aloud.
"""

import io
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from xml.etree import ElementTree

from oomph.files import replacing
from oomph.foreign_text import visible
from oomph.views.style import (
    BLUE,
    GREEN,
    GRID,
    INK,
    ORANGE,
    PURPLE,
    RC,
    SKY,
    VERMILLION,
    YELLOW,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_COLOURS: Final[Mapping[str, str]] = {
    INK: "var(--ink)",
    GRID: "var(--grid)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    VERMILLION: "var(--vermillion)",
    PURPLE: "var(--purple)",
    SKY: "var(--sky)",
    YELLOW: "var(--yellow)",
}
"""What a page's style sheet defines for each colour of the figures, in either scheme."""
PRINT_INK: Final = "#1f2429"
"""Ink on paper, which is white: the grey that stands on black as well is too pale for it."""

_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
_HREF: Final = f"{{{_XLINK}}}href"
Key = TypeVar("Key", bound=Hashable)
LEAST_RUN: Final = 3
"""Marks of one look for which a group is shorter."""
_NUMBER: Final = re.compile(r"-?\d+\.\d+")
_STYLED: Final = re.compile(r' style="([^"]*)"')
_REFERENCE: Final = re.compile(r"url\(#([^)]+)\)")


def draw_svg(figure: "Figure", *, name: str) -> str:
    """The figure as an SVG file; the same text for the same data and `name`. Drawing takes a
    second, so a page and a folder of figures share it."""
    from matplotlib import style

    buffer = io.StringIO()
    _make_inert(figure)
    with style.context({**RC, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return compact(buffer.getvalue())


def compact(svg: str) -> str:
    """The SVG without what is not seen: ids that nothing refers to, groups that group nothing,
    metadata; `sans-serif` for a list of fonts."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)
    used = dict.fromkeys(
        found for each in root.iter() for value in each.attrib.values() for found in _named(value)
    )
    names = {name: f"a{number}" for number, name in enumerate(used)}
    for each in root.iter():
        _rename(each, names)
        _shorten(each)
    _unwrap(root)
    for sheet in root.iter(f"{{{_SVG}}}style"):  # so that what a group says holds in it
        sheet.text = (sheet.text or "").replace("*{", "svg{").replace(": ", ":").replace("; ", ";")
    root.set("font-family", "sans-serif")
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>") + "\n"


def _rename(element: ElementTree.Element, names: Mapping[str, str]) -> None:
    """Short ids, and none that nothing refers to."""
    attributes = element.attrib
    if (own := attributes.pop("id", "")) in names:
        attributes["id"] = names[own]
    for key, value in attributes.items():
        if key == _HREF:
            attributes[key] = f"#{names[value[1:]]}"
        elif "url(#" in value:
            attributes[key] = _REFERENCE.sub(lambda found: f"url(#{names[found[1]]})", value)


def _named(value: str) -> Iterator[str]:
    """The ids that an attribute refers to."""
    yield from _REFERENCE.findall(value)
    if value.startswith("#"):
        yield value[1:]


def _shorten(element: ElementTree.Element) -> None:
    """Numbers to two digits, no white space between tags, no list of fonts."""
    attributes = element.attrib
    if (element.text or "").isspace():
        element.text = None
    element.tail = None
    if (style := attributes.get("style")) is not None:
        style = re.sub(r"font-family: [^;]*(; )?", "", style)
        style = re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", style)
        attributes["style"] = style.replace("; ", ";").replace(": ", ":").strip("; ")
    for key, value in attributes.items():
        if key in ("d", "x", "y", "width", "height", "transform"):
            value = _NUMBER.sub(
                lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value
            )
            attributes[key] = re.sub(r"\s+", " ", value).strip()
    if attributes.get("transform", "").startswith(("rotate(-0 ", "rotate(0 ")):
        del attributes["transform"]


def _unwrap(element: ElementTree.Element) -> None:
    """Put what stands in a group without attributes in the group's place, and drop invisible
    paths."""
    children: list[ElementTree.Element] = []
    for child in list(element):
        _unwrap(child)
        tag = child.tag.rpartition("}")[2]
        if tag == "g" and not child.attrib:
            children += list(child)
        elif tag == "metadata" or (tag == "path" and child.attrib.get("style") == "fill:none"):
            continue
        elif tag != "defs" or len(child):
            children.append(child)
    element[:] = _in_runs(children)


def _in_runs(children: Iterable[ElementTree.Element]) -> list[ElementTree.Element]:
    """Marks and lines of one look that follow each other, in a group that says it once."""
    found = []
    for (tag, look), run in groupby(children, lambda child: (child.tag, _look(child))):
        own = list(run)
        if len(own) < LEAST_RUN or not look or not tag.endswith(("}use", "}path")):
            found += own
            continue
        for child in own:
            for key, _ in look:
                del child.attrib[key]
        group = ElementTree.Element(f"{{{_SVG}}}g", dict(look))
        group[:] = own
        found.append(group)
    return found


def _look(element: ElementTree.Element) -> tuple[tuple[str, str], ...]:
    return tuple(
        (key, element.attrib[key]) for key in ("style", "clip-path") if key in element.attrib
    )


def inline_svg(svg: str, *, name: str, alt: str) -> str:
    """A drawn figure as an `<svg>` element for a page: `alt` is what a screen reader says, ids
    start with `name`.

    No prologue, no metadata, no external reference; each colour is a CSS variable of PAGE_COLOURS.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r' (id|xlink:href)="(#?)', rf' \1="\2{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-")
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r"<defs><style[^>]*>[^<]*</style></defs>", "", svg)  # the page's style has it
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(visible(alt))}" ', 1).rstrip()


def share_styles(drawings: Mapping[Key, str]) -> tuple[dict[Key, str], str]:
    """The figures of one page with a class for each look that several marks have, and the style
    sheet of these classes: a third of such a page was the same words again."""
    counted = Counter(found for svg in drawings.values() for found in _STYLED.findall(svg))
    repeated = [look for look, number in counted.items() if number >= LEAST_RUN]
    names = {look: f"s{number}" for number, look in enumerate(repeated)}

    def named(found: re.Match[str]) -> str:
        return f' class="{names[found[1]]}"' if found[1] in names else found[0]

    sheet = "".join(f".{name}{{{look}}}" for look, name in names.items())
    return {key: _STYLED.sub(named, svg) for key, svg in drawings.items()}, sheet


def render_svg(figure: "Figure", *, name: str, alt: str) -> str:
    """`inline_svg` of a figure that is drawn for it."""
    return inline_svg(draw_svg(figure, name=name), name=name, alt=alt)


def render_figure(figure: "Figure", name: str, suffix: str) -> bytes:
    """The figure as a file's content, `.svg`, `.png` or `.pdf`; the same bytes for the same data.

    SVG and PNG are transparent, in greys that stand on white and on black; PDF is for paper.
    """
    from matplotlib import style

    if suffix == ".svg":
        return draw_svg(figure, name=name).encode()
    buffer = io.BytesIO()
    _make_inert(figure)
    if suffix == ".pdf":
        with style.context({**RC, "pdf.fonttype": 42}), _in_print(figure):
            figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    else:
        with style.context(RC):
            figure.savefig(buffer, format=suffix[1:], dpi=160, metadata={"Software": None})
    return buffer.getvalue()


def write_figure(figure: "Figure", path: Path) -> Path:
    """The figure as a file, SVG, PNG or PDF by its suffix; StoreError where it cannot be
    written."""
    with replacing(path) as part:
        part.write_bytes(render_figure(figure, path.stem, path.suffix))
    return path


def _make_inert(figure: "Figure") -> None:
    """Show what does not print in any text of the figure: SVG has no place for a control character,
    and a name that begins with a dollar is no formula."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        text.set_text(visible(text.get_text(), keep="\n"))
        text.set_parse_math(False)


@contextmanager
def _in_print(figure: "Figure") -> Iterator[None]:
    """The figure with dark ink on white for as long as it is written."""
    from matplotlib.colors import to_hex

    changed: list[tuple[Any, str, Any]] = []
    for artist in figure.findobj():
        for key in ("color", "edgecolor", "markeredgecolor", "markerfacecolor"):
            getter = getattr(artist, f"get_{key}", None)
            if getter is None or not hasattr(artist, f"set_{key}"):
                continue
            before = getter()
            try:
                is_ink = to_hex(before) == INK
            except ValueError:  # several colours at once, or none
                continue
            if is_ink:
                changed.append((artist, key, before))
                getattr(artist, f"set_{key}")(PRINT_INK)
    ground = figure.get_facecolor()
    figure.set_facecolor("#ffffff")
    try:
        yield
    finally:
        figure.set_facecolor(ground)
        for artist, key, before in changed:
            getattr(artist, f"set_{key}")(before)
