"""A results folder: one line a record, surviving whatever ends the writer.

The only place that writes records. A line is appended, flushed and synced before `append` returns; a published line
is never rewritten. The last line of a file whose writer was killed may be torn: it is cut off, and said, when the
next sweep takes the folder. A lock of the kernel's keeps a second sweep out, and dies with its process.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from pydantic import ValidationError

from oomph.errors import StoreError
from oomph.records.schema import Record

if TYPE_CHECKING:
    import pandas

RECORDS: Final = "records.jsonl"
LOCK: Final = ".lock"


class Store:
    """The records of one results folder. Reading needs no lock; `with store:` takes it for writing.

    `healed` says what was cut off the end of the file when the lock was taken, None where nothing was.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.healed: str | None = None
        self._lock: IO[str] | None = None
        self._file: int | None = None

    @property
    def path(self) -> Path:
        """The file of records."""
        return self.folder / RECORDS

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / LOCK).open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self.healed = self._heal()
        except BlockingIOError:
            self.close()
            raise StoreError(
                f"{self.folder} is being written by another sweep; wait for it, or give another --out"
            ) from None
        except OSError as error:
            self.close()
            raise self._cannot_write(error) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the folder free."""
        if self._file is not None:
            os.close(self._file)
        if self._lock is not None:
            self._lock.close()
        self._file = self._lock = None

    def append(self, record: Record) -> None:
        """Write one record and wait until it is on the disk. StoreError when it cannot be; the others stay whole."""
        if self._file is None:
            raise StoreError(f"{self.folder} is not open for writing; use `with store:`")
        line = record.model_dump_json().encode() + b"\n"
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)  # part of the line may be there: a disk fills in the middle of one
            raise self._cannot_write(error) from None

    def records(self) -> Iterator[Record]:
        """The records in the order they were measured; a torn last line is left out.

        StoreError names the line of anything else that is no record.
        """
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read ({error.strerror}); check its permissions") from None
        for number, line in enumerate(lines[:-1], start=1):
            try:
                yield Record.model_validate_json(line)
            except ValidationError as error:
                what = error.errors(include_url=False)[0]
                raise StoreError(
                    f"{self.path}: line {number} is no record ({'.'.join(map(str, what['loc']))}: {what['msg']}); "
                    "restore the file, or move that line out of it"
                ) from None

    def to_pandas(self) -> "pandas.DataFrame":
        """One row a timing, or a point without any: its knobs, outcome, reported values and medians."""
        from oomph.records.frames import to_frame

        return to_frame(self.records())

    def _heal(self) -> str | None:
        """Cut a torn last line off, which no reader has ever been given."""
        assert self._file is not None
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole == len(data):
            return None
        os.ftruncate(self._file, whole)
        return (
            f"{self.path}: the last line was torn (its writer was ended after {len(data) - whole} bytes of it) and has "
            "been cut off; its point will be measured again"
        )

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.folder} cannot be written ({error.strerror}); free or choose another place with --out, "
            "earlier records are untouched"
        )
