"""llama.cpp's real CUDA backend: its source, and its match with the wheel.

An ordinary llama-cpp-python wheel is built for the CPU; its ggml takes a CUDA backend as a plug-in.
The prebuilt libggml-cuda.so of an npm package is fetched once, checked against its published hash,
and kept in the cache folder with the libggml-base.so that it was built with. The phantom card and
real cards share it.
"""

import base64
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from oomph.cuda.elf import read_elf
from oomph.cuda.interface import differences, missing_symbols, read_interface
from oomph.errors import ToolchainError
from oomph.files import write_file
from oomph.frozen import frozen
from oomph.paths import cache_folder

PACKAGE: Final = "@node-llama-cpp/linux-x64-cuda@3.22.1"
INTEGRITY: Final = (
    "8rQCjyNNLZJUFit+YpjwlC4hwkKgOMIkB2wuycKBf8NU2O3ySKbiWZQ8aw9ku2nUTXjSnUIrE6KB88itduTBuA=="
)
LIBRARY: Final = "libggml-cuda.so"
CUDA_RUNTIME: Final = "libcudart.so.13"
SETUP: Final = "run `oomph phantom setup`, or `oomph setup cuda` for a real card"
BASE: Final = "libggml-base.so"
HOST_BASE: Final = "libggml-base.so.0"
"""A wheel holds each library twice, as files and not as links; libllama loads the one that ends in
.so.0."""
_IN_TARBALL: Final = "package/bins/linux-x64-cuda"
_PRINT_VERSION: Final = """import ctypes, sys
ggml = ctypes.CDLL(sys.argv[1])
ggml.ggml_version.restype = ctypes.c_char_p
print(ggml.ggml_version().decode())"""


@frozen
class CudaBackend:
    """An installed CUDA backend: the library, the version of its ggml (`0.25.1`), and where it came
    from."""

    path: Path
    ggml_version: str
    source: str

    @property
    def base(self) -> Path:
        """The libggml-base that it was built with; ToolchainError where none lies beside it."""
        beside = sorted(self.path.parent.glob(f"{BASE}*"))
        if not beside:
            raise ToolchainError(
                f"{self.path} has no {BASE} beside it, which tells its version; keep them together"
            )
        return beside[0]


def installed_backend() -> CudaBackend:
    """The backend in the cache folder; ToolchainError where none was set up."""
    folder = _folder()
    try:
        version, source = (folder / "origin.txt").read_text().splitlines()
    except (OSError, ValueError):
        raise ToolchainError(f"llama.cpp's CUDA backend is not installed; {SETUP}") from None
    return CudaBackend(path=folder / LIBRARY, ggml_version=version, source=source)


def fetch_backend() -> CudaBackend:
    """Fetch the prebuilt backend by npm (about 140 MB), check its hash, install it; ToolchainError
    if that fails."""
    npm = shutil.which("npm")
    if npm is None:
        raise ToolchainError(
            "npm is needed to fetch the CUDA backend; install it, or give --backend PATH"
        )
    with tempfile.TemporaryDirectory(prefix="oomph-") as scratch:
        command = [npm, "pack", "--silent", "--pack-destination", scratch, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch, check=False)
        tarballs = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not tarballs:
            raise ToolchainError(
                f"npm could not fetch {PACKAGE} ({_last_line(done.stderr)}): mend npm"
            )
        return install_tarball(tarballs[0])


def install_tarball(tarball: Path) -> CudaBackend:
    """Install the backend from the npm package's tarball; ToolchainError where it is not the
    published one."""
    with tarball.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if digest != INTEGRITY:
        raise ToolchainError(
            f"{tarball.name} is not the published {PACKAGE}: its sha512 is {digest}; fetch it again"
        )
    with tempfile.TemporaryDirectory(prefix="oomph-") as scratch, tarfile.open(tarball) as archive:
        for name in (LIBRARY, BASE):
            archive.extract(f"{_IN_TARBALL}/{name}", scratch, filter="data")
        return install_library(Path(scratch) / _IN_TARBALL / LIBRARY, source=PACKAGE)


def install_library(library: Path, *, source: str | None = None) -> CudaBackend:
    """Install a libggml-cuda.so (with the libggml-base.so beside it); ToolchainError where it
    cannot serve."""
    given = backend_at(library, source=source)
    if CUDA_RUNTIME not in read_elf(library).needed:
        raise ToolchainError(
            f"{library} is not built against CUDA 13, which is what the phantom card speaks; "
            f"{SETUP}"
        )
    require_match(given, wheel_libraries())
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    for original, name in ((given.path, LIBRARY), (given.base, BASE)):
        fresh = folder / f"{name}.new"
        shutil.copyfile(original, fresh)
        fresh.replace(folder / name)
    write_file(folder / "origin.txt", f"{given.ggml_version}\n{given.source}\n")
    return installed_backend()


def backend_at(library: Path, *, source: str | None = None) -> CudaBackend:
    """A libggml-cuda.so where it lies, with the libggml-base.so beside it; ToolchainError where it
    is none."""
    if not library.is_file():
        raise ToolchainError(
            f"{library} is no file; give the libggml-cuda.so of a CUDA build of llama.cpp"
        )
    if not any(name.startswith("libcudart.so") for name in read_elf(library).needed):
        raise ToolchainError(
            f"{library} is built without CUDA's run time; give the {LIBRARY} of a CUDA build"
        )
    found = CudaBackend(
        path=library.resolve(), ggml_version="", source=source or str(library.resolve())
    )
    return replace(found, ggml_version=ggml_version(found.base))


def require_match(backend: CudaBackend, llama_cpp: Path) -> None:
    """ToolchainError unless the ggml of the backend and that in the folder `llama_cpp` agree in
    major.minor, between which structs change unseen, and in all that `oomph.cuda.interface` can
    hold against each other."""
    ours = ggml_version(llama_cpp / HOST_BASE)
    if ours.split(".")[:2] != backend.ggml_version.split(".")[:2]:
        raise ToolchainError(
            f"the CUDA backend is built for ggml {backend.ggml_version} and {llama_cpp} has "
            f"{ours}; "
            "they must agree in major.minor: install the matching one, or give --backend PATH"
        )
    if found := interface_differences(backend, llama_cpp):
        raise ToolchainError(
            f"the CUDA backend (ggml {backend.ggml_version}) and {llama_cpp} (ggml {ours}) "
            f"disagree: {'; '.join(found)}; install the matching one, or give --backend PATH"
        )


def interface_differences(backend: CudaBackend, llama_cpp: Path) -> list[str]:
    """In what the backend and the ggml in the folder `llama_cpp` disagree, a clause each; none
    where they fit."""
    host = llama_cpp / HOST_BASE
    found = differences(read_interface(backend.base), read_interface(host))
    lacking = missing_symbols(backend.path, [host], ("ggml_", "gguf_"))
    return found + (
        [f"the backend imports {', '.join(lacking)}, which llama.cpp's ggml lacks"]
        if lacking
        else []
    )


def wheel_libraries() -> Path:
    """The folder of the installed llama-cpp-python's libraries, without importing it;
    ToolchainError if missing."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None:
        raise ToolchainError(
            "llama-cpp-python is not installed; run `pip install llama-cpp-python`"
        )
    return Path(spec.origin).parent / "lib"


def ggml_version(library: Path) -> str:
    """What `ggml_version()` of a libggml-base says, asked in a process of its own; ToolchainError
    if it cannot be."""
    command = [sys.executable, "-c", _PRINT_VERSION, str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolchainError(
            f"{library} does not tell its ggml version ({_last_line(done.stderr)}); take a newer "
            "build"
        )
    return done.stdout.strip()


def _folder() -> Path:
    return cache_folder() / "cuda" / "backend"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def take_backend(library: Path | None = None) -> tuple[CudaBackend, str]:
    """The CUDA backend, and how it came to be there: `library` is taken, one that is installed
    found, or another fetched. ToolchainError where none can be had."""
    if library is not None:
        return install_library(library), "took"
    try:
        return installed_backend(), "found"
    except ToolchainError:
        return fetch_backend(), "fetched"
