"""What disturbed a record while it was measured, and which of its samples are still good.

A speed that was taken while something else had the processor says little of the machine. Where the worker could tell
by the processor time that it got, single samples are judged; else the record as a whole.
"""

from statistics import median
from typing import Final

from oomph.records.schema import Record, Timing
from oomph.units import percent

DRIFTED: Final = 0.05
"""Change of an anchor point's time from which the sweep's speeds are in doubt."""
CROWDED_CPUS: Final = 0.2
"""CPUs kept busy by anything but the worker from which a speed is in doubt; the harness itself takes about 0.01."""


def remarks(record: Record) -> tuple[str, ...]:
    """What a reader has to know before believing the point: throttling, another process, a crowded processor."""
    conditions, said = record.conditions, []
    if reasons := conditions.get("throttle_reasons"):
        said.append(f"throttled ({', '.join(map(str, reasons))})")
    if has_neighbours(record):
        n_others = len(conditions["other_processes"])
        said.append(f"beside {n_others} other process{'es' if n_others > 1 else ''}")
    if is_crowded(record):
        busy = conditions["other_cpus"]
        said.append(f"processor crowded ({busy:.1f} of {record.environment.cpu_count} cores busy with other work)")
    if (drift := conditions.get("drift")) and abs(drift) > DRIFTED:
        said.append(f"the machine had drifted: {percent(drift)} in time since the first measurement")
    return tuple(said)


def is_crowded(record: Record) -> bool:
    """Whether other work kept processors busy and no sample can say that it did not suffer from it."""
    busy = record.conditions.get("other_cpus") or 0.0
    return bool(record.timings) and busy > CROWDED_CPUS and not _is_judged_by_sample(record)


def has_neighbours(record: Record) -> bool:
    """Whether other processes were on the cards, so that their memory may be in what a probe saw."""
    return bool(record.conditions.get("other_processes"))


def is_disturbed(record: Record) -> bool:
    """Whether the record's speeds as a whole are in doubt."""
    return bool(remarks(record))


def quiet_samples(record: Record, timing: Timing) -> list[int]:
    """Nanoseconds of those samples of `timing` that nothing disturbed; empty where none is known to be so."""
    if is_disturbed(record):
        return []
    return [ns for index, ns in enumerate(timing.samples_ns) if index not in (timing.disturbed or ())]


def n_disturbed_samples(record: Record) -> int:
    """How many of the warm samples something disturbed."""
    warm = [timing for timing in record.timings if not timing.test.startswith("cold")]
    return sum(len(timing.samples_ns) - len(quiet_samples(record, timing)) for timing in warm)


def typical_ns(record: Record, timing: Timing) -> tuple[float, bool] | None:
    """The median sample in nanoseconds, and whether it was disturbed; None where there is no sample."""
    if quiet := quiet_samples(record, timing):
        return median(quiet), False
    return (median(timing.samples_ns), True) if timing.samples_ns else None


def _is_judged_by_sample(record: Record) -> bool:
    """Whether the worker could tell of each sample whether its threads had been put aside for other work."""
    return any(timing.disturbed is not None for timing in record.timings)
