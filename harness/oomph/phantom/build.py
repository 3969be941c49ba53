"""The phantom's libraries, compiled at first use.

The backend looks for NVIDIA's libraries and for ggml's base beside itself ($ORIGIN). So a folder is
made, keyed by everything in it, that holds a link to the backend, the phantom under NVIDIA's names,
and under the name that the backend asks for the libggml-base of the llama.cpp that will load it:
the wheel's, or that of a build of its own.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oomph.cuda.backend import (
    BASE,
    HOST_BASE,
    LIBRARY,
    CudaBackend,
    installed_backend,
    require_match,
    wheel_libraries,
)
from oomph.errors import ToolchainError
from oomph.paths import cache_folder

SOURCES: Final = Path(__file__).parent / "csrc"
FLAGS: Final = (
    "-std=gnu11",
    "-O2",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
)
CUDA_NAMES: Final = ("libcudart.so.13", "libcublas.so.13", "libcuda.so.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Libraries:
    """The laid out folder: the backend to load, the CUDA stand-in to preload, and NVML's
    stand-in."""

    backend: Path
    cuda: Path
    nvml: Path


def libraries(llama_cpp: Path | None = None) -> Libraries:
    """The folder for the installed backend and a llama.cpp, made if need be (about a second);
    ToolchainError if it cannot be.

    `llama_cpp` is the folder of that llama.cpp's libraries, None the installed wheel's. Safe to
    call from several processes at once: the folder appears complete or not at all.
    """
    backend, llama_cpp = installed_backend(), llama_cpp or wheel_libraries()
    folder = cache_folder() / "phantom" / _key(backend, llama_cpp)
    if not folder.exists():
        require_match(backend, llama_cpp)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            fresh = Path(scratch) / "folder"
            _lay_out(fresh, backend, llama_cpp)
            try:
                fresh.rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
    return Libraries(
        backend=folder / LIBRARY, cuda=folder / "libphantom.so", nvml=folder / "libnvidia-ml.so.1"
    )


def compiler() -> str:
    """The C compiler ($CC, else cc, gcc or clang); ToolchainError where there is none."""
    for name in filter(None, (os.environ.get("CC"), "cc", "gcc", "clang")):
        if found := shutil.which(name):
            return found
    raise ToolchainError("a C compiler is needed for the phantom card; install gcc, or set CC")


def _key(backend: CudaBackend, llama_cpp: Path) -> str:
    """A hash of the sources, the backend and ggml's base: the folder's links are right for these
    only."""
    digest = hashlib.sha256()
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    for library in (backend.path, llama_cpp / HOST_BASE):
        status = library.stat()
        digest.update(f"{library}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]


def _lay_out(folder: Path, backend: CudaBackend, llama_cpp: Path) -> None:
    folder.mkdir()
    versions = SOURCES / "exports.map"
    _compile(
        folder / "libphantom.so",
        ("state.c", "memory.c", "cuda.c"),
        f"-Wl,--version-script={versions}",
    )
    _compile(folder / "libnvidia-ml.so.1", ("state.c", "nvml.c"), "-Wl,-soname,libnvidia-ml.so.1")
    for name in CUDA_NAMES:
        (folder / name).symlink_to("libphantom.so")
    (folder / LIBRARY).symlink_to(backend.path)
    (folder / BASE).symlink_to(llama_cpp / HOST_BASE)


def _compile(target: Path, sources: tuple[str, ...], *flags: str) -> None:
    command = [
        compiler(),
        *FLAGS,
        *flags,
        "-o",
        str(target),
        *(str(SOURCES / name) for name in sources),
        "-lpthread",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        first = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise ToolchainError(
            f"{command[0]} could not build the phantom card: {first}; set CC to another C compiler"
        )
