"""Packs files into parts of a limited size, with a manifest that proves them whole.

The files go into one compressed tar archive, which is cut where a part is full. A part's first line
names the bundle and the part's number (`oomph.bundle.installer` reads both), and the bundle's id is
a hash of what is in it: a part of another bundle cannot pass for one of this.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from oomph.bundle.installer import FORMAT, HEADER, MANIFEST
from oomph.files import write_file
from oomph.frozen import frozen

SMALLEST_PART: Final = 1_000_000
"""Bytes: below that a bundle is hundreds of parts."""
_LEVEL: Final = 6
"""Of gzip: most of the bytes are compressed already, and a higher level takes twice the time for 1
%."""


@frozen
class BundlePart:
    """A part on disk: its size includes its first line."""

    name: str
    n_bytes: int
    sha256: str


def write_parts(
    files: Mapping[str, Path], folder: Path, *, part_bytes: int, about: Mapping[str, Any]
) -> tuple[str, tuple[BundlePart, ...]]:
    """Write `files` (their path in the bundle, and where they are now) to parts in `folder`, and
    the manifest with what is `about` them; the bundle's id and the parts.

    A part is at most `part_bytes` long. The same files and the same `about` give the same bytes.
    """
    listed = [
        {"path": path, "n_bytes": source.stat().st_size, "sha256": _sha256(source)}
        for path, source in sorted(files.items())
    ]
    identity = json.dumps([FORMAT, about, listed], sort_keys=True)
    bundle = hashlib.sha256(identity.encode()).hexdigest()[:12]
    stream = _Parts(folder, bundle, part_bytes)
    with (
        io.BufferedWriter(stream, 1 << 20) as buffered,
        gzip.GzipFile(
            filename="", fileobj=buffered, mode="wb", compresslevel=_LEVEL, mtime=0
        ) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, source in sorted(files.items()):
            member = tarfile.TarInfo(path)
            member.size = source.stat().st_size
            with source.open("rb") as file:
                archive.addfile(member, file)
    parts = tuple(stream.parts)
    manifest = {
        "oomph_bundle": FORMAT,
        "id": bundle,
        **about,
        "files": listed,
        "parts": [
            {"name": part.name, "n_bytes": part.n_bytes, "sha256": part.sha256} for part in parts
        ],
    }
    write_file(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return bundle, parts


def written_parts(folder: Path) -> Sequence[str] | None:
    """The names of the parts that the manifest in `folder` speaks of; None where there is no
    manifest of a bundle."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return (
            [str(part["name"]) for part in manifest["parts"]]
            if "oomph_bundle" in manifest
            else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Parts(io.RawIOBase):
    """A stream into one file after the other, each at most `part_bytes` long; `parts` are those
    that are full."""

    def __init__(self, folder: Path, bundle: str, part_bytes: int) -> None:
        self.parts: list[BundlePart] = []
        self._folder, self._bundle, self._part_bytes = folder, bundle, part_bytes
        self._file: IO[bytes] | None = None
        self._name, self._room, self._digest = "", 0, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._file is None or self._room == 0:
            self._next()
        piece = memoryview(data)[: self._room]
        self._put(piece)
        return len(piece)

    def close(self) -> None:
        self._finish()
        super().close()

    def _next(self) -> None:
        self._finish()
        number = len(self.parts) + 1
        self._name = f"oomph-{self._bundle}-part{number:02d}"
        self._file, self._digest, self._room = (
            (self._folder / self._name).open("wb"),
            hashlib.sha256(),
            self._part_bytes,
        )
        self._put(HEADER.format(bundle=self._bundle, number=number).encode("ascii"))

    def _put(self, piece: bytes | memoryview) -> None:
        assert self._file is not None
        self._file.write(piece)
        self._digest.update(piece)
        self._room -= len(piece)

    def _finish(self) -> None:
        if self._file is not None:
            self._file.close()
            size = self._part_bytes - self._room
            self.parts.append(
                BundlePart(name=self._name, n_bytes=size, sha256=self._digest.hexdigest())
            )
            self._file = None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
