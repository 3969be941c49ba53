"""Keeps what Jinja makes of a template between processes: compiling it takes long.

The templates of one answer take 0.15 s to compile, and a hundredth of that to read back. Only a
folder of the user's own that nobody else can write is used, as what lies there is run; where there
is none, or no room, every process compiles for itself.
"""

import contextlib
import os
from pathlib import Path

from jinja2 import BytecodeCache, FileSystemBytecodeCache
from jinja2.bccache import Bucket

from oomph.errors import ConfigError
from oomph.paths import cache_folder

_OTHERS_WRITE = 0o022


class _Kept(FileSystemBytecodeCache):
    """Jinja's own, for a disk that may be full or take no writing."""

    def load_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def kept_templates() -> BytecodeCache | None:
    """Where compiled templates are kept; None where no folder is safe for them."""
    try:
        folder = cache_folder() / "texts"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _Kept(str(folder)) if _is_own(folder) else None
    except (OSError, ConfigError):
        return None


def _is_own(folder: Path) -> bool:
    """Whether the folder is this user's, and no other's to write; Windows keeps it in the
    profile."""
    if os.name == "nt":
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & _OTHERS_WRITE
