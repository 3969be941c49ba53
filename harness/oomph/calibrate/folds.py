"""Which measurements to leave out together, so that errors are of what a fit has not seen.

Rows of one load (a model loaded with so many experts) err together, so they are left out together;
where everything is of one load its records are, and of one record its rows.
"""

from collections.abc import Hashable, Sequence
from typing import Final

MOST_FOLDS: Final = 10
"""More parts cost a fit each and tell little more."""
LEAST_FOLDS: Final = 3
"""With fewer parts too little is left to fit."""


def folds(labels: Sequence[tuple[Hashable, Hashable]]) -> list[set[int]]:
    """The indices of `labels` (load, record) in at most ten parts; none for fewer than three
    rows."""
    for level in (0, 1):
        found = _dealt([label[level] for label in labels])
        if len(found) >= LEAST_FOLDS:
            return found
    rows = _dealt(list(range(len(labels))))
    return rows if len(rows) >= LEAST_FOLDS else []


def _dealt(labels: Sequence[Hashable]) -> list[set[int]]:
    """Equal labels in one part; further labels share the parts in turn."""
    part_of = {label: number % MOST_FOLDS for number, label in enumerate(dict.fromkeys(labels))}
    parts: dict[int, set[int]] = {}
    for index, label in enumerate(labels):
        parts.setdefault(part_of[label], set()).add(index)
    return list(parts.values())
