"""A table as data, and its way to Markdown and to a terminal.

Stands apart from what is in it (`tables`), so that Markdown, the terminal and the page show the
same cells, and the page can sort by the number behind a cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from oomph.foreign_text import visible
from oomph.frozen import frozen
from oomph.patterns import late_pattern
from oomph.units import NOT_MEASURED

if TYPE_CHECKING:
    from rich.table import Table as RichTable


MOST_ROWS: Final = 1000
"""Of a longer table a page shows a sample: nobody reads more, and a browser sorts them in no time.
"""
_LEADING: Final = late_pattern(r"\s*[-+]?\d+(\.\d+)?(e[-+]?\d+)?")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: its text, and the number that it sorts by (None: by its text)."""

    text: str
    key: float | None = None


@frozen
class Table:
    """A caption, the columns' names and rows of as many cells."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def is_numeric(self, column: int) -> bool:
        """Whether every cell of the column that says something carries a number: it is then set
        flush right."""
        return self._numeric[column]

    @property
    def classes(self) -> str:
        """For the page: which columns are numbers, `facts` for a table of names and values."""
        numbers = " ".join(f"n{n}" for n in range(1, len(self.columns) + 1) if self._numeric[n - 1])
        return " ".join(filter(None, (numbers, "facts" if len(self.columns) == 2 else "")))

    def key(self, column: int, cell: Cell) -> float | None:
        """What a page must know beside the cell's text to sort by its number: nothing where the
        texts of the column sort as their numbers do."""
        return None if self._sorts_by_text[column] else cell.key

    @cached_property
    def _sorts_by_text(self) -> tuple[bool, ...]:
        return tuple(
            numeric
            and _same_order([(cell.key, cell.text) for cell in column if cell.key is not None])
            for numeric, column in zip(self._numeric, zip(*self.rows, strict=True), strict=True)
        )

    @cached_property
    def _numeric(self) -> tuple[bool, ...]:
        """Asked for every cell of a page."""
        columns = (
            [cell for cell in column if cell.text != NOT_MEASURED]
            for column in zip(*self.rows, strict=True)
        )
        found = tuple(
            bool(cells) and all(cell.key is not None for cell in cells) for cells in columns
        )
        return found or (False,) * len(self.columns)


def _same_order(cells: Sequence[tuple[float, str]]) -> bool:
    """Whether what the texts begin with orders them as their numbers do."""
    read = [_LEADING.match(text.replace(",", "")) for _, text in sorted(cells)]
    values = [float(found[0]) for found in read if found]
    return len(values) == len(read) and values == sorted(values)


def number(value: float | None, *, digits: int = 0, unit: float = 1) -> Cell:
    """A cell with `value / unit`, or the dash of what was not measured."""
    return Cell(NOT_MEASURED) if value is None else Cell(f"{value / unit:,.{digits}f}", value)


_MARKDOWN_SPECIALS: Final = str.maketrans(
    {character: f"\\{character}" for character in "|`[*~$\\"} | {"<": "&lt;", "&": "&amp;"}
)
_OUTER_UNDERSCORE: Final = late_pattern(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK_MARK: Final = late_pattern(r"^(\d*)(?=[#>=]|[+-](?:\s|[-=]|$)|(?<=\d)[.)](?:\s|$))")
"""Where what begins a line makes a heading, a quotation or a list of it; a negative number does
not."""


def escape_markdown(text: str) -> str:
    """Untrusted text for Markdown: no tag, link, code, formula, heading or cell of its own."""
    escaped = _OUTER_UNDERSCORE.sub(r"\_", visible(text).translate(_MARKDOWN_SPECIALS))
    linkless = escaped.replace("://", r":\//").replace("www.", r"www\.")
    return _BLOCK_MARK.sub(r"\1\\", linkless)


def render_markdown(table: Table) -> str:
    """The table as GitHub's Markdown, numbers flush right; empty columns at its end are left
    out."""
    shown = _filled_columns(table)
    lines = [
        "| " + " | ".join(escape_markdown(table.columns[c]) for c in shown) + " |",
        "| " + " | ".join("---:" if table.is_numeric(c) else "---" for c in shown) + " |",
        *(
            "| " + " | ".join(escape_markdown(row[c].text) for c in shown) + " |"
            for row in table.rows
        ),
    ]
    return "\n".join(lines) + "\n"


def _filled_columns(table: Table) -> list[int]:
    """Columns in which any row says something."""
    return [
        column
        for column in range(len(table.columns))
        if not table.rows or any(row[column].text not in ("", NOT_MEASURED) for row in table.rows)
    ]


def trim(table: Table) -> Table:
    """The table without columns in which no row says anything."""
    shown = _filled_columns(table)
    return Table(
        caption=table.caption,
        columns=tuple(table.columns[c] for c in shown),
        rows=tuple(tuple(row[c] for c in shown) for row in table.rows),
    )


def for_page(table: Table) -> Table:
    """The table trimmed, and cut to what a reader can take in; the caption then says so."""
    shown = trim(table)
    if len(shown.rows) <= MOST_ROWS:
        return shown
    caption = (
        f"{shown.caption}. {MOST_ROWS:,} of {len(shown.rows):,} rows, in even steps; `oomph "
        "records export` writes all that was measured"
    )
    from oomph.records.grouping import evenly  # whose records need pydantic

    return replace(shown, caption=caption, rows=tuple(evenly(shown.rows, MOST_ROWS)))


def render_rich(table: Table) -> "RichTable":
    """The table for a terminal; rich's markup in untrusted text stays text."""
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = trim(table)
    rich = RichTable(title=Text(visible(shown.caption)), title_justify="left")
    for index, name in enumerate(shown.columns):
        rich.add_column(Text(visible(name)), justify="right" if shown.is_numeric(index) else "left")
    for row in shown.rows:
        rich.add_row(*(Text(visible(cell.text)) for cell in row))
    return rich
