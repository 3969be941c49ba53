"""A record as a sweep of one point: everything that is needed to measure it again is in it.

The model's hash is part of a point's id, so a file that is not the recorded one shows as another
point.
"""

import re
from typing import Final

from oomph.errors import StoreError
from oomph.measure.sweep import Group, Sweep, SweepFile
from oomph.records.schema import Record
from oomph.records.store import Store

_NAMED: Final = re.compile(r"(\w+)=")
"""A knob in a label."""
_OURS: Final = ("group", "load_mode")
"""What a record's workload holds beside the sweep's `measure`."""


def find_record(store: Store, record_id: str) -> Record:
    """The record whose id is or begins with `record_id`; StoreError where none or several do."""
    found = [record for record in store.records() if record.record_id.startswith(record_id)]
    if len(found) != 1:
        some = "no record" if not found else f"{len(found)} records"
        raise StoreError(
            f"{store.path} has {some} with an id that begins with {record_id!r}; see the table of "
            "points"
        )
    return found[0]


def sweep_of(record: Record) -> Sweep:
    """The sweep that has this point and no other, under the record's own sweep's name."""
    measure = {key: value for key, value in record.workload.items() if key not in _OURS}
    varied = {
        knob: [record.config[knob]]
        for knob in _NAMED.findall(record.label)
        if knob in record.config
    }
    file = SweepFile(
        name=record.sweep,
        model=record.model.path,
        config=record.config,
        measure=measure,
        limits=record.limits,
        load_mode=record.workload.get("load_mode", "mmap"),
        group=[Group(name=record.workload.get("group", record.sweep), axes=varied)],
    )
    return Sweep(file=file)
