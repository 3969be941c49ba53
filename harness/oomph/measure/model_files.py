"""Whether a model's files are still those that were identified: size, time, inode and header."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from oomph.errors import ModelFileError
from oomph.frozen import frozen
from oomph.gguf.header import GGUFFile, part_names


@frozen
class ModelFiles:
    """A model's file, or the parts of a split one, as they were when they were identified."""

    paths: tuple[Path, ...]
    marks: tuple[tuple[int, int, int], ...]
    header_bytes: int
    header_sha256: str

    @classmethod
    def of(cls, path: Path, file: GGUFFile) -> Self:
        """Those of the header `file`, which was read at `path`. ModelFileError where one is gone
        already."""
        paths = tuple(path.with_name(name) for name in part_names(file, path.name))
        marks, header = _marks(paths), _header(paths[0], file.data_offset)
        return cls(paths=paths, marks=marks, header_bytes=file.data_offset, header_sha256=header)

    def check(self) -> None:
        """ModelFileError where one of the files is gone, or is another than it was."""
        for path, before, now in zip(self.paths, self.marks, _marks(self.paths), strict=True):
            if before != now:
                raise ModelFileError(_sentence(path, "is another file than when the sweep began"))

    def check_all(self) -> None:
        """The same with the header, which tells a file that took over the other's size and time."""
        self.check()
        if _header(self.paths[0], self.header_bytes) != self.header_sha256:
            raise ModelFileError(
                _sentence(self.paths[0], "has another header than when the sweep began")
            )


def _marks(paths: Sequence[Path]) -> tuple[tuple[int, int, int], ...]:
    found = []
    for path in paths:
        try:
            seen = path.stat()
        except OSError as error:
            raise ModelFileError(
                _sentence(path, f"cannot be read any more ({error.strerror})")
            ) from None
        found.append((seen.st_size, seen.st_mtime_ns, seen.st_ino))
    return tuple(found)


def _header(path: Path, n_bytes: int) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.sha256(stream.read(n_bytes)).hexdigest()
    except OSError as error:
        raise ModelFileError(
            _sentence(path, f"cannot be read any more ({error.strerror})")
        ) from None


def _sentence(path: Path, what: str) -> str:
    return (
        f"{path} {what}; what was measured before is kept: put the right file there and start the "
        "sweep again"
    )
