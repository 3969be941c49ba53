"""What replays have taught, kept between processes: a file for each structure of a model.

A file is of this code of the estimator and no other, and says a digest of itself: one that is
damaged, of another version or unreadable teaches nothing, and one that cannot be written is not.
Two processes that write at once lose what one of them has learned, never more.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from oomph import __version__
from oomph.errors import OomphError
from oomph.estimate.buffers import Packing
from oomph.estimate.replayed import Replayed
from oomph.files import keep_file
from oomph.foreign import kept_bytes
from oomph.paths import cache_folder

try:  # what hashlib hands on, without the OpenSSL that it loads first
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

MOST_ENTRIES: Final = 20_000
"""Entries of a table that a file keeps, the newest."""
MOST_FILES: Final = 400
"""Files that are kept, the newest."""
MOST_BYTES: Final = 16 << 20
_ROOMS: Final = ("estimate", "architectures", "gguf")
"""The parts of the package that decide what a replay gives."""

Decode = Callable[[Any], Any]
Encode = Callable[[Any], Any]


class KeptTable(dict[Any, Any]):
    """A table that looks into a file for what it does not know, by a digest of the key."""

    def __init__(self, file: "ReplayFile", name: str, encode: Encode, decode: Decode) -> None:
        super().__init__()
        self._file, self._name, self._encode, self._decode = file, name, encode, decode

    def __contains__(self, key: object) -> bool:
        if super().__contains__(key):
            return True
        found = self._file.table(self._name).get(digest(key), ())
        if found == ():
            return False
        try:
            super().__setitem__(key, self._decode(found))
        except (TypeError, ValueError, KeyError):
            return False
        return True

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._file.learn(self._name, digest(key), self._encode(value))


class ReplayFile:
    """The file of one structure; read when it is first asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables: dict[str, dict[str, Any]] | None = None
        self._has_learned = False

    def table(self, name: str) -> dict[str, Any]:
        """What is kept under this name, by the digests of its keys."""
        if self._tables is None:
            self._tables = _read(self._path)
        return self._tables.setdefault(name, {})

    def learn(self, name: str, key: str, value: Any) -> None:
        """Add what a replay has taught."""
        self.table(name)[key] = value
        self._has_learned = True

    def save(self) -> None:
        """Write what was learned, beside what another process has written meanwhile."""
        if not self._has_learned or self._tables is None:
            return
        self._has_learned = False
        tables = _read(self._path)
        for name, table in self._tables.items():
            both = {**tables.get(name, {}), **table}
            tables[name] = dict(list(both.items())[-MOST_ENTRIES:])
        body = json.dumps(tables, separators=(",", ":"))
        keep_file(self._path, f"{_check(body)}\n{body}\n")


class ReplayFiles:
    """The files of all structures that a process asks about (a `ReplayStore`)."""

    def __init__(self) -> None:
        self._files: dict[str, ReplayFile] = {}

    def replayed(self, structure: object) -> Replayed:
        """What is known of graphs of this structure, here or from an earlier process."""
        try:
            folder = replay_folder()
        except OomphError:
            return Replayed()
        name = digest(structure)
        file = self._files.setdefault(name, ReplayFile(folder / f"{name}.json"))
        known = Replayed()
        known.packings = KeptTable(file, "packings", _packing_numbers, _packing)
        known.fuses = KeptTable(file, "fuses", bool, bool)
        known.graph_sizes = KeptTable(file, "graph_sizes", int, int)
        known.n_nodes = KeptTable(file, "n_nodes", int, int)
        known.most = KeptTable(file, "most", list, _most)
        return known

    def save(self) -> None:
        """Write what this process has learned; never an error."""
        for file in self._files.values():
            file.save()
        if self._files:
            _remove_oldest()


REPLAYS: Final = ReplayFiles()
"""What this process knows, saved where a command ends."""


def replay_folder() -> Path:
    """Where this version's files are; ConfigError for a user without a home."""
    return cache_folder() / "replays" / _version()


def digest(key: object) -> str:
    """A short name of a key, the same in every process."""
    return blake2b(_text(key).encode(), digest_size=12).hexdigest()


def _text(key: object) -> str:
    if isinstance(key, tuple):
        return f"({','.join(map(_text, key))})"
    if isinstance(key, frozenset):
        return f"{{{','.join(sorted(map(_text, key)))}}}"
    fields = getattr(key, "__dataclass_fields__", None)
    if fields is None:
        return repr(key)
    return f"{type(key).__name__}({','.join(_text(getattr(key, name)) for name in fields)})"


@cache
def _version() -> str:
    """Of the estimator's code: what another code has learned is not read."""
    seen = [__version__]
    for room in _ROOMS:
        for path, size, time in sorted(_sources(Path(__file__).parents[1] / room)):
            seen.append(f"{path} {size} {time}")
    return blake2b("\n".join(seen).encode(), digest_size=8).hexdigest()


def _sources(folder: Path) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and entry.name != "__pycache__":
                yield from _sources(Path(entry.path))
            elif entry.name.endswith((".py", ".toml", ".json")):
                told = entry.stat()
                yield entry.name, told.st_size, told.st_mtime_ns


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The tables of a file; none of one that is not there, or not as it was written."""
    try:
        said, _, body = (kept_bytes(path, limit=MOST_BYTES) or b"").decode().partition("\n")
        body = body.removesuffix("\n")
        found = json.loads(body) if said == _check(body) else {}
    except (ValueError, RecursionError):
        return {}
    is_known = isinstance(found, dict) and all(isinstance(each, dict) for each in found.values())
    return found if is_known else {}


def _check(body: str) -> str:
    return blake2b(body.encode(), digest_size=16).hexdigest()


def _remove_oldest() -> None:
    """Remove the files of other versions, and the oldest of too many."""
    with contextlib.suppress(OSError, OomphError):
        own = replay_folder()
        for folder in own.parent.iterdir():
            if folder != own and not folder.is_symlink():  # what a link leads to is not ours
                with contextlib.suppress(OSError):
                    for path in folder.iterdir():
                        path.unlink()
                    folder.rmdir()
        paths = sorted(own.iterdir(), key=lambda path: path.lstat().st_mtime)
        for path in paths[:-MOST_FILES]:
            with contextlib.suppress(OSError):
                path.unlink()


def _packing_numbers(packing: Packing | None) -> Any:
    return None if packing is None else [packing.bytes, packing.live_bytes]


def _packing(found: Any) -> Packing | None:
    if found is None:
        return None
    own, live = found
    return Packing(bytes=tuple(map(int, own)), live_bytes=tuple(map(int, live)))


def _most(found: Any) -> tuple[int, int, tuple[int, ...]]:
    cells, cells_swa, most = found
    return int(cells), int(cells_swa), tuple(map(int, most))
