"""Rows of values with commas, semicolons or tabs between them, under a header that is known.

llama-bench puts every value of its CSV in quotes, so a row that is cut shows. Where a file's last
row has no quotes and no line end, its last value may be cut, and the row is named instead.
"""

import csv
from dataclasses import dataclass
from typing import Any, Final

from oomph.records.tables.found import quoted
from oomph.records.tables.headers import RowError, kind_of, plain, values_of

_NEEDS: Final = (
    frozenset({"n_prompt", "n_gen", "avg_ts"}),
    frozenset({"n_prompt", "n_gen", "avg_ns"}),
    frozenset({"context", "result", "peak_vram_mib"}),
    frozenset({"pp", "tg", "n_kv", "t_pp", "t_tg"}),
)
_BEGINS: Final = frozenset('"0123456789')
"""How a row of values begins."""
_HINTS: Final = ("n_prompt", "peak_vram_mib", "t_pp", "t/s", "S_PP")
_BLANKS: Final = " "
"""What a page makes of tabs."""
LONGEST_LINE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Columns:
    """A header: its separator, its names, and what kind of printed table it was, if one."""

    separator: str
    names: tuple[str, ...]
    kind: str | None


def columns_of(line: str) -> Columns | None:
    """The header that the line is; None for any other."""
    if "|" in line or not any(hint in line for hint in _HINTS) or len(line) > LONGEST_LINE:
        return None
    separator = next((mark for mark in "\t;," if mark in line), _BLANKS)
    try:
        names = tuple(map(plain, _split(line.lstrip(), separator)))
    except csv.Error:
        return None
    kind = kind_of(names) if separator != _BLANKS else None
    if kind is None and not any(need <= set(names) for need in _NEEDS):
        return None
    return Columns(separator, names, kind)


def separated_row(columns: Columns, line: str, *, is_ended: bool) -> dict[str, Any] | None:
    """The values of a whole row; None for a line that has nothing of one, RowError for a part of
    one."""
    if columns.separator not in line or line.count("|") > 1:
        return None
    if len(line) > LONGEST_LINE:
        raise RowError("a line too long for a row")
    try:
        cells = _split(line, columns.separator)
    except csv.Error:
        raise RowError(f"a row that is cut: {quoted(line)}") from None
    if len(cells) != len(columns.names):
        if columns.separator in (",", _BLANKS) and line.lstrip()[:1] not in _BEGINS:
            return None  # a sentence
        raise RowError(f"a row that is cut: {quoted(line)}")
    if not is_ended and not line.rstrip().endswith('"'):
        raise RowError(f"a row that may be cut, no line end is after it: {quoted(line)}")
    if columns.kind is None:
        return dict(zip(columns.names, cells, strict=True))
    try:
        return values_of(columns.kind, columns.names, cells)
    except RowError as error:
        raise RowError(f"a row that cannot be read ({error}): {quoted(line)}") from None


def _split(line: str, separator: str) -> list[str]:
    if separator == _BLANKS:
        return line.split()
    return next(csv.reader([line], delimiter=separator, strict=True), [])
