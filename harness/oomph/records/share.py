"""A results folder as one file that may be given away, and back: JSON lines, scrubbed.

Its first line says what it is. What is kept of a record is `harmless`'s business; here is the file,
and what is said of its contents before it is written.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from oomph.errors import StoreError
from oomph.files import write_file
from oomph.foreign import parse_json, read_text
from oomph.records.harmless import scrub
from oomph.records.imports import MAX_BYTES
from oomph.records.schema import SCHEMA_VERSION, Record
from oomph.records.store import read_records

HEAD: Final = "oomph_share"
VERSION: Final = 1
_MACHINE: Final = re.compile(r"shared-[0-9a-f]{8}")


def render_share(records: Iterable[Record]) -> str:
    """The file's text: its head, then the records, each scrubbed. The machine is called by a hash
    of the records.

    StoreError where there is none.
    """
    lines = [scrub(record) for record in records]
    if not lines:
        raise StoreError("there are no records to share; measure something first")
    digest = hashlib.sha256("\n".join(map(_line, lines)).encode()).hexdigest()[:8]
    named = [
        line.model_copy(
            update={
                "environment": line.environment.model_copy(update={"machine": f"shared-{digest}"})
            }
        )
        for line in lines
    ]
    head = json.dumps({HEAD: VERSION, "schema_version": SCHEMA_VERSION, "n_records": len(named)})
    return "\n".join((head, *(_line(record) for record in named))) + "\n"


def _line(record: Record) -> str:
    return json.dumps(record.model_dump(mode="json", exclude_defaults=True), sort_keys=True)


def is_share(path: Path) -> bool:
    """Whether the file begins as a shared one does."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.readline(256).lstrip().startswith(f'{{"{HEAD}"'.encode())
    except (OSError, ValueError):  # a NUL in the path
        return False


def read_share(path: Path) -> list[Record]:
    """The records of a shared file, scrubbed again: who wrote it need not have been oomph.
    StoreError if it is none."""
    try:
        head, *lines = read_text(
            path, error=StoreError, remedy="check the path", limit=MAX_BYTES
        ).splitlines()
        said = parse_json(head)
        if said[HEAD] != VERSION:
            raise StoreError(
                f"{path} is a shared file of version {said[HEAD]}, and this oomph reads "
                f"{VERSION}; update it"
            )
        records = [Record.model_validate_json(line) for line in lines]
        if len(records) != said["n_records"]:
            raise StoreError(
                f"{path} names {said['n_records']} records and has {len(records)}; fetch it again"
            )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0][:200]
        raise StoreError(
            f"{path} is no file that `oomph export --share` wrote ({reason}); fetch it again"
        ) from None
    return [_as_received(record) for record in records]


def _as_received(record: Record) -> Record:
    machine = record.environment.machine
    scrubbed = scrub(record)
    named = machine if _MACHINE.fullmatch(machine) else "shared"
    return scrubbed.model_copy(
        update={"environment": scrubbed.environment.model_copy(update={"machine": named})}
    )


def contents(records: Sequence[Record]) -> list[str]:
    """What is in a shared file, in sentences: for whoever is asked before it is written."""
    shared = [scrub(record) for record in records]

    def told(values: Iterable[Any]) -> str:
        return ", ".join(sorted({str(value) for value in values if value})) or "none"

    unnamed = sum(
        record.model.name != each.model.name for record, each in zip(records, shared, strict=True)
    )
    sentences = [
        f"{len(shared)} records of {told(record.started_at for record in shared)}",
        f"models: {told(record.model.name for record in shared)}",
        f"cards: {told(card.get('name') for record in shared for card in record.environment.gpus)}",
        f"drivers: {told(record.environment.driver for record in shared)}",
        f"processors: {told(record.environment.cpu for record in shared)}",
        f"outcomes: {told(record.outcome.label for record in shared)}",
        "kept of each: knobs, sizes, durations, llama.cpp's buffer sizes, clocks, power, "
        "versions, the day",
        "left out: host, user, paths, UUIDs and serial numbers, processes, logs, texts, scores, "
        "the hour",
    ]
    return sentences + (
        [f"{unnamed} of them lose their model's name, which no catalogue has"] if unnamed else []
    )


def shareable(folder: Path) -> list[Record]:
    """The records of a folder, and of the folders in it: what ran beside ballasts."""
    inside = [path.parent for path in sorted(folder.glob("*/records.jsonl"))]
    return read_records([folder, *inside])


def write_share(text: str, file: Path) -> None:
    """Write what `render_share` gives; StoreError where it cannot be."""
    write_file(file, text, otherwise="name another path with --share")
