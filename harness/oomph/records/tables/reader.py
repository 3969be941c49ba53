"""Every table of a file, row by row: what is whole, and by line what is not.

The text is looked through for JSON objects and SQL statements first; the lines that these leave are
read from the top, with the header and the devices that were last seen.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from oomph.records.tables.devices import Surroundings, build_below
from oomph.records.tables.found import MAX_ROWS, PIECE, Found, Problem, Row, quoted
from oomph.records.tables.headers import RowError
from oomph.records.tables.lines import clean_lines
from oomph.records.tables.markdown import (
    Header,
    header_of,
    is_lone_row,
    is_rowlike,
    is_rule,
    row_of,
)
from oomph.records.tables.objects import Span, read_objects
from oomph.records.tables.separated import Columns, columns_of, separated_row
from oomph.records.tables.sql import SQLITE, read_database, read_sql

_FAILED: Final = re.compile(
    r"out of memory|\bOOM\b|\berror:|CUDA error|failed to |GGML_ASSERT|^Aborted|Killed$|"
    r"Segmentation fault|core dumped|terminate called|^Killed"
)
"""What a program says where its next row would be."""
MOST_PROBLEMS: Final = 1_000


def read_tables(data: bytes) -> Found:
    """The rows of a file by its content, in its order, at most MAX_ROWS."""
    if data.startswith(SQLITE):
        return read_database(data)
    lines = clean_lines(data)
    text = "\n".join(lines)
    objects, problems = read_objects(text) if "{" in text else ([], [])
    walk = _Walk(lines, objects)
    if "INSERT" in text or "insert" in text:
        rows, cut = read_sql(text)
        walk.rows += rows
        walk.problems += cut
    walk.walk()
    walk.problems += problems
    if len(walk.rows) >= MAX_ROWS:
        why = f"more than {MAX_ROWS:,} rows, of which the first are read"
        walk.problems.append(Problem(line=0, why=why))
    return Found(
        rows=sorted(walk.rows, key=lambda row: row.line),
        problems=sorted(walk.problems, key=lambda each: each.line)[:MOST_PROBLEMS],
    )


class _Walk:
    """A file's lines from its first to its last."""

    def __init__(self, lines: list[str], objects: Iterable[tuple[Span, dict[str, Any]]]) -> None:
        self.rows: list[Row] = []
        self.problems: list[Problem] = []
        self._lines = lines
        self._objects: dict[int, list[tuple[Span, dict[str, Any]]]] = {}
        for span, value in objects:
            self._objects.setdefault(span.first, []).append((span, value))
        self._around = Surroundings()
        self._header: Header | Columns | None = None
        self._n_tables = 0
        self._in_table = False
        self._in_other = False
        self._unbuilt = 0
        """The first row that the next build line is of."""

    def walk(self) -> None:
        """Read all lines."""
        last = -1
        for index, line in enumerate(self._lines):
            if len(self.rows) >= MAX_ROWS:
                return
            for span, value in self._objects.get(index, ()):
                self._add(value, index, table=PIECE if span.is_piece else 0)
                last = max(last, span.last)
            if index > last:
                self._line(index, line)

    def _line(self, index: int, line: str) -> None:
        if not line or line.isspace():
            return
        if header := header_of(line) or columns_of(line):
            self._header, self._n_tables, self._in_table = header, self._n_tables + 1, True
            self._in_other = False
            self._unbuilt = len(self.rows)
            return
        if self._around.take(line):
            return
        if build := build_below(line):
            self._end_table(build)
            return
        if line.lstrip().startswith("```") or self._is_other_header(index, line):
            self._in_table, self._in_other = False, "|" in line
            return
        if self._header is None:
            if is_lone_row(line) and not self._in_other:
                self._name(index, f"a row without its header: {quoted(line)}")
            return
        is_ended = index < len(self._lines) - 1
        try:
            self._row(self._header, index, line, is_ended=is_ended)
        except RowError as error:
            self._name(index, str(error))

    def _is_other_header(self, index: int, line: str) -> bool:
        """Whether the line begins a table of other columns: the next is the rule below it."""
        following = self._lines[index + 1] if index + 1 < len(self._lines) else ""
        return "|" in line and "|" in following and is_rule(following) and not is_rule(line)

    def _row(self, header: Header | Columns, index: int, line: str, *, is_ended: bool) -> None:
        """Take the line as a row of the table, or leave it; RowError where it was meant to be
        one."""
        if isinstance(header, Columns):
            values = separated_row(header, line, is_ended=is_ended)
            if values is not None:
                self._add(values, index, table=self._n_tables)
            return
        if "|" in line:
            if is_rule(line):
                return
            try:
                values = row_of(header, line, is_ended=is_ended)
            except RowError:
                is_lone = is_lone_row(line) and not self._in_other
                if (self._in_table and is_rowlike(header, line)) or is_lone:
                    raise
                return
            self._add(values, index, table=self._n_tables)
        elif self._in_table and _FAILED.search(line[:400]):
            raise RowError(f"no row: {quoted(line)}")

    def _add(self, values: dict[str, Any], index: int, *, table: int) -> None:
        self._around.mark_row()
        self.rows.append(Row(values=values, line=index + 1, table=table, around=self._around.now()))

    def _end_table(self, build: tuple[str, int]) -> None:
        """The build below a table is that of its rows."""
        self._in_table = False
        named = {"build_commit": build[0], "build_number": build[1]}
        for at in range(self._unbuilt, len(self.rows)):
            row = self.rows[at]
            if row.table > 0:
                self.rows[at] = Row(
                    values={**named, **row.values},
                    line=row.line,
                    table=row.table,
                    around=row.around,
                )
        self._unbuilt = len(self.rows)

    def _name(self, index: int, why: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(line=index + 1, why=why))
