"""The stops of a depth ladder, among all that a record timed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oomph.records.schema import Record


def ladder_stops(record: "Record") -> set[int]:
    """The depths at which decoding was timed; prompts at others only filled the context. Empty
    where nothing was decoded."""
    return {timing.n_depth for timing in record.timings if timing.test.startswith("tg")}
