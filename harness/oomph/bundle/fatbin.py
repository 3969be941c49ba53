"""Reads which GPU code a CUDA library holds, and writes a copy with that of some cards only.

nvcc puts the device code of each source file into a container in the section `.nv_fatbin`: a header, then one entry
for each architecture, machine code (a cubin) or PTX that the driver compiles for the card at first use. The host code
points at the containers, from `.nvFatBinSegment`. So a container may shrink but must stay where it is: the copy has
the same layout, the kept entries close ranks behind the header, the header says the smaller size (what `fatbinary`
writes for fewer architectures), and zeros stand where the rest was. The copy is as long, and compresses to its content.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oomph.errors import ToolchainError

PTX: Final = 1
CUBIN: Final = 2
_CONTAINER: Final = struct.Struct("<IHHQ")
_CONTAINER_MAGIC: Final = 0xBA55ED50
_ENTRY: Final = struct.Struct("<HHIQII4xI")
"""kind, version, header bytes, payload bytes with padding, compressed bytes, …, architecture (86 is 8.6)."""
_WRAPPER: Final = struct.Struct("<IIQQ")
"""What the host code registers: magic, version, address of the container, unused."""
_WRAPPER_MAGIC: Final = 0x466243B1
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_RELOCATION: Final = struct.Struct("<QQq")
_R_X86_64_RELATIVE: Final = 8
_CODE_SECTION: Final = ".nv_fatbin"
_WRAPPER_SECTION: Final = ".nvFatBinSegment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The code of one source file for one architecture: `offset` and `n_bytes` in the library, header and padding
    included."""

    kind: int
    architecture: int
    offset: int
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The code of one source file; `n_bytes` is that of the header and all entries."""

    offset: int
    n_bytes: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    address: int
    offset: int
    n_bytes: int
    kind: int


def read_containers(library: Path) -> tuple[Container, ...]:
    """The device code in `library`; ToolchainError where it is no CUDA library of the known layout."""
    return _containers(library.read_bytes(), library)


def describe_architectures(containers: Sequence[Container]) -> str:
    """The architectures, with PTX named as such: `PTX 7.5, PTX 8.0, 8.6, 8.9`."""
    found = sorted({(entry.architecture, entry.kind) for container in containers for entry in container.entries})
    return ", ".join(f"{'PTX ' * (kind == PTX)}{capability(architecture)}" for architecture, kind in found)


def capability(architecture: int) -> str:
    """`90` as NVIDIA writes a compute capability: `9.0`."""
    return f"{architecture // 10}.{architecture % 10}"


def cut_library(library: Path, target: Path, architectures: Sequence[int]) -> tuple[Container, ...]:
    """Write `library` to `target` with the code for cards of `architectures` (90 is 9.0) only; what was kept.

    For each architecture that is its machine code, or else the newest PTX that the driver can compile for it.
    ToolchainError where `library` has no code that such a card could run, or has an unknown layout.
    """
    data = bytearray(library.read_bytes())
    for container in _containers(data, library):
        kept = _serving(container, architectures, library)
        code = b"".join(data[entry.offset : entry.offset + entry.n_bytes] for entry in kept)
        magic, version, header, _ = _CONTAINER.unpack_from(data, container.offset)
        _CONTAINER.pack_into(data, container.offset, magic, version, header, len(code))
        begin, end = container.offset + header, container.offset + container.n_bytes
        data[begin:end] = code.ljust(end - begin, b"\0")
    target.write_bytes(data)
    return _containers(data, target)


def _serving(container: Container, architectures: Sequence[int], library: Path) -> list[Entry]:
    """The entries that the driver would choose on cards of `architectures`, in their order in the container."""
    kept: set[Entry] = set()
    for wanted in architectures:
        native = [entry for entry in container.entries if entry.kind == CUBIN and entry.architecture == wanted]
        ptx = [entry for entry in container.entries if entry.kind == PTX and entry.architecture <= wanted]
        newest = sorted(ptx, key=lambda entry: entry.architecture)[-1:]
        if not (native or newest):
            raise ToolchainError(
                f"{library.name} has no code that a card of compute capability {capability(wanted)} can run: it has "
                f"{describe_architectures([container])}; name another with --cuda-arch"
            )
        kept.update(native or newest)
    return [entry for entry in container.entries if entry in kept]


def _containers(data: bytes | bytearray, library: Path) -> tuple[Container, ...]:
    try:
        sections = _sections(data)
        found = tuple(_walk(data, sections[_CODE_SECTION]))
        registered = set(_registered(data, sections))
    except (struct.error, KeyError, IndexError, ValueError):
        raise ToolchainError(
            f"{library} is no CUDA library of the layout known here; take the whole file, without --cuda-arch"
        ) from None
    if registered != {sections[_CODE_SECTION].address + one.offset - sections[_CODE_SECTION].offset for one in found}:
        raise ToolchainError(
            f"{library} registers device code that is not where its section has it; take the whole file, without "
            "--cuda-arch"
        )
    return found


def _walk(data: bytes | bytearray, section: _Section) -> Iterator[Container]:
    """The containers one after the other; between them are zeros: alignment, or what a cut left."""
    at, end = section.offset, section.offset + section.n_bytes
    while at < end:
        magic, _, header, n_code = _CONTAINER.unpack_from(data, at)
        if magic == 0:
            at += 8
            continue
        n_bytes = header + n_code
        if magic != _CONTAINER_MAGIC or at + n_bytes > end:
            raise ValueError(at)
        yield Container(offset=at, n_bytes=n_bytes, entries=tuple(_entries(data, at + header, at + n_bytes)))
        at += n_bytes + -n_bytes % 8


def _entries(data: bytes | bytearray, at: int, end: int) -> Iterator[Entry]:
    while at < end:
        kind, _, header, payload, _, _, architecture = _ENTRY.unpack_from(data, at)
        n_bytes = header + payload
        if kind not in (PTX, CUBIN) or header < _ENTRY.size or at + n_bytes > end:
            raise ValueError(at)
        yield Entry(kind=kind, architecture=architecture, offset=at, n_bytes=n_bytes)
        at += n_bytes


def _registered(data: bytes | bytearray, sections: dict[str, _Section]) -> Iterator[int]:
    """The addresses of the containers that the host code hands to CUDA: the relocated words of the wrappers."""
    wrappers = sections[_WRAPPER_SECTION]
    for at in range(wrappers.offset, wrappers.offset + wrappers.n_bytes, _WRAPPER.size):
        if _WRAPPER.unpack_from(data, at)[0] != _WRAPPER_MAGIC:
            raise ValueError(at)
    table = sections[".rela.dyn"]
    for at in range(table.offset, table.offset + table.n_bytes, _RELOCATION.size):
        address, kind, addend = _RELOCATION.unpack_from(data, at)
        if kind == _R_X86_64_RELATIVE and wrappers.address <= address < wrappers.address + wrappers.n_bytes:
            yield addend


def _sections(data: bytes | bytearray) -> dict[str, _Section]:
    """The sections of a 64-bit little-endian ELF file by name."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no ELF file of that kind")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, n, names_index = struct.unpack_from("<HHH", data, 0x3A)
    rows = [_SECTION.unpack_from(data, table + i * size) for i in range(n)]
    names = rows[names_index][4]
    found = {}
    for name, kind, _, address, offset, n_bytes, *_ in rows:
        text = bytes(data[names + name : data.index(0, names + name)]).decode("ascii")
        found[text] = _Section(address=address, offset=offset, n_bytes=n_bytes, kind=kind)
    return found
