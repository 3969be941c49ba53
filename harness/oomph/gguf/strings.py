"""The strings of an array that `oomph.gguf.header` steps over: a vocabulary's texts."""

import mmap
from pathlib import Path
from typing import Final

from oomph.errors import ModelFileError
from oomph.gguf.bounded_reader import Cursor
from oomph.gguf.header import STRING, read_name, read_value, read_version

_ARRAY: Final = 9


def read_strings(path: Path, key: str) -> tuple[bytes, ...]:
    """The strings of the array `key` in the metadata of the file at `path`; none where there is no
    such array. ModelFileError for a file that cannot be read or is no GGUF."""
    try:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
        ):
            return _strings(Cursor(buffer, name=str(path)), key)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"{path} cannot be read ({error}); check the path") from None


def _strings(cursor: Cursor, key: str) -> tuple[bytes, ...]:
    read_version(cursor)
    cursor.u64("the tensor count")
    for _ in range(cursor.u64("the metadata count")):
        if read_name(cursor, "a metadata key") != key:
            read_value(cursor, key)
            continue
        kinds = cursor.u32(f"the type of {key!r}"), cursor.u32(f"the element type of {key!r}")
        if kinds != (_ARRAY, STRING):
            return ()
        count = cursor.u64(f"the length of {key!r}")
        cursor.require(8 * count, key)
        return tuple(cursor.take(cursor.u64(key), key) for _ in range(count))
    return ()
