"""A model's file with random weights, kept for the next run: real speed without a download.

The bits are random, so routing is spread over all experts and every cell costs what it costs; the
text that comes out means nothing. A file lies in the cache folder; where that disk is slow and the
machine has memory to spare it is written into memory (/dev/shm) instead, and then it is somebody's
to delete.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Final

import psutil

from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.frozen import frozen
from oomph.models.sparse import file_name
from oomph.models.synth import write_synthetic
from oomph.paths import cache_folder
from oomph.units import gib

MEMORY: Final = Path("/dev/shm")
SPARE_MEMORY: Final = 2.0
"""Memory is taken for a file where so many times its size is available: the page cache and the
worker want some too."""
FAST_BYTES_PER_S: Final = 1e9
"""A disk that writes so fast is waited for gladly: 18 GB are there in 18 s."""
TRIED_BYTES: Final = 1 << 28


@frozen
class Filled:
    """A file of random weights: `seconds` is what writing it took (0 where it was there),
    `in_memory` whether it takes the machine's memory until it is deleted."""

    path: Path
    seconds: float
    in_memory: bool


def random_folder() -> Path:
    """Where files of random weights are kept; may not exist yet."""
    return cache_folder() / "random"


def filled_file(spec: ModelSpec, *, folder: Path | None = None) -> Filled:
    """The file of that shape with random weights, written if it is not there.

    ModelFileError where neither the cache's disk nor memory has room; ConfigError for types without
    random weights.
    """
    kept = (folder or random_folder()) / file_name(spec)
    in_memory = MEMORY / "oomph" / file_name(spec)
    for path in (kept, in_memory):
        if path.exists():
            return Filled(path=path, seconds=0.0, in_memory=path == in_memory)
    path = kept if folder else _place(spec, kept, in_memory)
    path.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    write_synthetic(spec, path, weights="random")
    return Filled(path=path, seconds=time.monotonic() - started, in_memory=path == in_memory)


def is_filled(spec: ModelSpec) -> bool:
    """Whether the file is there."""
    return any(
        path.exists()
        for path in (random_folder() / file_name(spec), MEMORY / "oomph" / file_name(spec))
    )


def _place(spec: ModelSpec, kept: Path, in_memory: Path) -> Path:
    """The disk if it has room and is fast, else memory if there is enough, else the disk however
    slow it is."""
    n_bytes = spec.n_bytes
    kept.parent.mkdir(parents=True, exist_ok=True)
    on_disk, on_memory = shutil.disk_usage(kept.parent).free, _memory_for_files()
    if on_disk > n_bytes and (n_bytes < TRIED_BYTES or on_memory < n_bytes):
        return kept
    if on_disk <= n_bytes and on_memory < n_bytes:
        raise ModelFileError(
            f"{kept.parent} has {gib(on_disk)} free and memory has {gib(on_memory)} to spare, and "
            f"random weights of {spec.name} take {gib(n_bytes)}; set OOMPH_CACHE to a larger "
            "disk, or choose a smaller model with --model"
        )
    return (
        kept if on_disk > n_bytes and _writes_per_s(kept.parent) >= FAST_BYTES_PER_S else in_memory
    )


def _memory_for_files() -> int:
    """Bytes that files in memory may take."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return 0
    return min(
        shutil.disk_usage(MEMORY).free, round(psutil.virtual_memory().available / SPARE_MEMORY)
    )


def _writes_per_s(folder: Path) -> float:
    """How fast the disk takes a file, synced, in bytes per second."""
    path, block = folder / f".speed.{os.getpid()}", os.urandom(1 << 22)
    started = time.monotonic()
    try:
        with path.open("wb") as file:
            for _ in range(TRIED_BYTES // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    finally:
        path.unlink(missing_ok=True)
    return TRIED_BYTES / (time.monotonic() - started)
