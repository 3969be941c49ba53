"""Writes a copy of a CUDA library with the GPU code of some cards only; zeros for the rest.

The host code points at each fat binary, so one may shrink but must stay where it is. In the copy
everything lies where it lay: in a fat binary the kept entries close ranks behind the header, the
header says the smaller size (what NVIDIA's `fatbinary` writes for fewer architectures), and zeros
stand where the rest was.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from oomph.cuda.elf import ElfSection, read_elf
from oomph.cuda.fatbin import (
    SECTION,
    FatBinary,
    FatbinEntry,
    Version,
    dotted,
    in_words,
    read_fat_binaries,
)
from oomph.errors import ToolchainError

_SIZE_AT: Final = 8
"""Where a fat binary's header has the size of its entries."""
_WRAPPERS: Final = ".nvFatBinSegment"
_WRAPPER_SIZE: Final = 24
"""struct of what the host code registers: magic, version, address of the fat binary, one word
unused."""
_WRAPPER_MAGIC: Final = 0x466243B1
_RELOCATION: Final = struct.Struct("<QQq")
_R_X86_64_RELATIVE: Final = 8


def cut_library(
    library: Path,
    target: Path,
    capabilities: Sequence[Version],
    compiled: Mapping[int, bytes] | None = None,
) -> None:
    """Write `library` to `target` with the code that cards of `capabilities` take, and no other.

    For each that is the native code, or else the newest PTX. `compiled` has entries to put in the
    place of PTX, by the offset of their fat binary (`oomph.cuda.native`). ToolchainError where the
    library has no code for such a card, or does not register its code in the way known here.
    """
    binaries = read_fat_binaries(library)
    _require_known(library, binaries)
    data = bytearray(library.read_bytes())
    for binary in binaries:
        fresh = (compiled or {}).get(binary.offset, b"")
        kept = serving(binary, capabilities, library)
        if fresh:
            kept = [entry for entry in kept if entry.code and not entry.code.is_ptx]
        code = b"".join(data[entry.offset : entry.offset + entry.size] for entry in kept) + fresh
        first, last = binary.offset + binary.header_size, binary.offset + binary.size
        if len(code) > last - first:
            raise ToolchainError(
                f"the code compiled for {library} is larger than what it replaces; leave the cut "
                "out"
            )
        struct.pack_into("<Q", data, binary.offset + _SIZE_AT, len(code))
        data[first:last] = code.ljust(last - first, b"\0")
    target.write_bytes(data)


def serving(binary: FatBinary, capabilities: Sequence[Version], library: Path) -> list[FatbinEntry]:
    """The entries that the driver takes on cards of `capabilities`, in their order; ToolchainError
    where there is none for one."""
    kept: set[FatbinEntry] = set()
    for capability in capabilities:
        fitting = [
            entry for entry in binary.entries if entry.code and entry.code.runs_on(capability)
        ]
        native = [entry for entry in fitting if entry.code and not entry.code.is_ptx]
        if not fitting:
            there = tuple(sorted({entry.code for entry in binary.entries if entry.code}))
            raise ToolchainError(
                f"{library.name} has no code that a card of compute capability "
                f"{dotted(capability)} takes: it has "
                f"{in_words(there)}; name another with --cuda-arch"
            )
        kept.add(
            max(
                native or fitting, key=lambda entry: entry.code.capability if entry.code else (0, 0)
            )
        )
    return [entry for entry in binary.entries if entry in kept]


def _require_known(library: Path, binaries: Sequence[FatBinary]) -> None:
    """ToolchainError unless what the host code registers is exactly the fat binaries found."""
    sections = read_elf(library).sections
    if not binaries or _WRAPPERS not in sections or ".rela.dyn" not in sections:
        raise ToolchainError(
            f"{library} has no GPU code, or none that it registers at its start; leave the cut out"
        )
    code = sections[SECTION]
    found = {code.address + binary.offset - code.offset for binary in binaries}
    if found != set(_registered(library.read_bytes(), sections)):
        raise ToolchainError(
            f"{library} registers GPU code that is not where its section has it; leave the cut out"
        )


def _registered(data: bytes, sections: Mapping[str, ElfSection]) -> Iterator[int]:
    """The addresses that the host code hands to CUDA: the relocated words of its wrappers."""
    wrappers, relocations = sections[_WRAPPERS], sections[".rela.dyn"]
    for at in range(wrappers.offset, wrappers.offset + wrappers.size, _WRAPPER_SIZE):
        if struct.unpack_from("<I", data, at) != (_WRAPPER_MAGIC,):
            yield -1  # no wrapper, and no address of a fat binary
    for at in range(relocations.offset, relocations.offset + relocations.size, _RELOCATION.size):
        address, kind, addend = _RELOCATION.unpack_from(data, at)
        if (
            kind == _R_X86_64_RELATIVE
            and wrappers.address <= address < wrappers.address + wrappers.size
        ):
            yield addend
