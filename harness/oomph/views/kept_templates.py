"""Keeps what Jinja makes of a template between processes: compiling it takes long.

The templates of one answer take 0.15 s to compile, and a hundredth of that to read back. Only a
folder of the user's own that nobody else can write is used, as what lies there is run; where there
is none, or no room, every process compiles for itself.
"""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Final

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from oomph.errors import ConfigError
from oomph.files import keep_file
from oomph.foreign import kept_bytes
from oomph.paths import cache_folder

_OTHERS_WRITE: Final = 0o022
_MOST_BYTES: Final = 4 << 20
_DIGEST_BYTES: Final = 16


class _Kept(BytecodeCache):
    """A file a template: a digest, and Jinja's bytes of it. One that is damaged is made anew: what
    Python makes of damaged code may be anything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        data = kept_bytes(self._path(bucket), limit=_MOST_BYTES) or b""
        said, body = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if said == _digest(body):
            bucket.bytecode_from_string(body)

    def dump_bytecode(self, bucket: Bucket) -> None:
        body = bucket.bytecode_to_string()
        keep_file(self._path(bucket), _digest(body) + body)

    def _path(self, bucket: Bucket) -> Path:
        return self._folder / f"{bucket.key}.cache"


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()


def kept_templates() -> BytecodeCache | None:
    """Where compiled templates are kept; None where no folder is safe for them."""
    try:
        folder = cache_folder() / "texts"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _Kept(folder) if _is_own(folder) else None
    except (OSError, ConfigError):
        return None


def _is_own(folder: Path) -> bool:
    """Whether the folder is this user's, and no other's to write; Windows keeps it in the
    profile."""
    if os.name == "nt":
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & _OTHERS_WRITE
