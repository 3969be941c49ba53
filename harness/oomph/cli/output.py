"""Tables on the way out: set by rich on a terminal, aligned plain text in a pipe or a file.

Stands apart from the commands so that none of them decides how wide a terminal is; a pipe gets
every cell in full.
"""

import sys
from collections.abc import Sequence

import typer

from oomph.views.table import Table, render_rich, trim


def print_table(table: Table) -> None:
    """Print `table` as the other end of standard output can show it."""
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(render_rich(table))
    else:
        typer.echo(render_plain(table))


def render_plain(table: Table) -> str:
    """Caption, columns and rows as aligned text, numbers flush right, without the columns that say
    nothing."""
    shown = trim(table)
    cells = [shown.columns, *(tuple(_printable(cell.text) for cell in row) for row in shown.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(shown.columns))]
    right = [shown.is_numeric(column) for column in range(len(shown.columns))]
    return "\n".join([shown.caption, *(_line(row, widths, right) for row in cells), ""])


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        text.rjust(width) if flush else text.ljust(width)
        for text, width, flush in zip(row, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def _printable(text: str) -> str:
    """Untrusted text without control characters, which could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
