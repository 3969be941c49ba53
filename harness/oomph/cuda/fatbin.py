"""The GPU code in a library: native code and PTX, by the compute capability that it is for.

CUDA's compiler keeps it in the section `.nv_fatbin` as fat binaries one after another, each a
header and entries. NVIDIA does not document the layout; the fields used here are those that change
with the options of nvcc 13.0, and a test compiles some kernels to hold them to that where nvcc is
installed.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from oomph.cuda.elf import read_elf
from oomph.errors import ToolchainError
from oomph.frozen import frozen

SECTION: Final = ".nv_fatbin"
_MAGIC: Final = 0xBA55ED50
_PTX, _NATIVE = 1, 2
_ARCH_SPECIFIC, _FAMILY_SPECIFIC = 1 << 20, 1 << 21

Version: TypeAlias = tuple[int, int]
"""A major and a minor number: a compute capability, a CUDA version, a PTX ISA version."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class GpuCode:
    """Code for one kind of card. `is_ptx` is code that the driver compiles on the user's machine,
    and `isa` then its PTX ISA version, (0, 0) for native code.

    `suffix` is nvcc's: "a" for code that runs on this very compute capability only, "f" on its
    family, "" on later ones too.
    """

    is_ptx: bool
    capability: Version
    suffix: str = ""
    isa: Version = (0, 0)

    def __str__(self) -> str:
        return f"{dotted(self.capability)}{self.suffix}"

    def runs_on(self, capability: Version) -> bool:
        """Whether a card of this compute capability takes it: CUDA C++ Programming Guide, "Binary
        Compatibility", "PTX Compatibility" and "Family-Specific Features"."""
        if self.suffix == "a":
            return capability == self.capability
        if self.is_ptx and not self.suffix:
            return capability >= self.capability
        return capability[0] == self.capability[0] and capability >= self.capability


@frozen
class FatbinEntry:
    """One piece of code in the file, header and padding included. `plain_bytes` is the code's size
    uncompressed, 0 where it is not compressed; `code` is None for a kind not known here."""

    offset: int
    size: int
    code: GpuCode | None
    plain_bytes: int


@frozen
class FatBinary:
    """The code of one source file: a header and `entries`. `size` is that of both."""

    offset: int
    header_size: int
    size: int
    entries: tuple[FatbinEntry, ...]


def read_gpu_code(library: Path) -> tuple[GpuCode, ...]:
    """The kinds of code in the library, each once, native first; none where it has no GPU code.

    ToolchainError for a file that is no whole ELF library. Reads headers only: 0.2 s for 130 MB of
    code.
    """
    found = (entry.code for binary in read_fat_binaries(library) for entry in binary.entries)
    return tuple(sorted({code for code in found if code}))


def read_fat_binaries(library: Path) -> tuple[FatBinary, ...]:
    """The fat binaries in the library, in its order; the same errors."""
    section = read_elf(library).sections.get(SECTION)
    if section is None:
        return ()
    try:
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return tuple(_fat_binaries(data, section.offset, section.offset + section.size))
    except struct.error:
        raise ToolchainError(
            f"{library} ends within its GPU code; take it again from where it came"
        ) from None


def in_words(codes: tuple[GpuCode, ...]) -> str:
    """`native for 8.6, 8.9; PTX (ISA 9.1) for 7.5, 8.0`."""
    parts = []
    for is_ptx in (False, True):
        chosen = [code for code in codes if code.is_ptx is is_ptx]
        if chosen:
            kind = (
                f"PTX (ISA {', '.join(sorted({dotted(code.isa) for code in chosen}))})"
                if is_ptx
                else "native"
            )
            parts.append(f"{kind} for {', '.join(map(str, chosen))}")
    return "; ".join(parts) or "no GPU code"


def dotted(version: Version) -> str:
    """`13.1` of (13, 1)."""
    return f"{version[0]}.{version[1]}"


def _fat_binaries(data: mmap.mmap, at: int, end: int) -> Iterator[FatBinary]:
    while at + 16 <= end:
        magic, _, header_size, size = struct.unpack_from("<IHHQ", data, at)
        if magic != _MAGIC:  # between two of them is padding
            at += 8
            continue
        last = at + header_size + size
        entries = tuple(_entries(data, at + header_size, last))
        yield FatBinary(
            offset=at, header_size=header_size, size=header_size + size, entries=entries
        )
        at = last


def _entries(data: mmap.mmap, at: int, last: int) -> Iterator[FatbinEntry]:
    while at < last:
        kind, _, header, size, _, _, minor, major, arch = struct.unpack_from("<HHIQIIHHI", data, at)
        flags, _, plain_bytes = struct.unpack_from("<QQQ", data, at + 40)
        code = None
        if kind in (_PTX, _NATIVE):
            suffix = "a" if flags & _ARCH_SPECIFIC else "f" if flags & _FAMILY_SPECIFIC else ""
            isa = (major, minor) if kind == _PTX else (0, 0)
            code = GpuCode(is_ptx=kind == _PTX, capability=divmod(arch, 10), suffix=suffix, isa=isa)
        if not header + size:
            raise struct.error
        yield FatbinEntry(offset=at, size=header + size, code=code, plain_bytes=plain_bytes)
        at += header + size
