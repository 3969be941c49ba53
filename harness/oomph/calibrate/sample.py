"""Which configurations of very many a fit takes: a sample, the same each time, that is said."""

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from oomph.estimate.estimator import Estimator
from oomph.records.schema import Record
from oomph.units import count, counted

MOST_FITTED: Final = 2_000
"""Configurations of one fit, which takes time in proportion to them: some 25 ms each. Records of
one configuration cost next to nothing more."""

Part = tuple[Estimator, Sequence[Record]]
"""One model's estimator and its records."""


def sampled(parts: Sequence[Part]) -> tuple[list[Part], str | None]:
    """The records of at most `MOST_FITTED` configurations over all parts, in their order, and a
    sentence on which; all of them and None where there are no more.

    They are drawn by a hash of their knobs: no order of a sweep's axes shows in it.
    """
    if sum(len(records) for _, records in parts) <= MOST_FITTED:
        return list(parts), None
    lots = [[_lot(record) for record in records] for _, records in parts]
    distinct = sorted({lot for own in lots for lot in own})
    if len(distinct) <= MOST_FITTED:
        return list(parts), None
    chosen = set(distinct[:MOST_FITTED])
    kept = [
        (estimator, [r for r, lot in zip(records, own, strict=True) if lot in chosen])
        for (estimator, records), own in zip(parts, lots, strict=True)
    ]
    n_kept = sum(len(records) for _, records in kept)
    return [part for part in kept if part[1]], (
        f"fitted to {count(MOST_FITTED)} of {count(len(distinct))} configurations, "
        f"{counted(n_kept, 'record')}, drawn by a hash of their knobs: a fit of all would take "
        f"{len(distinct) / MOST_FITTED:.0f} times as long"
    )


def _lot(record: Record) -> bytes:
    return hashlib.sha256(json.dumps(record.config, sort_keys=True).encode()).digest()
