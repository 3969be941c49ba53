"""Writes records as a CSV table, one by one: a folder may be larger than the memory.

The file is what `frames.write_frame` makes of the same records, byte for byte. As a column of whole
numbers with gaps is one of floats there, what each column holds is found first, while the rows are
laid aside on the disk.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oomph.files import write_pieces
from oomph.foreign_text import spreadsheet_cell
from oomph.records.csv_lines import csv_lines
from oomph.records.frames import columns_of, to_frame, write_frame
from oomph.records.schema import Record


def write_table(records: Iterable[Record], path: Path) -> int:
    """Write the table as its suffix says, .csv or .parquet, and return the number of its rows;
    StoreError as of `write_frame`. Parquet's is made in memory."""
    if path.suffix != ".csv":
        frame = to_frame(records)
        write_frame(frame, path)
        return len(frame)
    table = _Table()
    write_pieces(path, _lines(table, records))
    return table.n_rows


@dataclass(slots=True)
class _Column:
    """What was seen in a column: how many rows have a value, and of which kinds."""

    n_rows: int = 0
    has_int: bool = False
    has_float: bool = False
    has_other: bool = False

    def add(self, value: Any, n_rows: int) -> None:
        self.n_rows += n_rows
        kind = type(value)
        if kind is float:
            self.has_float = True
        elif kind is int:
            self.has_int = True
        else:
            self.has_other = True


class _Table:
    """The columns of the rows so far, in the order in which they came up."""

    def __init__(self) -> None:
        self.columns: dict[str, _Column] = {}
        self.n_rows = 0

    def add(self, point: dict[str, Any], timings: list[dict[str, Any]]) -> None:
        """Take in a record's columns."""
        n_rows = max(1, len(timings))
        self.n_rows += n_rows
        for columns, times in ((point, n_rows), *((timing, 1) for timing in timings)):
            for name, value in columns.items():
                column = self.columns.setdefault(name, _Column())
                if value is not None:
                    column.add(value, times)

    def floats(self) -> set[str]:
        """Columns of numbers that are written as floats: one of them is, or some are missing."""
        return {
            name
            for name, column in self.columns.items()
            if not column.has_other and (column.has_float or column.n_rows < self.n_rows)
        }


def _lines(table: _Table, records: Iterable[Record]) -> Iterator[str]:
    """The lines of the file: its columns, then the rows once all have been laid aside."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as aside:
        for record in records:
            point, timings = columns_of(record)
            table.add(point, timings)
            aside.write(json.dumps([point, timings]) + "\n")
        aside.seek(0)
        names = list(table.columns)
        yield from csv_lines([names])
        rows = _rows(aside, table.floats())
        yield from csv_lines([row.get(name, "") for name in names] for row in rows)


def _rows(aside: Iterable[str], floats: set[str]) -> Iterator[dict[str, Any]]:
    for line in aside:
        point, timings = json.loads(line)
        cells = _cells(point, floats)
        yield from (cells | _cells(timing, floats) for timing in timings or [{}])


def _cells(columns: dict[str, Any], floats: set[str]) -> dict[str, Any]:
    return {name: _cell(value, is_float=name in floats) for name, value in columns.items()}


def _cell(value: Any, *, is_float: bool) -> Any:
    if value is None or value != value:  # not a number, which a table has no word for
        return ""
    if isinstance(value, str):
        return spreadsheet_cell(value)
    return float(value) if is_float else value
