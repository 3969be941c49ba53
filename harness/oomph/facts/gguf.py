"""Reads the header of a GGUF file: metadata and tensor infos, in milliseconds.

Stands apart from `modelspec` because it knows the file format and nothing of models. The `gguf` package builds
a Python object for every string of the vocabulary, which takes seconds; an estimate needs none of them, so
long arrays are stepped over (`SkippedArray`). Everything read is untrusted: each length is held against the
file's end before it is used, and each error names the byte offset.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, both byte orders).
"""

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final, Protocol

from oomph.errors import ModelFileError
from oomph.facts.quants import QUANTS_BY_NUMBER, QuantType

MAGIC: Final = b"GGUF"
MAX_DIMS: Final = 4
MAX_TENSORS: Final = 1 << 20
MAX_METADATA: Final = 1 << 16
MAX_NAME_BYTES: Final = 1 << 16
MAX_STRING_BYTES: Final = 1 << 20
KEPT_ARRAY: Final = 1024
"""Numeric arrays up to this length are kept (head counts by layer); longer ones are vocabularies, stepped over."""

_NUMBER_FORMATS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """An array that was stepped over: what it holds and how many, not the items."""

    element_type: int
    count: int


Value = int | float | bool | str | tuple[int | float | bool, ...] | SkippedArray


class Buffer(Protocol):
    """What the reader needs of bytes: a length and slices; mmap, bytes and a remote file have both."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor as the header lists it: dimensions `ne` with the contiguous one first, bytes as stored."""

    name: str
    ne: tuple[int, ...]
    quant: QuantType
    offset: int = 0

    @property
    def n_elements(self) -> int:
        """Number of weights."""
        return prod(self.ne)

    @property
    def n_bytes(self) -> int:
        """Bytes in the file (ggml_nbytes of a contiguous tensor)."""
        return self.quant.row_bytes(self.ne[0]) * prod(self.ne[1:])


@dataclass(frozen=True, slots=True, kw_only=True)
class GGUFFile:
    """A header as read: `metadata` by key, `tensors` in file order, sizes in bytes (of all parts if split)."""

    name: str
    version: int
    big_endian: bool
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int
    n_parts: int = 1


class _Cursor:
    """A position in a buffer of known size that refuses to run past its end."""

    __slots__ = ("_buffer", "_order", "_size", "name", "pos")

    def __init__(self, buffer: "mmap.mmap | bytes", name: str) -> None:
        self._buffer, self._size, self._order = buffer, len(buffer), "<"
        self.name, self.pos = name, 0

    def fail(self, what: str, at: int | None = None) -> ModelFileError:
        where = self.pos if at is None else at
        return ModelFileError(f"{self.name}: {what} at byte {where}; is the download complete and really GGUF?")

    def set_big_endian(self) -> None:
        self._order = ">"

    def take(self, n_bytes: int, what: str) -> bytes:
        end = self.pos + n_bytes
        if end > self._size:
            raise self.fail(f"the file ends inside {what} ({n_bytes} bytes wanted, {self._size - self.pos} left)")
        piece = self._buffer[self.pos : end]
        self.pos = end
        return piece

    def number(self, code: str, what: str) -> int | float | bool:
        layout = struct.Struct(self._order + code)
        value: int | float | bool = layout.unpack(self.take(layout.size, what))[0]
        return value

    def u32(self, what: str) -> int:
        return int(self.number("I", what))

    def u64(self, what: str) -> int:
        return int(self.number("Q", what))

    def string(self, what: str, limit: int = MAX_STRING_BYTES) -> str:
        at, n_bytes = self.pos, self.u64(f"the length of {what}")
        if n_bytes > self._size - self.pos:
            raise self.fail(f"{what} claims {n_bytes} bytes and the file has {self._size - self.pos} left", at)
        if n_bytes > limit:  # a chat template may be long; nothing that is needed is
            self.pos += n_bytes
            return ""
        return self.take(n_bytes, what).decode("utf-8", errors="replace")

    def skip_strings(self, count: int, what: str) -> None:
        """Step over `count` strings: the loop that a vocabulary's 150,000 tokens go through."""
        unpack, buffer, pos, last = struct.Struct(self._order + "Q").unpack_from, self._buffer, self.pos, self._size - 8
        try:
            for _ in range(count):
                if pos > last:
                    raise struct.error
                pos += 8 + unpack(buffer, pos)[0]
        except (struct.error, OverflowError):
            raise self.fail(f"the file ends inside {what}", min(pos, self._size)) from None
        if pos > self._size:
            raise self.fail(f"the file ends inside {what}", self._size)
        self.pos = pos

    def skip(self, n_bytes: int, what: str) -> None:
        if n_bytes > self._size - self.pos:
            raise self.fail(f"the file ends inside {what} ({n_bytes} bytes wanted)")
        self.pos += n_bytes


def _read_array(cursor: _Cursor, key: str) -> Value:
    at, element_type = cursor.pos, cursor.u32(f"the element type of {key!r}")
    count = cursor.u64(f"the length of {key!r}")
    if element_type == _STRING:
        cursor.skip_strings(count, f"the strings of {key!r}")
        return SkippedArray(element_type, count)
    if element_type not in _NUMBER_FORMATS:
        raise cursor.fail(f"{key!r} is an array of type {element_type}, which GGUF does not have or allow nested", at)
    code = _NUMBER_FORMATS[element_type]
    if count > KEPT_ARRAY:
        cursor.skip(count * struct.calcsize("=" + code), f"the array {key!r}")
        return SkippedArray(element_type, count)
    return tuple(cursor.number(code, f"the array {key!r}") for _ in range(count))


def _read_value(cursor: _Cursor, key: str) -> Value:
    at, value_type = cursor.pos, cursor.u32(f"the type of {key!r}")
    if value_type == _STRING:
        return cursor.string(f"the value of {key!r}")
    if value_type == _ARRAY:
        return _read_array(cursor, key)
    if value_type not in _NUMBER_FORMATS:
        raise cursor.fail(f"{key!r} has the value type {value_type}, which GGUF does not have", at)
    return cursor.number(_NUMBER_FORMATS[value_type], f"the value of {key!r}")


def _read_tensor(cursor: _Cursor) -> TensorInfo:
    at = cursor.pos
    name = cursor.string("a tensor's name", MAX_NAME_BYTES)
    n_dims = cursor.u32(f"the dimensions of {name!r}")
    if not 1 <= n_dims <= MAX_DIMS:
        raise cursor.fail(f"tensor {name!r} has {n_dims} dimensions, 1 to {MAX_DIMS} are possible", at)
    ne = tuple(cursor.u64(f"the dimensions of {name!r}") for _ in range(n_dims))
    number = cursor.u32(f"the type of {name!r}")
    offset = cursor.u64(f"the offset of {name!r}")
    if number not in QUANTS_BY_NUMBER:
        raise cursor.fail(f"tensor {name!r} has the unknown ggml type {number}", at)
    quant = QUANTS_BY_NUMBER[number]
    if min(ne) < 1 or prod(ne) >= 1 << 62 or ne[0] % quant.block:
        raise cursor.fail(f"tensor {name!r} has the impossible shape {list(ne)} for {quant.name}", at)
    return TensorInfo(name=name, ne=ne, quant=quant, offset=offset)


def _check_data(cursor: _Cursor, tensors: tuple[TensorInfo, ...], data_offset: int, file_bytes: int) -> None:
    end, previous = 0, None
    for tensor in sorted(tensors, key=lambda t: t.offset):
        if tensor.offset < end:
            raise cursor.fail(f"the data of {tensor.name!r} overlaps that of {previous!r}", data_offset + tensor.offset)
        end, previous = tensor.offset + tensor.n_bytes, tensor.name
    if data_offset + end > file_bytes:
        raise cursor.fail(
            f"tensor data is not within the file bounds: {data_offset + end:,} bytes needed, {file_bytes:,} there",
            file_bytes,
        )


def parse_header(buffer: "mmap.mmap | bytes", *, name: str, file_bytes: int | None = None) -> GGUFFile:
    """The header at the start of `buffer`; `file_bytes` is the whole file's size where the buffer is a prefix.

    Raises ModelFileError, naming the byte offset, for anything that is not a complete GGUF header or whose
    tensors overlap or reach past `file_bytes`.
    """
    cursor = _Cursor(buffer, name)
    if cursor.take(4, "the magic") != MAGIC:
        raise cursor.fail("no GGUF magic", 0)
    raw_version = cursor.take(4, "the version")
    version, big_endian = int.from_bytes(raw_version, "little"), False
    if version & 0xFFFF == 0:  # gguf.md: a byte-swapped version marks the other byte order
        version, big_endian = int.from_bytes(raw_version, "big"), True
        cursor.set_big_endian()
    if version not in (2, 3):
        raise cursor.fail(f"GGUF version {version}; 2 and 3 are supported", 4)
    n_tensors, n_metadata = cursor.u64("the tensor count"), cursor.u64("the metadata count")
    if n_tensors > MAX_TENSORS or n_metadata > MAX_METADATA:
        raise cursor.fail(f"{n_tensors} tensors and {n_metadata} metadata keys are not plausible", 8)
    metadata: dict[str, Value] = {}
    for _ in range(n_metadata):
        key = cursor.string("a metadata key", MAX_NAME_BYTES)
        metadata[key] = _read_value(cursor, key)
    tensors = tuple(_read_tensor(cursor) for _ in range(n_tensors))
    if len({tensor.name for tensor in tensors}) != n_tensors:
        raise cursor.fail("two tensors share a name")
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise cursor.fail(f"general.alignment is {alignment!r}, not a power of two")
    data_offset = -(-cursor.pos // alignment) * alignment
    total = len(buffer) if file_bytes is None else file_bytes
    _check_data(cursor, tensors, data_offset, total)
    return GGUFFile(
        name=name, version=version, big_endian=big_endian, metadata=metadata, tensors=tensors,
        data_offset=data_offset, file_bytes=total,
    )  # fmt: skip


def _read_part(path: Path) -> GGUFFile:
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise ModelFileError(f"{path} is empty; download it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
                return parse_header(buffer, name=str(path))
    except FileNotFoundError:
        raise ModelFileError(
            f"{path} does not exist; check the path, or run `oomph demo-model` for one to try"
        ) from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror}); check its permissions") from None


_SPLIT_NAME: Final = re.compile(r"(?P<stem>.*)-(?P<no>\d{5})-of-(?P<count>\d{5})\.gguf")


def read_gguf(path: Path | str) -> GGUFFile:
    """The header of the file at `path`; of a split model (`-00001-of-0000N`) the headers of all its parts.

    Raises ModelFileError naming the file and the byte offset, or the part that is missing.
    """
    path = Path(path)
    first = _read_part(path)
    n_parts = first.metadata.get("split.count", 1)
    if not isinstance(n_parts, int) or n_parts <= 1:
        return first
    match = _SPLIT_NAME.fullmatch(path.name)
    if not match or int(match["count"]) != n_parts:
        raise ModelFileError(
            f"{path} says it is one of {n_parts} parts, but is not named like -00001-of-{n_parts:05}.gguf"
        )
    parts = [
        _read_part(path.with_name(f"{match['stem']}-{no:05}-of-{n_parts:05}.gguf")) for no in range(1, n_parts + 1)
    ]
    return GGUFFile(
        name=parts[0].name, version=first.version, big_endian=first.big_endian, metadata=parts[0].metadata,
        tensors=tuple(tensor for part in parts for tensor in part.tensors), data_offset=parts[0].data_offset,
        file_bytes=sum(part.file_bytes for part in parts), n_parts=n_parts,
    )  # fmt: skip
