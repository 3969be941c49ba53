"""Compiles the PTX in a CUDA library to native code for one card, with NVIDIA's ptxas.

The driver would do that at the first run, for minutes, and only if it is as new as the PTX: the
prebuilt backend's is of CUDA 13.1, so that an H100 (9.0, for which it has PTX alone) needs a driver
of the 590 branch. Native code of a 13.x runs on any driver of CUDA 13 ("Minor Version
Compatibility" in NVIDIA's CUDA Compatibility). What ptxas made is kept in the cache folder, a file
for each source file, and an interrupted run goes on from there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from oomph.cuda.cut import serving
from oomph.cuda.fatbin import Version, dotted, read_fat_binaries
from oomph.errors import ToolchainError
from oomph.paths import cache_folder

TOOLS: Final = ("nvidia-cuda-nvcc==13.1.115", "nvidia-cuda-cuobjdump==13.2.51")
"""ptxas and fatbinary of the CUDA that the prebuilt backend's PTX was made with, and what takes the
PTX out of it."""
_HEADER_SIZE: Final = 16
"""Of the fat binary that `fatbinary` writes around its one entry."""


def compile_native(
    library: Path, capability: Version, say: Callable[[str], None]
) -> dict[int, bytes]:
    """Native code for `capability` where `library` has PTX alone: an entry by the offset of its fat
    binary; empty where it has native code. About a quarter of an hour of one core for the prebuilt
    backend, the first time.

    `say` hears what takes long. ToolchainError where the tools cannot be had or fail.
    """
    wanted = [  # (number of the fat binary, its offset, the PTX that serves)
        (number, binary.offset, entry)
        for number, binary in enumerate(read_fat_binaries(library))
        for entry in serving(binary, [capability], library)
        if entry.code and entry.code.is_ptx
    ]
    if not wanted:
        return {}
    kept = cache_folder() / "cuda" / f"native-{_digest(library)}-{_arch(capability)}"
    kept.mkdir(parents=True, exist_ok=True)
    missing = [number for number, _, _ in wanted if not (kept / f"{number}.fatbin").exists()]
    if missing:
        say(
            f"compiling the backend's PTX for {dotted(capability)}, once: some "
            f"{-(-len(missing) // 10)} min of one core"
        )
        codes = {entry.code.capability for _, _, entry in wanted if entry.code}
        sizes = {number: entry.plain_bytes for number, _, entry in wanted}
        with tempfile.TemporaryDirectory(prefix="oomph-") as scratch:
            texts = _extract(library, codes, Path(scratch), len(read_fat_binaries(library)))
            for number in missing:
                if sizes[number] and texts[number].stat().st_size not in (
                    sizes[number],
                    sizes[number] - 1,
                ):
                    raise ToolchainError(
                        f"{library}: cuobjdump took other PTX out than is in it; leave "
                        "--cuda-arch out"
                    )
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                list(
                    pool.map(
                        lambda number: _compile(
                            texts[number], capability, kept / f"{number}.fatbin"
                        ),
                        missing,
                    )
                )
    return {
        offset: (kept / f"{number}.fatbin").read_bytes()[_HEADER_SIZE:]
        for number, offset, _ in wanted
    }


def tools() -> Path:
    """The folder of ptxas, fatbinary and cuobjdump, fetched from PyPI into the cache (43 MB) at
    first use."""
    place = (
        cache_folder()
        / "cuda"
        / f"tools-{hashlib.sha256(' '.join(TOOLS).encode()).hexdigest()[:8]}"
    )
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            pip = [
                sys.executable,
                "-m",
                "pip",
                "--disable-pip-version-check",
                "install",
                "--quiet",
                "--no-deps",
            ]
            fresh = Path(scratch, "tools")
            _run(
                [*pip, "--only-binary", ":all:", "--target", str(fresh), *TOOLS],
                "pip could not fetch NVIDIA's ptxas",
            )
            folder = next(fresh.glob("nvidia/*/bin"))
            for program in folder.iterdir():
                program.chmod(0o755)
            shutil.move(str(fresh / "nvidia"), place)
    return next(place.glob("*/bin"))


def _extract(library: Path, capabilities: set[Version], scratch: Path, n: int) -> list[Path]:
    """The PTX texts by the number of their fat binary; every one has PTX for that capability."""
    if len(capabilities) != 1:
        raise ToolchainError(
            f"{library} has PTX of several kinds for one card; leave --cuda-arch out"
        )
    arch = _arch(capabilities.pop())
    command = [
        str(tools() / "cuobjdump"),
        "--extract-ptx",
        "all",
        "--gpu-architecture",
        arch,
        str(library.resolve()),
    ]
    _run(command, "cuobjdump could not read the backend", cwd=scratch)
    texts = sorted(scratch.glob(f"*.{arch}.ptx"), key=lambda path: int(path.name.split(".")[-3]))
    if len(texts) != n:
        raise ToolchainError(
            f"{library}: cuobjdump found PTX for {arch} {len(texts)} times of {n}; leave "
            "--cuda-arch out"
        )
    return texts


def _compile(text: Path, capability: Version, target: Path) -> None:
    arch, folder = _arch(capability), tools()
    cubin, fresh = text.with_suffix(".cubin"), target.with_suffix(f".{os.getpid()}")
    _run(
        [str(folder / "ptxas"), f"-arch={arch}", "-o", str(cubin), str(text)],
        "ptxas could not compile the backend",
    )
    image = f"--image3=kind=elf,sm={arch.removeprefix('sm_')},file={cubin}"
    command = [str(folder / "fatbinary"), "-64", "--compress-mode=size", image, f"--create={fresh}"]
    _run(command, "fatbinary could not pack the backend's code")
    fresh.replace(target)


def _run(command: Sequence[str], failure: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        last = (
            (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        )[-1]
        raise ToolchainError(
            f"{failure} ({last}); leave --cuda-arch out to take the backend as it is"
        )


def _arch(capability: Version) -> str:
    return f"sm_{capability[0]}{capability[1]}"


def _digest(library: Path) -> str:
    with library.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
