"""What of the protocol is done: a JSON line per step, so that the same command goes on."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError

from oomph.errors import StoreError
from oomph.foreign import parse_json, read_text
from oomph.frozen import frozen

State = Literal["done", "stopped", "left out", "failed"]


@frozen
class JournalEntry:
    """How a step ended: `why` says what kept it from being done; `seconds` is what it took."""

    step: str
    state: State
    seconds: float = 0.0
    why: str = ""
    facts: dict[str, Any] | None = None


class _Cuda(BaseModel):
    total_bytes: int
    sm_count: int


class _CardFacts(BaseModel):
    """What `facts.card_facts` gives, as far as it is read back."""

    name: str
    nvml: dict[str, Any]
    cuda: _Cuda
    context: dict[str, int | None]


FACTS: Final = "facts"
"""The step whose entry has the card's facts."""
_ENTRY: Final = TypeAdapter(JournalEntry)


class Lines:
    """A file of JSON lines that is only appended to, each line synced; a torn last line is no
    line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *values: dict[str, Any]) -> None:
        """Add lines; StoreError where the disk does not take them."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torn = (
                self.path.exists()
                and not self.path.read_bytes().endswith(b"\n")
                and self.path.stat().st_size > 0
            )
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" if torn else "")
                file.writelines(json.dumps(value) + "\n" for value in values)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written ({error.strerror}); choose another --out"
            ) from None

    def read(self) -> Iterator[dict[str, Any]]:
        """The lines that are whole. StoreError where the file cannot be read."""
        if not self.path.exists():
            return
        for line in read_text(self.path, error=StoreError, remedy="fetch it again").splitlines():
            with contextlib.suppress(ValueError):
                if isinstance(found := parse_json(line), dict):
                    yield found


class Journal:
    """The journal of one results folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self._lines = Lines(self.path)

    def note(self, entry: JournalEntry) -> None:
        """Put down how a step ended."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._lines.append(
            {"at": at, **{key: value for key, value in asdict(entry).items() if value is not None}}
        )

    def entries(self) -> dict[str, JournalEntry]:
        """The last entry of each step, in the order in which they first came; lines that are none
        are passed over."""
        found: dict[str, JournalEntry] = {}
        for line in self._lines.read():
            keys = [each.name for each in fields(JournalEntry)]
            known = {key: line[key] for key in keys if key in line}
            with contextlib.suppress(ValidationError):
                found[str(line.get("step"))] = _ENTRY.validate_python(known)
        return found

    def card_facts(self) -> dict[str, Any] | None:
        """What was written down of the card; None where nothing whole was."""
        entry = self.entries().get(FACTS)
        with contextlib.suppress(ValidationError):
            if entry and entry.facts:
                _CardFacts.model_validate(entry.facts)
                return entry.facts
        return None
