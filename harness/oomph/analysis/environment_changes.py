"""What differs around two sets of records: machines, software, models, and knobs set anew."""

from collections.abc import Iterable, Sequence
from typing import Any

from oomph.analysis.pairing import changed_knobs
from oomph.records.schema import Environment, Record
from oomph.units import NOT_MEASURED


def environment_changes(
    before: Sequence[Record], after: Sequence[Record]
) -> list[tuple[str, str, str]]:
    """What differs between the two sides' machines, software, models and knobs: (what, before,
    after), sorted."""
    knobs = [
        (f"knob {name}", str(old), str(new))
        for name, (old, new) in changed_knobs(before, after).items()
    ]
    old, new = _environment(before), _environment(after)
    return knobs + [
        (what, old.get(what, NOT_MEASURED), new.get(what, NOT_MEASURED))
        for what in sorted(old | new)
        if old.get(what) != new.get(what)
    ]


def _environment(records: Iterable[Record]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for record in records:
        for what, value in _facts(record.environment, record).items():
            found.setdefault(what, set()).add(value)
    return {what: ", ".join(sorted(values)) for what, values in found.items()}


def _facts(environment: Environment, record: Record) -> dict[str, str]:
    facts: dict[str, Any] = environment.model_dump(exclude={"packages", "gpus"})
    facts |= {f"package {name}": version for name, version in environment.packages.items()}
    facts |= {
        f"GPU {index}": gpu.get("name", "unnamed") for index, gpu in enumerate(environment.gpus)
    }
    facts |= {
        "model": record.model.name,
        "model sha256": record.model.sha256 or record.model.header_sha256,
    }
    return {what: str(value) for what, value in facts.items() if value is not None}
