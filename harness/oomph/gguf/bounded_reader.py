"""A position in untrusted bytes that never runs past their end.

Stands apart from `gguf` so that every length read from a file is held against what is there in one
place. The bytes may be the first part of a file that is still far away (`oomph.gguf.remote`): then
running past them is `TruncatedHeaderError`, which says how many bytes to fetch, and running past
the file's own end is malformed.
"""

import mmap
import struct
from typing import Final

from oomph.errors import ModelFileError

MAX_HEADER_BYTES: Final = 128 << 20
"""No header is longer (a vocabulary of 262,144 tokens takes 15 MiB): a zeroed file of 20 GB ends
the reading here."""
KEPT_TEXT_BYTES: Final = 4 << 20
"""Names and strings kept of one header, together; a real one, chat template included, has some 200
KiB."""


class TruncatedHeaderError(ModelFileError):
    """The bytes given end before the header does; `needed_bytes` of the file are wanted at
    least."""

    def __init__(self, message: str, *, needed_bytes: int) -> None:
        super().__init__(message)
        self.needed_bytes = needed_bytes


class Cursor:
    """Reads numbers and strings from `buffer`, the start of a file of `file_bytes` bytes called
    `name`."""

    __slots__ = ("_buffer", "_file_bytes", "_kept", "_order", "_size", "name", "pos")

    def __init__(
        self, buffer: mmap.mmap | bytes, *, name: str, file_bytes: int | None = None
    ) -> None:
        self._buffer, self._size = buffer, len(buffer)
        self._file_bytes = self._size if file_bytes is None else file_bytes
        self._order, self._kept = "<", 0
        self.name, self.pos = name, 0

    @property
    def remaining(self) -> int:
        """Bytes of the file behind the position, fetched or not."""
        return self._file_bytes - self.pos

    def use_big_endian(self) -> None:
        """Read what follows with the most significant byte first."""
        self._order = ">"

    def fail(self, what: str, at: int | None = None) -> ModelFileError:
        """The error that says what is wrong at which byte, to be raised by the caller."""
        where = self.pos if at is None else at
        return ModelFileError(
            f"{self.name}: {what} at byte {where}; is the download complete and really GGUF?"
        )

    def require(self, n_bytes: int, what: str, at: int | None = None) -> None:
        """Raise unless `n_bytes` more are at hand: malformed past the file's end, truncated past
        the buffer's."""
        if n_bytes > self.remaining:
            raise self.fail(
                f"the file ends inside {what} ({n_bytes} bytes wanted, {max(self.remaining, 0)} "
                "left)",
                at,
            )
        if self.pos + n_bytes > MAX_HEADER_BYTES:
            raise self.fail(
                f"the header with {what} is longer than {MAX_HEADER_BYTES >> 20} MiB", at
            )
        if self.pos + n_bytes > self._size:
            raise TruncatedHeaderError(
                f"{self.name}: the first {self._size} bytes end inside {what}",
                needed_bytes=self.pos + n_bytes,
            )

    def take(self, n_bytes: int, what: str) -> bytes:
        """The next `n_bytes` as they are."""
        self.require(n_bytes, what)
        start = self.pos
        self.pos += n_bytes
        return self._buffer[start : self.pos]

    def skip(self, n_bytes: int, what: str) -> None:
        """Step over `n_bytes`."""
        self.require(n_bytes, what)
        self.pos += n_bytes

    def numbers(self, code: str, count: int, what: str) -> tuple[int | float | bool, ...]:
        """`count` numbers of struct's format `code`."""
        layout = struct.Struct(f"{self._order}{count}{code}")
        return layout.unpack(self.take(layout.size, what))

    def u32(self, what: str) -> int:
        """An unsigned number of 4 bytes."""
        return int(self.numbers("I", 1, what)[0])

    def u64(self, what: str) -> int:
        """An unsigned number of 8 bytes."""
        return int(self.numbers("Q", 1, what)[0])

    def string(self, what: str, *, limit: int) -> str:
        """A string with its length in front; one longer than `limit` bytes is stepped over and
        comes back empty."""
        at, n_bytes = self.pos, self.u64(f"the length of {what}")
        self.require(n_bytes, what, at)
        if n_bytes > limit:
            self.pos += n_bytes
            return ""
        self._kept += n_bytes
        if self._kept > KEPT_TEXT_BYTES:
            raise self.fail(
                f"the header holds more than {KEPT_TEXT_BYTES >> 20} MiB of names and strings", at
            )
        return self.take(n_bytes, what).decode("utf-8", errors="replace")

    def skip_strings(self, count: int, what: str) -> None:
        """Step over `count` strings: the loop that a vocabulary's 150,000 tokens and as many merges
        go through."""
        self.require(8 * count, what)
        unpack, buffer, end = struct.Struct(self._order + "Q").unpack_from, self._buffer, self.pos
        try:
            for _ in range(count):
                end += 8 + unpack(buffer, end)[0]
        except (struct.error, OverflowError):  # a length that is not within the buffer
            end += 8
        self.skip(end - self.pos, what)
