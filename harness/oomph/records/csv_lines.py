"""Rows as lines of CSV, one by one."""

import csv
from collections.abc import Iterable, Iterator


class _Said:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_lines(rows: Iterable[Iterable[object]], *, quotes_all: bool = False) -> Iterator[str]:
    """The lines of the rows, each with its end; values in quotes where they need them, or all."""
    writer = csv.writer(
        _Said(),
        quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL,
        lineterminator="\n",
    )
    for row in rows:
        yield str(writer.writerow(row))
