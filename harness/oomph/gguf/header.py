"""Reads the header of a GGUF file: metadata and tensor infos, in milliseconds.

Stands apart from `modelspec` because it knows the file format and nothing of models. The `gguf`
package builds a Python object for every string of the vocabulary, which takes seconds; an estimate
needs none of them, so long arrays are stepped over (`SkippedArray`). Everything read is untrusted:
each length is held against the file's end before it is used, and each error names the byte offset.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, both byte
orders).
"""

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from math import prod
from pathlib import Path
from typing import Final

from oomph.errors import ModelFileError
from oomph.frozen import frozen
from oomph.gguf.bounded_reader import Cursor
from oomph.gguf.ggml_types import QUANTS_BY_NUMBER, QuantType
from oomph.gguf.other_files import KNOWN_BY_BYTES, kind_of_start
from oomph.patterns import late_pattern

MAGIC: Final = b"GGUF"
MAX_DIMS: Final = 4
MAX_TENSORS: Final = 1 << 17
MAX_METADATA: Final = 1 << 16
MAX_NAME_BYTES: Final = 1 << 10
MAX_STRING_BYTES: Final = 1 << 20
KEPT_ARRAY: Final = 1024
"""Numeric arrays up to this length are kept (head counts by layer); longer ones are vocabularies,
stepped over."""

_NUMBER_FORMATS: Final = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
VALUE_TYPES: Final = {
    0: "u8",
    1: "i8",
    2: "u16",
    3: "i16",
    4: "u32",
    5: "i32",
    6: "f32",
    7: "bool",
    8: "str",
    9: "arr",
    10: "u64",
    11: "i64",
    12: "f64",
}
"""What llama.cpp calls GGUF's value types, by number (gguf_type_name)."""
STRING: Final = 8
_ARRAY: Final = 9


@frozen
class SkippedArray:
    """An array that was stepped over: what it holds and how many, not the items."""

    element_type: int
    count: int


Value = int | float | bool | str | tuple[int | float | bool, ...] | SkippedArray


@frozen
class TensorInfo:
    """One tensor as the header lists it: dimensions `ne` with the contiguous one first, bytes as
    stored."""

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


@frozen
class GGUFFile:
    """A header as read: `metadata` by key, `tensors` in file order, sizes in bytes (of all parts if
    split). `value_types` are the types that the metadata are stored in, of an array its items',
    where they are known."""

    name: str
    version: int
    big_endian: bool
    metadata: Mapping[str, Value]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int
    n_parts: int = 1
    value_types: Mapping[str, str] = field(default_factory=dict)


def _read_array(cursor: Cursor, key: str) -> tuple[Value, int]:
    """The array and its items' type."""
    at, element_type = cursor.pos, cursor.u32(f"the element type of {key!r}")
    count = cursor.u64(f"the length of {key!r}")
    if element_type == STRING:
        cursor.skip_strings(count, f"the strings of {key!r}")
        return SkippedArray(element_type=element_type, count=count), element_type
    if element_type not in _NUMBER_FORMATS:
        raise cursor.fail(
            f"{key!r} is an array of type {element_type}, which GGUF does not have or allow nested",
            at,
        )
    code = _NUMBER_FORMATS[element_type]
    if count <= KEPT_ARRAY:
        return cursor.numbers(code, count, f"the array {key!r}"), element_type
    cursor.skip(count * struct.calcsize("=" + code), f"the array {key!r}")
    return SkippedArray(element_type=element_type, count=count), element_type


def read_value(cursor: Cursor, key: str) -> tuple[Value, int]:
    """The value of metadata at the cursor and its type, as GGUF numbers them; ModelFileError for
    what GGUF does not have."""
    at, value_type = cursor.pos, cursor.u32(f"the type of {key!r}")
    if value_type == STRING:
        return cursor.string(f"the value of {key!r}", limit=MAX_STRING_BYTES), value_type
    if value_type == _ARRAY:
        return _read_array(cursor, key)
    if value_type not in _NUMBER_FORMATS:
        raise cursor.fail(f"{key!r} has the value type {value_type}, which GGUF does not have", at)
    value = cursor.numbers(_NUMBER_FORMATS[value_type], 1, f"the value of {key!r}")[0]
    return value, value_type


def read_name(cursor: Cursor, what: str) -> str:
    """The name at the cursor, called `what` where it is none (ModelFileError)."""
    at, name = cursor.pos, cursor.string(what, limit=MAX_NAME_BYTES)
    if not name:
        raise cursor.fail(f"{what} is empty or longer than {MAX_NAME_BYTES} bytes", at)
    return name


def _read_metadata(cursor: Cursor, count: int) -> tuple[dict[str, Value], dict[str, str]]:
    """The values by key, and what each is stored as."""
    metadata: dict[str, Value] = {}
    types: dict[str, str] = {}
    for _ in range(count):
        at, key = cursor.pos, read_name(cursor, "a metadata key")
        if key in metadata:
            raise cursor.fail(f"the metadata key {key!r} is there twice", at)
        metadata[key], value_type = read_value(cursor, key)
        types[key] = VALUE_TYPES[value_type]
    return metadata, types


def _read_tensor(cursor: Cursor) -> TensorInfo:
    at, name = cursor.pos, read_name(cursor, "a tensor's name")
    n_dims = cursor.u32(f"the number of dimensions of {name!r}")
    if not 1 <= n_dims <= MAX_DIMS:
        raise cursor.fail(
            f"tensor {name!r} has {n_dims} dimensions, 1 to {MAX_DIMS} are possible", at
        )
    ne = tuple(int(n) for n in cursor.numbers("Q", n_dims, f"the dimensions of {name!r}"))
    number, offset = cursor.u32(f"the type of {name!r}"), cursor.u64(f"the offset of {name!r}")
    if number not in QUANTS_BY_NUMBER:
        raise cursor.fail(f"tensor {name!r} has the unknown ggml type {number}", at)
    quant = QUANTS_BY_NUMBER[number]
    if min(ne) < 1 or prod(ne) >= 1 << 62 or ne[0] % quant.block:
        raise cursor.fail(
            f"tensor {name!r} has the impossible shape {list(ne)} for {quant.name}", at
        )
    return TensorInfo(name=name, ne=ne, quant=quant, offset=offset)


def _read_tensors(cursor: Cursor, count: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    for _ in range(count):
        at, tensor = cursor.pos, _read_tensor(cursor)
        if tensor.name in tensors:
            raise cursor.fail(f"the tensor {tensor.name!r} is there twice", at)
        tensors[tensor.name] = tensor
    return tuple(tensors.values())


def read_version(cursor: Cursor) -> tuple[int, bool]:
    """The version and whether the file is big-endian, to which the cursor is then set."""
    if cursor.take(4, "the magic") != MAGIC:
        raise cursor.fail("no GGUF magic", 0)
    raw = cursor.take(4, "the version")
    version, swapped = int.from_bytes(raw, "little"), int.from_bytes(raw, "big")
    big_endian = version & 0xFFFF == 0  # gguf.md: a byte-swapped version marks the other byte order
    if big_endian:
        version = swapped
        cursor.use_big_endian()
    if version not in (2, 3):
        raise cursor.fail(f"GGUF version {version}; 2 and 3 are supported", 4)
    return version, big_endian


def _check_data(
    cursor: Cursor, tensors: tuple[TensorInfo, ...], data_offset: int, file_bytes: int
) -> None:
    """Refuse tensors that lie on each other or past the file's end."""
    end, previous = 0, ""
    for tensor in sorted(tensors, key=lambda t: t.offset):
        if tensor.offset < end:
            raise cursor.fail(
                f"the data of {tensor.name!r} overlaps that of {previous!r}",
                data_offset + tensor.offset,
            )
        end, previous = tensor.offset + tensor.n_bytes, tensor.name
    if tensors and data_offset + end > file_bytes:
        raise cursor.fail(
            f"tensor data is not within the file bounds: {data_offset + end:,} bytes needed, "
            f"{file_bytes:,} there",
            file_bytes,
        )


def parse_header(
    buffer: mmap.mmap | bytes, *, name: str, file_bytes: int | None = None
) -> GGUFFile:
    """The header at the start of `buffer`; `file_bytes` is the whole file's size where the buffer
    is a prefix.

    Raises TruncatedHeaderError where a prefix ends before the header does, and ModelFileError,
    naming the byte offset, for anything that is not a complete GGUF header or whose tensors overlap
    or reach past `file_bytes`.
    """
    if kind := kind_of_start(buffer[:KNOWN_BY_BYTES]):
        raise ModelFileError(f"{name} is {kind}")
    cursor = Cursor(buffer, name=name, file_bytes=file_bytes)
    version, big_endian = read_version(cursor)
    n_tensors, n_metadata = cursor.u64("the tensor count"), cursor.u64("the metadata count")
    if n_tensors > MAX_TENSORS or n_metadata > MAX_METADATA:
        raise cursor.fail(
            f"{n_tensors} tensors and {n_metadata} metadata keys are not plausible", 8
        )
    cursor.require(
        14 * n_metadata + 33 * n_tensors, f"{n_metadata} metadata keys and {n_tensors} tensors", 8
    )
    metadata, value_types = _read_metadata(cursor, n_metadata)
    tensors = _read_tensors(cursor, n_tensors)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise cursor.fail(f"general.alignment is {alignment!r}, not a power of two")
    data_offset = -(-cursor.pos // alignment) * alignment
    total = len(buffer) if file_bytes is None else file_bytes
    _check_data(cursor, tensors, data_offset, total)
    return GGUFFile(
        name=name,
        version=version,
        big_endian=big_endian,
        metadata=metadata,
        tensors=tensors,
        data_offset=data_offset,
        file_bytes=total,
        value_types=value_types,
    )


def _read_part(path: Path) -> GGUFFile:
    try:
        if path.stat().st_size == 0:  # asked before it is opened, which waits for a pipe's writer
            raise ModelFileError(f"{path} is empty; download it again")
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer,
        ):
            return parse_header(buffer, name=str(path))
    except FileNotFoundError:
        raise ModelFileError(
            f"{path} does not exist; check the path, or run `oomph demo-model` for one to try"
        ) from None
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read ({error.strerror}); check path and permissions"
        ) from None


_SPLIT_NAME: Final = late_pattern(r"(?P<stem>.*)-(?P<no>\d{5})-of-(?P<count>\d{5})\.gguf")


def part_names(file: GGUFFile, file_name: str) -> list[str]:
    """The names of all parts of the split model that `file` is one of; just its own where it is
    whole.

    Raises ModelFileError where the metadata says split and the name does not (llama_split_path's
    format).
    """
    n_parts = file.metadata.get("split.count", 1)
    if not isinstance(n_parts, int) or n_parts <= 1:
        return [file_name]
    names = split_names(file_name)
    if len(names) != n_parts:
        raise ModelFileError(
            f"{file.name} says it is one of {n_parts} parts, but is not named like "
            f"-00001-of-{n_parts:05}.gguf"
        )
    return names


def split_names(file_name: str) -> list[str]:
    """The names of all parts of which `file_name` (`…-00001-of-0000N.gguf`) is one; just its own
    where it is none."""
    match = _SPLIT_NAME.fullmatch(file_name)
    if not match:
        return [file_name]
    return [
        f"{match['stem']}-{no:05}-of-{match['count']}.gguf"
        for no in range(1, int(match["count"]) + 1)
    ]


def first_part(file_name: str) -> str:
    """The name of the split model's first part that `file_name` is a part of; its own where it is
    none."""
    match = _SPLIT_NAME.fullmatch(file_name)
    return f"{match['stem']}-00001-of-{match['count']}.gguf" if match else file_name


def join_parts(parts: Sequence[GGUFFile]) -> GGUFFile:
    """The parts of a split model as one: the first part's metadata, all tensors, all bytes."""
    return replace(
        parts[0],
        tensors=tuple(tensor for part in parts for tensor in part.tensors),
        file_bytes=sum(part.file_bytes for part in parts),
        n_parts=len(parts),
    )


def read_gguf(path: Path | str) -> GGUFFile:
    """The header of the file at `path`; of a split model (`-00001-of-0000N`) the headers of all its
    parts.

    Raises ModelFileError naming the file and the byte offset, or the part that is missing.
    """
    path = Path(path)
    file = _read_part(path)
    names = part_names(file, path.name)
    return join_parts(
        [file if name == path.name else _read_part(path.with_name(name)) for name in names]
    )
