"""A results folder: one line per record, surviving whatever ends the writer.

The only place that writes records. A line is appended, flushed and synced before `append` returns;
a published line is never rewritten. The last line of a file whose writer was killed may be torn: it
is cut off, and said, when the next sweep takes the folder. A lock of the kernel's on the file
itself keeps a second sweep out, and dies with its process. Before each line the open file is held
against what its path names now.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar
from warnings import warn

from pydantic import ValidationError

from oomph.errors import StoreError
from oomph.files import hold
from oomph.records.heading import Heading, HeadingReader, is_of_others
from oomph.records.open_tables import check_open_tables
from oomph.records.schema import Record

if TYPE_CHECKING:
    import pandas

    from oomph.records.frames import Compared

Line = TypeVar("Line", Record, Heading)
MANY: Final = 10_000
"""Records that take seconds to read and to work on."""
TAIL: Final = 1 << 20
"""Bytes that are read at once from the end of a file, to find where its last whole line ends."""
LONGEST_LINE: Final = 16 << 20
"""Bytes; a record has some 50,000."""
RECORDS: Final = "records.jsonl"
RESCUED: Final = "records.rescued-{}.jsonl"


class Store:
    """The records of one results folder. Reading needs no lock; `with store:` takes it for writing.

    It may be entered again where it is open, as a runner does with a store that its caller holds.
    `healed` says what was cut off the end of the file when the lock was taken, None where nothing
    was.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.healed: str | None = None
        self._file: int | None = None
        self._end, self._n_entered = 0, 0

    @property
    def path(self) -> Path:
        """The file of records."""
        return self.folder / RECORDS

    @property
    def n_bytes(self) -> int:
        """The size of that file, 0 where there is none: it only ever grows."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def __enter__(self) -> Self:
        self._n_entered += 1
        if self._file is not None:
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            hold(self._file)
            self.healed = self._heal()
            self._end = os.lseek(self._file, 0, os.SEEK_END)
        except BlockingIOError:
            self.close()
            raise StoreError(
                f"{self.folder} is being written by another sweep; wait for it, or give another "
                "--out"
            ) from None
        except OSError as error:
            self.close()
            raise self._cannot_write(error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._n_entered -= 1
        if self._n_entered < 1:
            self.close()

    def close(self) -> None:
        """Give the folder free."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._n_entered = None, 0

    def append(self, record: Record) -> None:
        """Write one record and wait until it is on the disk.

        StoreError when it cannot be, and the others stay whole; also when the file has been
        replaced, removed or written by somebody else since it was opened: then this record and what
        the open file holds are rescued beside it.
        """
        if self._file is None:
            raise StoreError(f"{self.folder} is not open for writing; use `with store:`")
        line = record.model_dump_json().encode() + b"\n"
        if fault := self._fault():
            raise StoreError(
                f"{self.path} {fault} while a sweep was writing it; {self._rescue(line)}"
            )
        end = self._end
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
            self._end += len(line)
        except OSError as error:
            # what cannot be cut off now is, when the folder is opened next
            with contextlib.suppress(OSError):
                # part of the line may be there: a disk fills in the middle of one
                os.ftruncate(self._file, end)
            raise self._cannot_write(error) from None

    def records(self, *, tell: Callable[[str], None] | None = None) -> Iterator[Record]:
        """The records in the order they were measured; a torn last line is left out. `tell` is told
        how far it is, of many.

        Anything else that is no record is passed over, with a warning that names its line.
        """
        for n_read, record in enumerate(self._read(record_of_line), start=1):
            yield record
            if tell and n_read % MANY == 0:
                tell(f"{n_read:,} records of {self.folder} are read")

    def headings(self, points: Container[str]) -> Iterator[Heading]:
        """Of the records of these points, by their ids, what a sweep that goes on has to know."""
        return self._read(HeadingReader().read, points)

    def _read(
        self, read: Callable[[bytes], Line], points: Container[str] | None = None
    ) -> Iterator[Line]:
        """The lines one by one, so that a folder takes no more memory than what is kept of it."""
        for number, line in enumerate(self._lines(), start=1):
            if points is not None and is_of_others(line, points):
                continue
            try:
                found = read(line)
            except ValueError as error:
                warn(
                    f"{self.path}: line {number} is no record ({_why(error)}) and is passed over; "
                    "restore the file, or move that line out of it",
                    stacklevel=2,
                )
                continue
            yield found

    def _lines(self) -> Iterator[bytes]:
        """The whole lines; one that ends without a newline is torn. Of a longer one than any record
        is, the end, which is none."""
        try:
            if self.path.exists() and not self.path.is_file():  # a pipe's writer may never come
                raise StoreError(f"{self.path} is no file; name another folder")
            with self.path.open("rb") as file:
                while line := file.readline(LONGEST_LINE):
                    if line.endswith(b"\n"):
                        yield line
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._cannot_read(error) from None

    def __iter__(self) -> Iterator[Record]:
        return self.records()

    def __len__(self) -> int:
        """The number of records: lines that are whole, unread."""
        return sum(1 for _ in self._lines())

    def to_pandas(self, comparisons: "Iterable[Compared]" = ()) -> "pandas.DataFrame":
        """One row per timing, or per point without any: its knobs, outcome, reported values,
        medians, quality and what disturbed it; with `oomph.compare(estimator, store)` also what
        was predicted."""
        from oomph.records.frames import to_frame

        return to_frame(self.records(), comparisons)

    def _fault(self) -> str | None:
        """What has happened to the file since it was opened; None where it is the one that it
        was."""
        assert self._file is not None
        ours = os.fstat(self._file)
        try:
            named = os.stat(self.path)
        except FileNotFoundError:
            return "was removed"
        except OSError as error:
            raise self._cannot_write(error) from None
        if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            return "was replaced by another file"
        if ours.st_size != self._end:
            return (
                f"was changed by another program (it has {ours.st_size:,} bytes, and "
                f"{self._end:,} were written)"
            )
        return None

    def _rescue(self, line: bytes) -> str:
        """Put what the open file holds, and `line`, into a new file of the folder; where that is,
        in words."""
        assert self._file is not None
        try:
            for number in range(1, 1000):
                path = self.folder / RESCUED.format(number)
                try:
                    rescued = path.open("xb")
                except FileExistsError:
                    continue
                with rescued, open(self._file, "rb", closefd=False) as ours:
                    ours.seek(0)
                    shutil.copyfileobj(ours, rescued)
                    rescued.write(line)
                    rescued.flush()
                    os.fsync(rescued.fileno())
                return (
                    f"what was measured so far is in {path}: put the right file in its place and "
                    "start again"
                )
        except OSError as error:
            return f"what was measured last could not be rescued ({error.strerror}); start again"
        return f"{self.folder} has a thousand rescued files already; start again"

    def _heal(self) -> str | None:
        """Cut a torn last line off, which no reader has ever been given."""
        assert self._file is not None
        size = os.fstat(self._file).st_size
        whole, found = size, 0
        while whole and not found:
            first = max(0, whole - TAIL)
            found = os.pread(self._file, whole - first, first).rfind(b"\n") + 1
            whole = first + found
        if whole == size:
            return None
        os.ftruncate(self._file, whole)
        return (
            f"{self.path}: the last line was torn (its writer was ended after {size - whole} "
            "bytes of it) and has been cut off; its point will be measured again"
        )

    def _cannot_read(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path} cannot be read ({error.strerror}); check its permissions")

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.folder} cannot be written ({error.strerror}); free or choose another place "
            "with --out, earlier records are untouched"
        )


_NO_NUMBER: Final = re.compile(
    rb"[:,\[]\s{0,9}-?(?:[0-9]{20}|[0-9.]{1,40}[eE]\+?[0-9]{3}|NaN|Infinity)"
)
"""Numbers beyond what llama.cpp or a clock can count to, and those that are none."""


def record_of_line(line: bytes) -> Record:
    """The record of a line of a folder's file; ValueError for what is none."""
    if _NO_NUMBER.search(line):
        raise ValueError("it holds a number that none can be")
    record = Record.model_validate_json(line)
    check_open_tables(record)
    return record


def _why(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)[:200]
    what = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, what['loc']))}: {what['msg']}"[:200]


def read_records(
    folders: Iterable[Path | str], *, tell: Callable[[str], None] | None = None
) -> list[Record]:
    """The records of all folders; StoreError names a folder that has none. `tell` is told how far
    it is, of many."""
    return list(each_record(folders, tell=tell))


def each_record(
    folders: Iterable[Path | str], *, tell: Callable[[str], None] | None = None
) -> Iterator[Record]:
    """The same records one by one, for what needs none of them twice."""
    for folder in folders:
        is_empty = True
        for record in Store(folder).records(tell=tell):
            is_empty = False
            yield record
        if is_empty:
            raise StoreError(
                f"{folder} has no records; name a folder that `oomph sweep --out` has written"
            )
