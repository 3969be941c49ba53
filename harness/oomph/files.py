"""Writes files whole or not at all: beside the target, synced, then put in its place.

What was there stays as it was until the new file is on the disk, whatever ends the writer: a full
disk, a kill, a power cut. The file keeps the permissions of the one that it replaces. What a killed
writer left is removed by the next one.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from oomph.errors import StoreError

SUFFIX: Final = ".part"
EXECUTABLE: Final = 0o755


def write_file(path: Path, text: str, *, otherwise: str = "name another path") -> Path:
    """Write `text` as UTF-8 into a folder that is there, and return `path`; StoreError, ending in
    `otherwise`, where it cannot be, and then what was there is untouched."""
    write_files({path: text}, otherwise=otherwise, folders=False)
    return path


def write_pieces(
    path: Path, pieces: Iterable[str], *, otherwise: str = "name another path"
) -> Path:
    """Write a text that comes piece by piece, as `write_file` does."""
    with (
        replacing(path, otherwise=otherwise) as part,
        part.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(pieces)
    return path


def write_files(
    contents: Mapping[Path, str | bytes],
    *,
    otherwise: str = "name another folder",
    folders: bool = True,
) -> None:
    """Write several files: none is put in its place before all are on the disk. `*.sh` can be run.
    Folders are made where they are missing, unless `folders` is False; StoreError as of
    `write_file`."""
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            part = stack.enter_context(replacing(path, otherwise=otherwise, folders=folders))
            with _said(path, otherwise):
                with part.open("wb") as file:
                    file.write(content.encode() if isinstance(content, str) else content)
                    file.flush()
                    _sync(file.fileno())
                if path.suffix == ".sh":
                    part.chmod(EXECUTABLE)


def keep_file(path: Path, content: str | bytes) -> None:
    """Write what is kept to be quicker the next time; never an error, and no pipe in its place is
    waited for."""
    with contextlib.suppress(OSError, StoreError, ValueError):
        if path.is_symlink() or path.is_file() or not path.exists():
            write_files({path: content})


@contextlib.contextmanager
def replacing(
    path: Path, *, otherwise: str = "name another path", folders: bool = False
) -> Iterator[Path]:
    """A path to write to, in the folder of `path` and with its suffix; when the block ends well,
    what was written there is synced and replaces `path`.

    A `path` that is no regular file (`/dev/stdout`, a pipe) is written to itself; of a link the
    target is replaced. `folders` makes the folder where it is missing. StoreError as of
    `write_file`, for what goes wrong in the block, too.
    """
    with _said(path, otherwise):
        target = Path(os.path.realpath(path))
        if folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():
            yield target
            return
        _remove_left(target)
        part, lock = _open_part(target)
        try:
            yield part
            _finish(part, target)
        finally:
            part.unlink(missing_ok=True)
            os.close(lock)


def _open_part(target: Path) -> tuple[Path, int]:
    """A new file beside `target`, with its permissions, and the descriptor that holds its lock for
    as long as this process lives."""
    # a name of a target may be as long as a name can be
    part = target.with_name(
        f".{target.stem[:100]}.{os.getpid()}.{os.urandom(4).hex()}{SUFFIX}{target.suffix[:20]}"
    )
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(part, flags, 0o666)
    try:
        hold(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.chmod(part, target.stat().st_mode & 0o7777)
    except OSError:
        part.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return part, descriptor


def _finish(part: Path, target: Path) -> None:
    with part.open("rb+") as file:
        _sync(file.fileno())
    os.replace(part, target)
    if sys.platform != "win32":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            _sync(folder)
        finally:
            os.close(folder)


def _sync(descriptor: int) -> None:
    """On the disk, where the file system knows how: some take no fsync of a folder, or none at
    all."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def _remove_left(target: Path) -> None:
    """Remove what writers of `target` left that were killed: their locks are free."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(target.parent):
            if entry.name.startswith(f".{target.stem[:100]}.") and SUFFIX in entry.name:
                _remove_if_free(Path(entry.path))


def _remove_if_free(part: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            hold(descriptor)
            part.unlink()
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _said(path: Path, otherwise: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise StoreError(
            f"{path} cannot be written ({reason}); {otherwise}, what was there before is untouched"
        ) from None


if sys.platform == "win32":

    def hold(descriptor: int) -> None:
        """Hold an open file alone, until it is closed; BlockingIOError where another process
        does."""
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError from None
else:

    def hold(descriptor: int) -> None:
        """Hold an open file alone, until it is closed; BlockingIOError where another process
        does."""
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
