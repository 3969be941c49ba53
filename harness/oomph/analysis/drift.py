"""What a build of llama.cpp has that another lacks, by the texts in their libraries.

Names of architectures, flags and lines of sizes stand in a library as they are printed; no source
and no card are needed.
"""

import re
from collections.abc import Sequence
from typing import Final

from oomph.errors import ToolchainError
from oomph.frozen import frozen

_TEXT: Final = re.compile(rb"(?<=\0)[\x20-\x7e]{3,300}(?=\0)")
_NAMES: Final = re.compile(rb"\0((?:[a-z0-9][a-z0-9_-]{1,30}\0+){8,})\(unknown\)\0")
"""llama.cpp's table of architectures ends with this one."""
_FLAG: Final = re.compile(rb"--[a-z][a-z0-9-]{2,40}")
_SIZES: Final = re.compile(rb"%[^%]{0,12}[fdu][^%]{0,4} MiB")
KNOWN_NEWS: Final = frozenset({
    "gemma-embedding2", "k2-horizon", "--nextn", "--spec-draft-sampling",
})  # fmt: skip
"""What builds up to b11549 have that 0.5.0 lacks: of it the drift alarm tells no more."""
_HEADER: Final = re.compile(r'_LLAMA_H_CDEF\s*=\s*(?:r)?"""(.*?)"""', re.DOTALL)


@frozen
class Texts:
    """What a library has: architectures, flags, and formats of lines that tell MiB. A name that is
    the end of a longer text may be missing, for linkers keep one of both."""

    architectures: frozenset[str]
    flags: frozenset[str]
    size_lines: frozenset[str]


def texts_of(libraries: Sequence[bytes]) -> Texts:
    """The texts in these libraries together."""
    names, flags, lines = set[bytes](), set[bytes](), set[bytes]()
    for content in libraries:
        for match in _NAMES.finditer(content):
            names.update(filter(None, match[1].split(b"\0")))
        for text in _TEXT.findall(content):
            if _FLAG.fullmatch(text):
                flags.add(text)
            elif _SIZES.search(text):
                lines.add(text.strip())
    return Texts(
        architectures=frozenset(map(bytes.decode, names)),
        flags=frozenset(map(bytes.decode, flags)),
        size_lines=frozenset(map(bytes.decode, lines)),
    )


def header_in(bindings: str) -> str:
    """The llama.h that llama-cpp-py-sync carries as a text of its bindings; ToolchainError where
    there is none."""
    match = _HEADER.search(bindings)
    if match is None:
        raise ToolchainError("llama-cpp-py-sync carries no llama.h here; name another version")
    return match[1]
