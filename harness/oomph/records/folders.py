"""The files that a user means by a path: itself, or all below a folder, within bounds.

Hidden files and folders are left out, and so is what a link of a folder leads to, which may be a
loop; what is no ordinary file has no end that can be told.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from oomph.errors import StoreError

MOST_FILES: Final = 10_000
MOST_BYTES: Final = 4 << 30
"""Of all files below a folder together."""
MODEL_MAGICS: Final = (b"GGUF", b"PK\x03\x04", b"\x7fELF", b"\x89PNG")
"""How files begin that hold no results, though they may be large."""


def files_below(path: Path) -> tuple[Path, ...]:
    """The files of a folder and of the folders in it, in the order of their names; the path itself
    where it is none. StoreError where they are more than MOST_FILES or MOST_BYTES."""
    if not path.is_dir():
        return (path,)
    found: list[Path] = []
    n_bytes = 0
    for file in _walk(path):
        found.append(file)
        n_bytes += file.stat().st_size
        if len(found) > MOST_FILES or n_bytes > MOST_BYTES:
            raise StoreError(
                f"{path} has more than {MOST_FILES:,} files or {MOST_BYTES >> 30} GiB below it; "
                "name the folders that hold results"
            )
    return tuple(found)


def _walk(path: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder) / name
            if not name.startswith(".") and file.is_file() and not _is_other(file):
                yield file


def _is_other(file: Path) -> bool:
    """Whether a file's first bytes say that it is a model, an archive, a program or a picture."""
    try:
        with file.open("rb") as opened:
            return opened.read(4) in MODEL_MAGICS
    except OSError:
        return False  # its reader says why
