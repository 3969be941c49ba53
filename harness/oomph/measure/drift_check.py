"""One point measured again through a sweep, to see the machine drift.

A card that warms up, a governor that wakes up or a neighbour that moves in shows as a change of the
same figures; without it a slow hour looks like a slow configuration. The repeated records stand
beside the others and say what they are under `conditions`: `anchor_of` (the first record's id) and
`drift` (the largest change of a median).
"""

from collections.abc import Mapping
from statistics import median

from oomph.records.heading import Tried
from oomph.records.schema import Record

Test = tuple[str, int, int]


def is_repeat(record: Tried) -> bool:
    """Whether this record measures an anchor again."""
    return record.conditions.anchor_of is not None


def can_anchor(record: Record) -> bool:
    """Whether the point went well, has figures to compare, and asked no tasks, which would take
    their time again."""
    is_short = record.tasks is None
    return (
        record.outcome.label == "ok"
        and bool(_medians(record))
        and is_short
        and not is_repeat(record)
    )


def as_repeat(record: Record, *, first: Record) -> Record:
    """`record` as the repetition of `first`, with the change of the test that changed most, signed,
    as a fraction.

    On another card of the machine it says nothing of drift.
    """
    before, after = (
        _medians(first),
        _medians(record) if record.environment == first.environment else {},
    )
    changes = [after[test] / before[test] - 1 for test in after.keys() & before.keys()]
    drift = max(changes, key=abs) if changes else None
    conditions = record.conditions.model_copy(update={"anchor_of": first.record_id, "drift": drift})
    return record.model_copy(update={"label": f"{record.label} (again)", "conditions": conditions})


def _medians(record: Record) -> Mapping[Test, float]:
    """Median nanoseconds of each warm test."""
    return {
        (timing.test, timing.n_depth, timing.n_parallel): median(timing.samples_ns)
        for timing in record.timings
        if timing.samples_ns and not timing.test.startswith("cold")
    }
