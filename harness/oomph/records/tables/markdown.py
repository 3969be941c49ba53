"""Markdown tables in any text: which header a line is under, and whether it is a whole row.

A row is whole when it has every cell of its header and the bar after the last one. What stands
before its first bar is a prompt's or a log's; where a line has more cells than the header, a piece
of another line was left before it, and the last ones count if each is what its column says.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from oomph.records.tables.found import quoted
from oomph.records.tables.headers import RowError, kind_of, plain, values_of

MOST_CELLS: Final = 64
LONGEST_LINE: Final = 16_384
_RULE: Final = frozenset("-: =+")
_HEADS: Final = ("t/s", "S_PP")
_FIRST: Final = ("model", "test", "PP")
_LONE_ROW: Final = re.compile(
    r"\|\s{0,40}(?:pp|tg) ?[0-9]{1,9}[^|]{0,40}\|\s{0,40}[0-9.]{1,20}(?: ± [0-9.]{1,20})?\s{0,40}\|"
)
_LONE_NUMBERS: Final = re.compile(
    r"\|(?:\s{1,10}[0-9]{1,9}\s{1,10}\|){3,4}(?:\s{1,10}[0-9.]{1,12}\s{1,10}\|){4}"
)
_WITHIN: Final = frozenset({"ot"})
"""Columns whose own text may hold a bar: a pattern of -ot."""


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a table. `is_closed` says that its lines end with a bar, `n_before` how many
    pieces between bars stand before the first cell."""

    kind: str
    names: tuple[str, ...]
    is_closed: bool
    n_before: int


def header_of(line: str) -> Header | None:
    """The header that the line is; None for any other."""
    if "|" not in line or not any(head in line for head in _HEADS) or len(line) > LONGEST_LINE:
        return None
    cells = [plain(cell) for cell in line.split("|")]
    is_closed = not cells[-1] and len(cells) > 1
    names = cells[:-1] if is_closed else cells
    starts = [at for at, name in enumerate(names) if name in _FIRST]
    if not starts or len(names) > MOST_CELLS:
        return None
    for start in (starts[0], starts[-1]):
        if kind := kind_of(names[start:]):
            return Header(kind, tuple(names[start:]), is_closed, start)
    return None


def is_rule(line: str) -> bool:
    """Whether the line is the one below a header."""
    return "-" in line and set(line.partition("|")[2]) <= _RULE | {"|"}


def row_of(header: Header, line: str, *, is_ended: bool) -> dict[str, Any]:
    """The values of a whole row; RowError, saying why, for any other line.

    `is_ended` says that the line has an end in the file: the last of a table without bars at its
    lines' ends may be cut.
    """
    if len(line) > LONGEST_LINE:
        raise RowError("a line too long for a row")
    parts = line.split("|")
    n_cells = len(header.names)
    if header.is_closed:
        if parts.pop().strip():
            raise RowError(f"a row that is cut: {quoted(line)}")
    elif not parts[-1].strip():
        parts.pop()
    elif not is_ended:
        raise RowError(f"a row that may be cut, no line end is after it: {quoted(line)}")
    before = len(parts) - n_cells
    if before < int(header.is_closed):
        raise RowError(f"a row that is cut: {quoted(line)}")
    return _fitting(header, parts, before, line)


def _fitting(header: Header, parts: Sequence[str], before: int, line: str) -> dict[str, Any]:
    """The row of the cells that fit their columns."""
    n_cells = len(header.names)
    is_sure = before in (header.n_before, int(header.is_closed))
    try:
        if not is_sure and _WITHIN & set(header.names):
            return values_of(header.kind, header.names, _merged(header, parts))
        values = values_of(header.kind, header.names, parts[before : before + n_cells])
    except RowError as error:
        raise RowError(f"a row that cannot be read ({error}): {quoted(line)}") from None
    if not is_sure and not _agrees(header, values):
        raise RowError(f"a row with more cells than its header: {quoted(line)}")
    return values


def _merged(header: Header, parts: Sequence[str]) -> list[str]:
    """The cells where a pattern had bars in it."""
    at = next(index for index, name in enumerate(header.names) if name in _WITHIN)
    cells = list(parts[header.n_before :])
    extra = len(cells) - len(header.names)
    return [*cells[:at], "|".join(cells[at : at + extra + 1]), *cells[at + extra + 1 :]]


def _agrees(header: Header, values: dict[str, Any]) -> bool:
    """Whether the cells tell by themselves that they are under the right columns."""
    if header.kind == "bench":
        return bool(values.get("model_size") and values.get("model_n_params"))
    if header.kind == "sweep":
        done = values.get("speed_pp", 0.0) * values["t_pp"]
        told = (values["pp"], values["pp"] * values.get("pl", 1))
        return any(abs(done - n) <= 0.05 * n + 1 for n in told)
    return False


def is_lone_row(line: str) -> bool:
    """Whether a line without a header above it looks like a row of llama-bench's or its
    neighbours'."""
    if line.count("|") < 3 or len(line) > LONGEST_LINE:
        return False
    return _LONE_ROW.search(line) is not None or _LONE_NUMBERS.search(line) is not None


def is_rowlike(header: Header, line: str) -> bool:
    """Whether a line that is no row was meant to be one: it begins or ends with a bar."""
    text = line.strip()
    if text.endswith("|") and sum(1 for cell in text.split("|") if cell.strip()) < 2:
        return False  # a message that a page has put into a table's first cell
    closed = header.is_closed and (text.startswith("|") or text.endswith("|"))
    is_listed = "[level_zero" in text or text.startswith(("|ID|", "|  |", "| --- "))
    return (closed or text.count("|") >= len(header.names) - 1) and not is_listed
