"""A report as GitHub's Markdown, beside the page and with the same words."""

from collections.abc import Sequence

from oomph.foreign_text import visible
from oomph.views.figures import Picture
from oomph.views.sections import Chapter, Section
from oomph.views.table import escape_markdown, render_markdown


def render_chapters(chapters: Sequence[Chapter], *, figures: str = "figures") -> str:
    """The chapters as GitHub's Markdown; pictures are looked for in the folder `figures`, as
    `write_pages` has them."""
    parts = []
    for number, chapter in enumerate(chapters):
        parts += [
            f"# {escape_markdown(chapter.title)}",
            escape_markdown(chapter.question),
            f"**{escape_markdown(chapter.headline)}.**",
            *map(escape_markdown, chapter.basis),
        ]
        parts += [render_markdown(table).rstrip() for table in chapter.tables]
        parts.append("\n".join(f"- {escape_markdown(sentence)}" for sentence in chapter.evidence))
        for picture in chapter.pictures:
            parts += _picture_markdown(picture, f"{figures}/{figure_file(number, picture.name)}")
        for section in chapter.sections:
            parts += _section_markdown(section, number, figures)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section_markdown(section: Section, chapter: int, figures: str) -> list[str]:
    parts = [f"## {section.title}", escape_markdown(section.text)]
    parts.append("\n".join(f"- {escape_markdown(note)}" for note in section.notes))
    for picture in section.pictures:
        parts += _picture_markdown(picture, f"{figures}/{figure_file(chapter, picture.name)}")
    parts += [render_markdown(table).rstrip() for table in section.tables]
    if section.commands:
        parts.append("\n".join("    " + visible(command) for command in section.commands))
    return parts


def _picture_markdown(picture: Picture, address: str) -> list[str]:
    parts = [
        f"![{escape_markdown(picture.alt)}]({address})",
        f"*{escape_markdown(picture.caption)}*",
    ]
    if picture.table:
        data = render_markdown(picture.table).rstrip()
        parts += ["<details><summary>The figure’s data</summary>", data, "</details>"]
    return parts


def figure_file(chapter: int, name: str) -> str:
    """The file of a figure in the folder `figures`; `chapter` counts from 0."""
    return f"{name}.svg" if chapter == 0 else f"{chapter + 1}-{name}.svg"
