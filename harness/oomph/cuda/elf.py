"""A 64-bit ELF library read without loading it: what it needs, imports, exports and holds."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path
from typing import Final

from oomph.errors import ToolchainError
from oomph.frozen import frozen

_MAGIC: Final = b"\x7fELF\x02\x01"
"""64 bits, little-endian."""
_NEEDED, _SONAME = 1, 14
_WEAK: Final = 2


@frozen
class ElfSection:
    """A named piece of the file, in bytes from its beginning, at `address` in the program; `link`
    is the number of the section of its strings."""

    address: int
    offset: int
    size: int
    link: int


@frozen
class Elf:
    """`needed` are the sonames that the loader must find, `imports` the symbols that others must
    have (weak ones left out), `exports` those that it has for others."""

    path: Path
    soname: str | None
    needed: tuple[str, ...]
    imports: frozenset[str]
    exports: frozenset[str]
    sections: dict[str, ElfSection] = field(repr=False)


def read_elf(path: Path) -> Elf:
    """The library at `path`; ToolchainError where it is no whole 64-bit ELF library."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _read(path, data)
    except OSError as error:
        raise ToolchainError(
            f"{path} cannot be read ({error.strerror}); name another library"
        ) from None
    except (struct.error, ValueError, IndexError, KeyError):
        raise ToolchainError(
            f"{path} is no whole 64-bit ELF library; take it again from where it came"
        ) from None


def _read(path: Path, data: mmap.mmap) -> Elf:
    if data[:6] != _MAGIC:
        raise ValueError(path)
    in_order = list(_sections(data))
    sections = dict(in_order)
    dynamic, symbols = sections[".dynamic"], sections[".dynsym"]
    strings = in_order[dynamic.link][1]
    tags = [
        struct.unpack_from("<qQ", data, at)
        for at in range(dynamic.offset, dynamic.offset + dynamic.size, 16)
    ]
    named = {
        tag: [_text(data, strings, value) for t, value in tags if t == tag]
        for tag in (_NEEDED, _SONAME)
    }
    imports, exports = set(), set()
    names = in_order[symbols.link][1]
    for at in range(symbols.offset + 24, symbols.offset + symbols.size, 24):  # the first is empty
        name, info, _, section = struct.unpack_from("<IBBH", data, at)
        if section:
            exports.add(_text(data, names, name))
        elif info >> 4 != _WEAK:
            imports.add(_text(data, names, name))
    return Elf(
        path=path,
        soname=next(iter(named[_SONAME]), None),
        needed=tuple(named[_NEEDED]),
        imports=frozenset(imports),
        exports=frozenset(exports),
        sections=sections,
    )


def _sections(data: mmap.mmap) -> Iterator[tuple[str, ElfSection]]:
    (table,) = struct.unpack_from("<Q", data, 40)
    entry_size, n_sections, names_index = struct.unpack_from("<HHH", data, 58)
    found = []
    for index in range(n_sections):
        name, _, _, address, offset, size, link = struct.unpack_from(
            "<IIQQQQI", data, table + index * entry_size
        )
        found.append((name, ElfSection(address=address, offset=offset, size=size, link=link)))
    for name, section in found:
        yield _text(data, found[names_index][1], name), section


def _text(data: mmap.mmap, strings: ElfSection, at: int) -> str:
    first = strings.offset + at
    last = data.find(b"\0", first)
    if last < 0:
        raise ValueError(at)
    return data[first:last].decode()
