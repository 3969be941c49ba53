"""What disturbed a record while it was measured, and which of its samples are still good.

A speed that was taken while something else had the processor says little of the machine. Where the
worker could tell by the processor time that it got, single samples are judged; else the record as a
whole.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from oomph.units import percent

if TYPE_CHECKING:
    from oomph.records.schema import Record, Timing


DRIFTED: Final = 0.05
"""Change of an anchor point's time from which the sweep's speeds are in doubt."""
CROWDED_CPUS: Final = 0.2
"""CPUs kept busy by anything but the worker from which a speed is in doubt; the harness itself
takes about 0.01."""
IDLE_CPUS: Final = 1.0
"""CPUs that were idle on average: with so many, other work did not run in the worker's place."""


def remarks(record: "Record") -> tuple[str, ...]:
    """What a reader has to know before believing the point: throttling, another process, a crowded
    processor."""
    conditions, said = record.conditions, []
    if reasons := conditions.throttle_reasons:
        said.append(f"throttled ({', '.join(map(str, reasons))})")
    if others := conditions.other_processes:
        n_others = len(others)
        said.append(f"beside {n_others} other process{'es' if n_others > 1 else ''}")
    if is_crowded(record):
        said.append(
            f"processor crowded ({conditions.other_cpus:.1f} of {record.environment.cpu_count} "
            "cores busy with other work)"
        )
    if (drift := conditions.drift) and abs(drift) > DRIFTED:
        said.append(
            f"the machine had drifted: {percent(drift)} in time since the first measurement"
        )
    return tuple(said)


def is_crowded(record: "Record") -> bool:
    """Whether other work kept processors busy, none was left idle, and no sample can say that it
    did not suffer from it."""
    busy = record.conditions.other_cpus or 0.0
    own, n_cpus = record.conditions.worker_cpus, record.environment.cpu_count
    has_room = own is not None and n_cpus is not None and own + busy <= n_cpus - IDLE_CPUS
    is_busy = busy > CROWDED_CPUS and not has_room
    return bool(record.timings) and is_busy and not _is_judged_by_sample(record)


def has_neighbours(record: "Record") -> bool:
    """Whether other processes were on the cards, so that their memory may be in what a probe
    saw."""
    return bool(record.conditions.other_processes)


def is_disturbed(record: "Record") -> bool:
    """Whether the record's speeds as a whole are in doubt."""
    return bool(remarks(record))


def quiet_samples(record: "Record", timing: "Timing") -> list[int]:
    """Nanoseconds of those samples of `timing` that nothing disturbed; empty where none is known to
    be so."""
    if is_disturbed(record):
        return []
    return [
        ns for index, ns in enumerate(timing.samples_ns) if index not in (timing.disturbed or ())
    ]


def counting_samples(record: "Record", timings: "Iterable[Timing]") -> tuple[list[int], bool]:
    """Nanoseconds of the samples of one test that count, and whether they were disturbed: quiet
    ones, or else all."""
    timings = list(timings)
    quiet = [ns for timing in timings for ns in quiet_samples(record, timing)]
    return quiet or [ns for timing in timings for ns in timing.samples_ns], not quiet


def _is_judged_by_sample(record: "Record") -> bool:
    """Whether the worker could tell of each sample whether its threads had been put aside for other
    work."""
    return any(timing.disturbed is not None for timing in record.timings)
