"""Rows of other tools' files, in any of their layouts: JSON, CSV, SQL, SQLite, Markdown.

Apart from `imports`, which knows what a row means. Foreign text is parsed and never run: SQL goes
to a database in memory that may open no other file.
"""

import csv
import io
import re
import sqlite3
import time
from collections.abc import Mapping
from typing import Any, Final

from oomph.config import KNOBS
from oomph.foreign import parse_json
from oomph.units import GIB, MIB

Row = Mapping[str, Any]

_SQLITE: Final = b"SQLite format 3\x00"
_MARKDOWN_NAMES: Final = {"model": "model_type", "backend": "backends"} | {
    knob.bench_column: knob.bench for knob in KNOBS.values() if knob.bench_column and knob.bench
}
_UNITS: Final = {"MiB": MIB, "GiB": GIB, "M": 10**6, "B": 10**9, "T": 10**12}
SQL_S: Final = 5.0
"""How long a foreign script, and the reading of its table, may take …"""
SQL_STEPS: Final = 10_000
"""… asked after so many of SQLite's steps."""
MAX_CELL_BYTES: Final = 1 << 20
MAX_ROWS: Final = 1_000_000
_ALLOWED: Final = frozenset(
    {
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_UPDATE,  # of sqlite_master, by CREATE
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_REINDEX,
    }
)
"""What a dump needs; no ATTACH, no PRAGMA, no trigger, no view, no recursion."""
_CUDA_DEVICE: Final = re.compile(
    r"^[ \t]{0,80}Device [0-9]{1,3}: ([^,\n]{1,200}), compute capability", re.MULTILINE
)
_BUILD: Final = re.compile(r"^build: (\w{1,64}) \(([0-9]{1,9})\)", re.MULTILINE)


def read_rows(data: bytes) -> list[Row]:
    """The rows of a file by its content; raises what the parsers of its layout raise, or
    ValueError."""
    if data.startswith(_SQLITE):
        return _query(database=data)
    text = data.decode("utf-8-sig")
    start = text.lstrip()[:1]
    if start == "[":
        return _objects(parse_json(text))
    if start == "{":
        return _objects([parse_json(line) for line in text.splitlines() if line.strip()])
    if "INSERT INTO" in text:
        return _query(script=text)
    if re.search(r"^\| {0,80}model ", text, re.MULTILINE):
        return _markdown_rows(text)
    first = text.lstrip().partition("\n")[0]
    return list(
        csv.DictReader(io.StringIO(text.lstrip()), delimiter="\t" if "\t" in first else ",")
    )


def _objects(rows: Any) -> list[Row]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("rows that are no objects")
    return rows


def _query(*, database: bytes | None = None, script: str = "") -> list[Row]:
    """Rows of the table `llama_bench`, held in memory; a foreign script may open no other file (no
    ATTACH)."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    until = time.monotonic() + SQL_S
    connection.set_progress_handler(lambda: time.monotonic() > until, SQL_STEPS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
    try:
        if database is not None:
            connection.deserialize(database)
        connection.set_authorizer(_allow)
        connection.executescript(script)
        found = connection.execute("SELECT * FROM llama_bench").fetchmany(MAX_ROWS + 1)
        if len(found) > MAX_ROWS:
            raise ValueError(f"more than {MAX_ROWS:,} rows")
        return [dict(row) for row in found]
    finally:
        connection.close()


def _allow(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _markdown_rows(text: str) -> list[Row]:
    """The rows of llama-bench's table; `test` and `t/s` are taken apart into its JSON's fields.

    Around the table stand, where they were kept, the cards that ggml found and the build.
    """
    lines = [
        line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")
    ]
    header, *body = [[cell.strip() for cell in line] for line in lines]
    around: dict[str, Any] = {"gpu_info": ", ".join(_CUDA_DEVICE.findall(text))}
    if build := _BUILD.search(text):
        around |= {"build_commit": build[1], "build_number": int(build[2])}
    rows = [line for line in body if not set("".join(line)) <= set("-: ") and line != header]
    return [{**around, **_from_markdown(dict(zip(header, line, strict=True)))} for line in rows]


def _from_markdown(cells: dict[str, str]) -> Row:
    match = re.fullmatch(
        r"(?:pp([0-9]{1,12}))?\+?(?:tg([0-9]{1,12}))?(?: @ d([0-9]{1,12}))?", cells.pop("test")
    )
    if match is None:
        raise ValueError("a test that is neither pp, tg nor both")
    n_prompt, n_gen, n_depth = (int(group or 0) for group in match.groups())
    mean = float(re.split(r"\s*±", cells.pop("t/s"))[0])
    sizes = {
        "model_size": _amount(cells.pop("size", "")),
        "model_n_params": _amount(cells.pop("params", "")),
    }
    return {_MARKDOWN_NAMES.get(name, name): value for name, value in cells.items()} | {
        "n_prompt": n_prompt,
        "n_gen": n_gen,
        "n_depth": n_depth,
        "avg_ts": mean,
        **sizes,
    }


def _amount(text: str) -> int | None:
    """`92.63 MiB` or `134.65 M` as a number; None where there is none."""
    number, _, unit = text.partition(" ")
    return round(float(number) * _UNITS[unit]) if unit in _UNITS else None
