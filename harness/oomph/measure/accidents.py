"""From a sweep's records to those that stand, and the points tried again for an accident."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

from oomph.frozen import frozen
from oomph.measure.logs.outcome import RAN_OUT, SIGKILL_CODES, classify
from oomph.records.heading import Tried

Kind = TypeVar("Kind", bound=Tried)
TRIES: Final = 3
"""How often a point is tried that ends in accidents, over all starts of its sweep: then the last of
them stands."""
ACCIDENTS: Final = frozenset({"killed", "crash", "timeout", "device_lost", "driver_missing"})
_NO_FILE: Final = re.compile(r"[Nn]o such file|does not exist|failed to open")
_PROOF: Final = re.compile(r"^record (\S+)$")
_SAID: Final = re.compile(r" ended with (\w+), and this asks for at least as much$")


@frozen
class Standing(Generic[Kind]):
    """What a sweep's records come to: the one that stands for each point that needs no try, by its
    id, and of the points that are tried again how many there are by the reason."""

    finished: dict[str, Kind]
    again: Counter[str]


def standing(records: Iterable[Kind]) -> Standing[Kind]:
    """Of records of one sweep's points in the order in which they were measured; what is no
    accident goes first."""
    by_point: dict[str, list[Kind]] = {}
    for record in records:
        by_point.setdefault(record.point_id, []).append(record)
    unsure = {
        point_id: tries
        for point_id, tries in by_point.items()
        if len(tries) > 1 or tries[0].outcome.label != "ok"
    }
    proofs = {
        record.record_id: record
        for tries in (by_point if unsure else {}).values()
        for record in tries
    }
    again = Counter[str]()
    finished = {point_id: tries[-1] for point_id, tries in by_point.items()}
    for point_id, tries in unsure.items():
        sound = [
            record
            for record in tries
            if not is_accident(record) and not _lacks_proof(record, proofs)
        ]
        accidents = [record for record in tries if is_accident(record)]
        if sound or len(accidents) >= TRIES:
            finished[point_id] = (sound or accidents)[-1]
        else:
            del finished[point_id]
            again[_reason(tries[-1])] += 1
    return Standing(finished=finished, again=again)


def ran_out(record: Tried) -> bool:
    """Whether the record shows that its configuration got less memory than it asked for."""
    return record.outcome.label in RAN_OUT and not is_presumed(record)


def is_accident(record: Tried) -> bool:
    """Whether the record says how a process died, and nothing of its configuration."""
    outcome = record.outcome
    if outcome.label == "ok":
        return False
    lacked_file = outcome.label == "bad_model" and any(map(_NO_FILE.search, outcome.evidence))
    return outcome.label in ACCIDENTS or lacked_file or is_presumed(record)


def is_presumed(record: Tried) -> bool:
    """Whether it is `host_oom` for no other reason than SIGKILL, as oomph once took every SIGKILL
    for the kernel's."""
    outcome = record.outcome
    return (
        outcome.label == "host_oom"
        and outcome.exit_code in SIGKILL_CODES
        and classify(None, outcome.evidence).outcome != "host_oom"
    )


def _lacks_proof(record: Tried, records: Mapping[str, Tried]) -> bool:
    """Whether it was skipped because of a record that proves nothing: an accident, or a load that
    failed otherwise."""
    if record.outcome.label != "skipped":
        return False
    named = (match[1] for line in record.outcome.evidence if (match := _PROOF.search(line)))
    proof = records.get(next(named, ""))
    if proof is not None:
        return not ran_out(proof)
    said = _SAID.search(record.outcome.message)
    return said is not None and said[1] not in RAN_OUT


def _reason(record: Tried) -> str:
    if is_presumed(record):
        return "host_oom on the word of a signal alone"
    if record.outcome.label == "skipped":
        return "skipped without a proof"
    return (
        "without the model's file" if record.outcome.label == "bad_model" else record.outcome.label
    )
