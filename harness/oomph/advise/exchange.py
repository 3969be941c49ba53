"""Results of other tools and shared files, taken into a results folder, file by file.

One file that cannot be read never ends the others: each says what it gave, or why nothing.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from oomph.advise.citations import keep_measured
from oomph.errors import StoreError
from oomph.foreign import read_bytes
from oomph.frozen import frozen
from oomph.measure.logs.imported import is_log, read_log
from oomph.measure.plan import identify
from oomph.records.folders import files_below
from oomph.records.imports import MAX_BYTES, Taken, first_of, record_on, take_records
from oomph.records.lm_eval import is_lm_eval, read_lm_eval
from oomph.records.schema import ModelIdentity, Record
from oomph.records.share import is_share, read_share
from oomph.records.store import Store
from oomph.records.tables.found import Problem
from oomph.units import counted

STANDARD_INPUT: Final = "-"
SHOWN_FILES: Final = 10


@frozen
class FileTaken:
    """What one file gave. `why_none` says why it gave no record; `shared` that oomph measured
    them elsewhere."""

    path: Path
    records: Sequence[Record] = ()
    problems: Sequence[Problem] = ()
    why_none: str | None = None
    shared: bool = False


@frozen
class Imported:
    """How many records were read and are new; `kept` are files that a later estimate cites from,
    `files` what each file gave."""

    n_read: int
    n_new: int
    kept: tuple[Path, ...]
    files: tuple[FileTaken, ...]

    def summary(self) -> str:
        """What the files gave, in a sentence: how many records of which tool, and which files gave
        none."""
        giving = sum(1 for file in self.files if file.records)
        tools = Counter(record.origin or "oomph" for file in self.files for record in file.records)
        told = ", ".join(f"{n:,} of {tool}" for tool, n in tools.most_common())
        sentence = (
            f"{giving:,} of {counted(len(self.files), 'file')} gave "
            f"{counted(self.n_read, 'record')} ({told})"
        )
        return "; ".join([sentence, *reasons(self.files)])


def reasons(files: Sequence[FileTaken]) -> Iterator[str]:
    """Why each of the files that gave none did, and of many how many more there are."""
    without = [file for file in files if file.why_none]
    for file in without[:SHOWN_FILES]:
        yield f"{file.path}: {file.why_none}"
    if len(without) > SHOWN_FILES:
        yield f"and {len(without) - SHOWN_FILES:,} more without a result"


def import_results(
    files: Sequence[Path | str],
    out: Path | str,
    *,
    model: str | None = None,
    gpu: str | None = None,
) -> Imported:
    """Read llama-bench's and its neighbours' output, logs of llama.cpp (llama-perplexity's too),
    lm-evaluation-harness's files and shared files into the results folder `out`; of a folder all
    files below it, of `-` standard input.

    `model` is the model's file, or its name; `gpu` the card that they ran on, where the tool does
    not say. What is there already is left out. StoreError where no file gives a record, with why
    for each.
    """
    taken = read_files(files, model=model, gpu=gpu)
    records = [record for file in taken for record in file.records]
    if not records:
        raise StoreError(_nothing(taken))
    with Store(out) as store:
        known = {record.record_id for record in store}
        new = {record.record_id: record for record in records if record.record_id not in known}
        for record in new.values():
            store.append(record)
    shared = [record for file in taken if file.shared for record in file.records]
    return Imported(
        n_read=len(records),
        n_new=len(new),
        kept=tuple(keep_measured(shared)),
        files=taken,
    )


def read_files(
    files: Sequence[Path | str], *, model: str | None = None, gpu: str | None = None
) -> tuple[FileTaken, ...]:
    """What each of the files, and each below the folders among them, gives."""
    identity = _identity(model)
    found: list[FileTaken] = []
    for file in files:
        paths = [Path(STANDARD_INPUT)] if str(file) == STANDARD_INPUT else files_below(Path(file))
        found += [_read(path, identity, gpu) for path in paths]
    return tuple(found)


def _nothing(files: Sequence[FileTaken]) -> str:
    if len(files) == 1:
        return f"{files[0].path}: {files[0].why_none}"
    told = "; ".join(reasons(files)) or "there is no file in it"
    return f"none of {counted(len(files), 'file')} gave a record: {told}"


def _read(path: Path, model: str | ModelIdentity | None, card: str | None) -> FileTaken:
    """What a file gives; a pipe is read once, into a file that each reader may open."""
    try:
        piped = _piped(path)
    except StoreError as error:
        return FileTaken(path=path, why_none=str(error).removeprefix(f"{path} "))
    if piped is None:
        return _read_file(path, model, card)
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / ("stdin" if str(path) == STANDARD_INPUT else path.name)
        copied.write_bytes(piped)
        return replace(_read_file(copied, model, card), path=path)


def _piped(path: Path) -> bytes | None:
    """What a pipe or standard input holds, as much as is read of a results file; None of a file."""
    if str(path) == STANDARD_INPUT:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    if not path.is_fifo():
        return None
    return read_bytes(path, error=StoreError, remedy="write it to a file", limit=MAX_BYTES)


def _read_file(path: Path, model: str | ModelIdentity | None, card: str | None) -> FileTaken:
    """What a file gives: as a shared file, else its tables and what a log around them tells."""
    try:
        if is_share(path):
            return FileTaken(path=path, records=read_share(path), shared=True)
        if is_lm_eval(path):
            return FileTaken(path=path, records=[read_lm_eval(path, model=model)])
        taken = _tables(path, model, card)
        logged = _log_records(path, model, card, is_alone=not taken.records)
    except StoreError as error:
        return FileTaken(path=path, why_none=str(error).removeprefix(f"{path} "))
    if records := [*taken.records, *logged]:
        problems = taken.problems if taken.records else ()
        return FileTaken(path=path, records=records, problems=problems)
    why = f"no whole row ({first_of(taken.problems)})" if taken.problems else "no table, no log"
    return FileTaken(path=path, problems=taken.problems, why_none=why)


def _log_records(
    path: Path, model: str | ModelIdentity | None, card: str | None, *, is_alone: bool
) -> list[Record]:
    """The records of a file as a log; StoreError where it is one that tells nothing and stands
    `is_alone`, without a table."""
    if not is_log(path):
        return []
    try:
        records = read_log(path, model=model)
    except StoreError:
        if is_alone:
            raise
        return []
    return [record_on(record, card) if card else record for record in records]


def _tables(path: Path, model: str | ModelIdentity | None, card: str | None) -> Taken:
    """The tables of a file; none of one that is too long for a table, which may be a log."""
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        why = f"larger than {MAX_BYTES >> 20} MiB"
        return Taken(records=(), problems=[Problem(line=0, why=why)])
    return take_records(path, model=model, card=card)


def _identity(model: str | None) -> str | ModelIdentity | None:
    """The identity of the model's file where there is one, as a sweep would record it."""
    if model is None or not Path(model).is_file():
        return model
    return identify(Path(model))
