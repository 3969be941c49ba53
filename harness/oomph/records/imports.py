"""Other tools' results as records: every whole row of a file, and by line what is none.

Read are llama-bench, llama-batched-bench, sweep-bench, llama-benchy, ctxprobe, what llmfit and
localmaxxing collect, and oomph's own records. Foreign files are read for what they say and nothing
is made up: what a row does not tell is None, a record's `origin` names the tool, and a mean without
samples is one sample.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from pydantic import ValidationError

from oomph.errors import ConfigError, StoreError, UnknownNameError
from oomph.foreign import read_bytes
from oomph.frozen import frozen
from oomph.gpus import gpu
from oomph.records.schema import SCHEMA_VERSION, ModelIdentity, Record
from oomph.records.store import record_of_line
from oomph.records.tables.found import PIECE, Problem, Row, Values
from oomph.records.tables.reader import read_tables
from oomph.records.tools.batched_bench import is_batched_row, read_step, step_record, step_runs
from oomph.records.tools.benchy import benchy_record, benchy_runs, is_benchy_row, read_test
from oomph.records.tools.community import community_records, is_community_row
from oomph.records.tools.ctxprobe import is_probe_row, probe_record
from oomph.records.tools.llama_bench import BenchReader, bench_record, bench_runs, is_bench_row
from oomph.records.tools.made import Source

MAX_BYTES: Final = 64 << 20
"""No results file is longer."""
_WRONG: Final = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    ValidationError,
    ConfigError,
)
"""What foreign values end in."""


class _OfRow(Protocol):
    """What was understood of one row."""

    @property
    def row(self) -> Row:
        """The row."""


Understood = TypeVar("Understood")
Of = TypeVar("Of", bound=_OfRow)


@frozen
class Taken:
    """What a file gave: its records, and what is named of the rest."""

    records: Sequence[Record]
    problems: Sequence[Problem]

    def counts(self) -> Counter[str]:
        """How many records are of each tool."""
        return Counter(record.origin or "oomph" for record in self.records)


def take_records(
    path: Path, *, model: str | ModelIdentity | None = None, card: str | None = None
) -> Taken:
    """The records of every whole row that a file of another tool holds, its layout found by its
    content.

    `model` names the model, or is its file's identity: then rows whose size is another model's keep
    their own. `card` is where it ran, for rows that do not say. StoreError where the file cannot be
    read.
    """
    data = read_bytes(path, error=StoreError, remedy="check the path", limit=MAX_BYTES)
    found = read_tables(data)
    taking = _Taking(Source(path=path, model=model))
    records = list(taking.checked(taking.records(found.rows)))
    if card:
        records = [record_on(record, card) for record in records]
    problems = sorted([*found.problems, *taking.problems], key=lambda each: each.line)
    return Taken(records=records, problems=problems)


def import_records(
    path: Path, *, model: str | ModelIdentity | None = None, card: str | None = None
) -> list[Record]:
    """The records of `take_records`; StoreError, saying why, where a file gives none."""
    taken = take_records(path, model=model, card=card)
    if not taken.records:
        why = first_of(taken.problems) if taken.problems else "no row of any of them"
        raise StoreError(
            f"{path} is not what llama-bench, batched-bench, sweep-bench, llama-benchy or ctxprobe "
            f"write ({why}); give their json, jsonl, csv, sql, SQLite, md or tsv output"
        )
    return list(taken.records)


def first_of(problems: Sequence[Problem]) -> str:
    """The first of some problems, and how many more there are."""
    first = problems[0]
    told = f"line {first.line}: {first.why}" if first.line else first.why
    return told if len(problems) == 1 else f"{told}, and {len(problems) - 1:,} more"


def record_on(record: Record, card: str) -> Record:
    """The record with its card named, where its tool did not say one. A card of the catalogue,
    which is NVIDIA's, computes by CUDA where the backend is not told."""
    environment = record.environment
    if environment.gpus or environment.backend == "cpu":
        return record
    is_untold = environment.backend == "unknown" and _is_in_catalogue(card)
    backend = "cuda" if is_untold else environment.backend
    named = environment.model_copy(update={"backend": backend, "gpus": [{"name": card}]})
    return record.model_copy(update={"environment": named})


def _is_in_catalogue(card: str) -> bool:
    try:
        gpu(card)
    except UnknownNameError:
        return False
    return True


class _Taking:
    """The rows of one file on their way to records."""

    def __init__(self, source: Source) -> None:
        self.problems: list[Problem] = []
        self._source = source

    def checked(self, records: Iterable[Record]) -> Iterator[Record]:
        """The records that a results folder will give back as they are."""
        for record in records:
            try:
                yield record_of_line(record.model_dump_json().encode())
            except ValueError as error:
                why = f"a record of {record.origin or 'oomph'} that cannot be ({_reason(error)})"
                self.problems.append(Problem(line=0, why=why))

    def records(self, rows: Sequence[Row]) -> Iterator[Record]:
        """The records, tool by tool; a row that none understands is named."""
        kinds: dict[str, list[Row]] = {}
        for row in rows:
            kinds.setdefault(_tool(row.values), []).append(row)
        bench = self._understood(kinds.get("bench", ()), BenchReader().read)
        yield from self._joined(bench_runs(bench), bench_record)
        steps = self._understood(kinds.get("batched", ()), read_step)
        yield from self._joined(step_runs(steps), step_record)
        tests = self._understood(kinds.get("benchy", ()), read_test)
        yield from self._joined(benchy_runs(tests), benchy_record)
        for row in kinds.get("community", ()):
            yield from self._community(row)
        yield from self._understood(kinds.get("probe", ()), self._probe)
        yield from self._understood(kinds.get("own", ()), _own_record)
        for row in kinds.get("", ()):
            if row.table != PIECE:  # what it is a piece of is named
                self._name(row, "an object of no tool that is known")

    def _understood(
        self, rows: Sequence[Row], read: Callable[[Row], Understood]
    ) -> list[Understood]:
        found = []
        for row in rows:
            try:
                found.append(read(row))
            except _WRONG as error:
                self._name(row, f"a row that cannot be ({_reason(error)})")
        return found

    def _joined(
        self, runs: Sequence[Sequence[Of]], make: Callable[[Sequence[Of], Source], Record]
    ) -> Iterator[Record]:
        """A record for the rows of each run."""
        for run in runs:
            try:
                yield make(run, self._source)
            except _WRONG as error:
                self._name(run[0].row, f"rows that cannot be ({_reason(error)})")

    def _probe(self, row: Row) -> Record:
        return probe_record(row, self._source)

    def _community(self, row: Row) -> Iterator[Record]:
        for each in community_records(row, self._source):
            if isinstance(each, Record):
                yield each
            else:
                self._name(row, f"a run that cannot be ({each})")

    def _name(self, row: Row, why: str) -> None:
        self.problems.append(Problem(line=row.line, why=why))


_TOOLS: Final[tuple[tuple[str, Callable[[Values], bool]], ...]] = (
    ("own", lambda values: {"schema_version", "record_id", "environment"} <= set(values)),
    ("benchy", is_benchy_row),
    ("bench", is_bench_row),
    ("batched", is_batched_row),
    ("probe", is_probe_row),
    ("community", is_community_row),
)


def _tool(values: Values) -> str:
    """Whose row it is; empty where nobody's."""
    return next((tool for tool, is_its in _TOOLS if is_its(values)), "")


def _own_record(row: Row) -> Record:
    """A record of this oomph or an older one, as it was written; its foreign keys are kept."""
    version = row.values["schema_version"]
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ValueError(f"schema_version is {str(version)[:20]}, and {SCHEMA_VERSION} is read")
    return Record.model_validate(dict(row.values))


def _reason(error: Exception) -> str:
    told: Any = error
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    elif isinstance(error, KeyError):
        told = f"{error} is missing"
    return (str(told).splitlines() or [type(error).__name__])[0][:160]
