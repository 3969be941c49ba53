"""Rows of other tools' files, in any of their layouts: JSON, CSV, SQL, SQLite, Markdown.

Apart from `imports`, which knows what a row means. Foreign text is parsed and never run: SQL goes
to a database in memory that may open no other file.
"""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from oomph.config import KNOBS
from oomph.units import GIB, MIB

Row = Mapping[str, Any]

_SQLITE: Final = b"SQLite format 3\x00"
_MARKDOWN_NAMES: Final = {"model": "model_type", "backend": "backends"} | {
    knob.bench_column: knob.bench for knob in KNOBS.values() if knob.bench_column and knob.bench
}
_UNITS: Final = {"MiB": MIB, "GiB": GIB, "M": 10**6, "B": 10**9, "T": 10**12}
_CUDA_DEVICE: Final = re.compile(r"^\s*Device \d+: ([^,]+), compute capability", re.MULTILINE)
_BUILD: Final = re.compile(r"^build: (\w+) \((\d+)\)", re.MULTILINE)


def read_rows(data: bytes) -> list[Row]:
    """The rows of a file by its content; raises what the parsers of its layout raise, or
    ValueError."""
    if data.startswith(_SQLITE):
        return _query(database=data)
    text = data.decode("utf-8-sig")
    start = text.lstrip()[:1]
    if start == "[":
        return list(json.loads(text))
    if start == "{":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if "INSERT INTO" in text:
        return _query(script=text)
    if re.search(r"^\| *model ", text, re.MULTILINE):
        return _markdown_rows(text)
    first = text.lstrip().partition("\n")[0]
    return list(
        csv.DictReader(io.StringIO(text.lstrip()), delimiter="\t" if "\t" in first else ",")
    )


def _query(*, database: bytes | None = None, script: str = "") -> list[Row]:
    """Rows of the table `llama_bench`, held in memory; a foreign script may open no other file (no
    ATTACH)."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    try:
        if database is not None:
            connection.deserialize(database)
        connection.set_authorizer(_allow)
        connection.executescript(script)
        return [dict(row) for row in connection.execute("SELECT * FROM llama_bench")]
    finally:
        connection.close()


def _allow(action: int, *_: object) -> int:
    return (
        sqlite3.SQLITE_DENY
        if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_PRAGMA)
        else sqlite3.SQLITE_OK
    )


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
    match = re.fullmatch(r"(?:pp(\d+))?\+?(?:tg(\d+))?(?: @ d(\d+))?", cells.pop("test"))
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
