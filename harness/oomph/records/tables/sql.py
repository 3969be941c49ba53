"""Rows of llama-bench's SQL and of SQLite databases made from it.

SQL of others is read and never run: its INSERT statements are taken apart one by one. A database is
opened in memory, with a time limit, and may open no other file.
"""

import re
import sqlite3
import time
from collections.abc import Iterator
from typing import Any, Final

from oomph.records.tables.found import MAX_ROWS, Found, Problem, Row, quoted

SQLITE: Final = b"SQLite format 3\x00"
SQL_S: Final = 5.0
"""How long the reading of a database may take …"""
SQL_STEPS: Final = 10_000
"""… asked after so many of SQLite's steps."""
MAX_CELL_BYTES: Final = 1 << 20
_NEEDED: Final = frozenset({"n_prompt", "n_gen"})
_TABLES: Final = ("llama_bench", "test")
"""The names that llama-bench's table has had."""
_NAME: Final = r"[\"'`\[]?([A-Za-z_]\w{0,63})[\"'`\]]?"
_CREATE: Final = re.compile(
    rf"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}\s*\(([^()]{{1,8000}})\)", re.IGNORECASE
)
_INSERT: Final = re.compile(
    rf"INSERT\s+(?:OR\s+\w{{1,10}}\s+)?INTO\s+{_NAME}\s*(?:\(([^()]{{1,8000}})\)\s*)?VALUES\s*",
    re.IGNORECASE,
)
_LITERAL: Final = r"(?:'(?:[^'\n]|'')*'|-?[0-9][0-9.eE+-]{0,40}|NULL)"
_TUPLE: Final = re.compile(rf"\(\s*{_LITERAL}(?:\s*,\s*{_LITERAL})*\s*\)", re.IGNORECASE)
_VALUE: Final = re.compile(_LITERAL, re.IGNORECASE)
_BETWEEN: Final = re.compile(r"\s*([,;]?)\s*")
_READS: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION})


def read_sql(text: str) -> tuple[list[Row], list[Problem]]:
    """The rows that a script's INSERT statements hold, and the statements that are cut."""
    created = {match[1].lower(): _names(match[2]) for match in _CREATE.finditer(text)}
    rows: list[Row] = []
    problems: list[Problem] = []
    line, counted = 1, 0
    for match in _INSERT.finditer(text):
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        names = _names(match[2]) if match[2] else created.get(match[1].lower(), ())
        if not set(names) >= _NEEDED:
            continue
        found, is_whole = _tuples(text, match.end())
        of_length = [values for values in found if len(values) == len(names)]
        rows += [Row(values=dict(zip(names, each, strict=True)), line=line) for each in of_length]
        if not is_whole or len(of_length) < len(found):
            why = f"a statement that is cut: {quoted(text[match.start() : match.start() + 400])}"
            problems.append(Problem(line=line, why=why))
        if len(rows) >= MAX_ROWS:
            break
    return rows, problems


def _names(text: str) -> tuple[str, ...]:
    """The columns of a list of names or of declarations."""
    words = (part.split() for part in text.split(","))
    return tuple(each[0].strip("\"'`[]") for each in words if each)


def _tuples(text: str, at: int) -> tuple[list[list[str | None]], bool]:
    """The tuples of values at a place, and whether the statement goes on to its end."""
    found = []
    while match := _TUPLE.match(text, at):
        found.append([_value(value[0]) for value in _VALUE.finditer(match[0])])
        between = _BETWEEN.match(text, match.end())
        assert between is not None, "it matches the empty text"
        at = between.end()
        if between[1] != ",":
            return found, between[1] == ";"
    return found, False


def _value(literal: str) -> str | None:
    if literal.upper() == "NULL":
        return None
    return literal[1:-1].replace("''", "'") if literal.startswith("'") else literal


def read_database(data: bytes) -> Found:
    """The rows of an SQLite file's table, as far as it can be read."""
    rows: list[Row] = []
    problems: list[Problem] = []
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    until = time.monotonic() + SQL_S
    connection.set_progress_handler(lambda: time.monotonic() > until, SQL_STEPS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
    try:
        connection.deserialize(data)
        connection.set_authorizer(_allow)
        rows.extend(Row(values=values, line=0) for values in _selected(connection))
    except sqlite3.Error as error:  # the rows before it stay
        problems.append(Problem(line=0, why=f"a database that cannot be read ({error})"))
    finally:
        connection.close()
    return Found(rows=rows, problems=problems)


def _selected(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    there = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
    for name in _TABLES:
        if name in there:
            for row in connection.execute(f"SELECT * FROM {name} LIMIT {MAX_ROWS}"):
                yield dict(row)


def _allow(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY
