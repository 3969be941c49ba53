"""NVIDIA's run-time libraries that a CUDA backend needs: found here, or fetched from PyPI.

A backend names them by soname (libcudart.so.13), so their major version is settled by whoever built
it; a library of another major is another soname, and is not found. libcuda.so.1 belongs to the
driver and is never fetched.
"""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from oomph.cuda.elf import read_elf
from oomph.errors import ToolchainError
from oomph.frozen import frozen
from oomph.paths import cache_folder

DRIVER: Final = "libcuda.so.1"
OURS: Final = ("libcudart.so", "libcublas.so", "libcublasLt.so")
"""What NVIDIA lets programs ship (CUDA's EULA, attachment A) and PyPI has; the rest of NEEDED is
the system's."""

_CUDART, _CUBLAS = "nvidia-cuda-runtime", "nvidia-cublas"
PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "13": (  # those of CUDA 13.1, which the prebuilt backend is compiled with
        f"{_CUDART}==13.1.80 "
        "--hash=sha256:dac25b52e69050e5a7a84957e6df470a85b185f8f648a99a1ab1dfce027576cf",
        f"{_CUBLAS}==13.2.1.1 "
        "--hash=sha256:8c13c93cf8be4480b4909905c96d2d31575b4af43fcd3af0e84af94762665e4f",
    ),
    "12": (f"{_CUDART}-cu12==12.*", f"{_CUBLAS}-cu12==12.*"),
}
"""By CUDA's major version, in pip's words. From CUDA 13 on the names carry no major."""
_TOOLKITS: Final = ("/usr/local/cuda/lib64", "/usr/local/cuda-{major}*/lib64", "/opt/cuda/lib64")

_ASK_LOADER: Final = """
import ctypes, json, sys
class LinkMap(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]
dlinfo = ctypes.CDLL(None).dlinfo
dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
found = {}
for soname in sys.argv[1:]:
    try:
        handle = ctypes.CDLL(soname)._handle
    except OSError:
        continue
    link = ctypes.POINTER(LinkMap)()
    if dlinfo(handle, 2, ctypes.byref(link)) == 0:  # RTLD_DI_LINKMAP
        found[soname] = link.contents.name.decode()
print(json.dumps(found))
"""


@frozen
class NvidiaLibrary:
    """A library by the name it is asked for, where it lies, and whose it is: "system", "Python
    environment" or "oomph's cache"."""

    soname: str
    path: Path
    origin: str


def cuda_major(library: Path) -> str:
    """CUDA's major version that a backend is built for, from the libcudart it needs; ToolchainError
    where it needs none."""
    for name in read_elf(library).needed:
        if name.startswith("libcudart.so."):
            return name.removeprefix("libcudart.so.").split(".")[0]
    raise ToolchainError(
        f"{library} needs no libcudart; give the libggml-cuda.so of a CUDA build of llama.cpp"
    )


def find_libraries(backend: Path) -> tuple[tuple[NvidiaLibrary, ...], tuple[str, ...]]:
    """NVIDIA's libraries that `backend` needs, and what those need in turn: (found, sonames that
    are nowhere).

    Looked for where the loader looks (LD_LIBRARY_PATH, ldconfig), in CUDA toolkits, in this
    Python's packages, and in oomph's cache folder, in this order.
    """
    wanted, found, missing = _ours(backend), dict[str, NvidiaLibrary](), list[str]()
    while wanted:
        loadable = ask_loader(wanted)
        for soname in wanted:
            place = (
                NvidiaLibrary(soname=soname, path=loadable[soname], origin="system")
                if soname in loadable
                else None
            )
            place = place or next(_elsewhere(soname), None)
            if place is None:
                missing.append(soname)
            else:
                found[soname] = place
        seen = {*found, *missing}
        needed = (
            name for soname in wanted if soname in found for name in _ours(found[soname].path)
        )
        wanted = [name for name in dict.fromkeys(needed) if name not in seen]
    return tuple(found.values()), tuple(missing)


def fetch_libraries(major: str, say: Callable[[str], None]) -> Path:
    """Fetch NVIDIA's libraries of this CUDA major from PyPI into the cache folder; the folder.

    ToolchainError where PyPI has none of that major or pip fails. 403 MB to fetch and 560 MB on
    disk for CUDA 13.
    """
    if major not in PACKAGES:
        raise ToolchainError(
            f"no wheels of CUDA {major} are known; install NVIDIA's CUDA {major} toolkit"
        )
    target = _cached(major)
    with tempfile.TemporaryDirectory(prefix="oomph-", dir=_made(target.parent)) as scratch:
        wanted = Path(scratch, "requirements.txt")
        wanted.write_text("\n".join(PACKAGES[major]) + "\n")
        say(
            f"fetching {' and '.join(line.split()[0] for line in PACKAGES[major])} from PyPI, "
            "once (about 400 MB)"
        )
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "--quiet",
            "--no-deps",
        ]
        command = [*pip, "--only-binary", ":all:", "--dest", scratch, "--requirement", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            names = " ".join(line.split()[0] for line in PACKAGES[major])
            reason = _last_error(done.stderr)
            raise ToolchainError(
                f"pip could not fetch NVIDIA's libraries ({reason}): mend it, or run `pip install "
                f"{names}`"
            )
        fresh = _made(Path(scratch, "lib"))
        for wheel in Path(scratch).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.namelist():
                    name = Path(member).name
                    if name.startswith(OURS):
                        (fresh / name).write_bytes(archive.read(member))
        for file in fresh.iterdir():
            file.replace(_made(target) / file.name)
    return target


def fetched_libraries(major: str) -> Path | None:
    """The folder that `fetch_libraries` filled; None where it did not."""
    folder = _cached(major)
    return folder if all((folder / f"{name}.{major}").is_file() for name in OURS) else None


def ask_loader(sonames: Iterable[str]) -> dict[str, Path]:
    """Where the dynamic loader finds these, asked in a process of its own; those it cannot load are
    left out."""
    command = [sys.executable, "-c", _ASK_LOADER, *sonames]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    return {soname: Path(path) for soname, path in told.items()}


def _ours(library: Path) -> list[str]:
    return [name for name in read_elf(library).needed if name.startswith(OURS)]


def _elsewhere(soname: str) -> Iterator[NvidiaLibrary]:
    major = soname.rpartition(".")[2]
    named = [
        Path(root, "lib64") for key in ("CUDA_PATH", "CUDA_HOME") if (root := os.environ.get(key))
    ]
    toolkits = [
        folder
        for pattern in _TOOLKITS
        for folder in sorted(Path("/").glob(pattern[1:].format(major=major)))
    ]
    spec = find_spec("nvidia")
    roots = spec.submodule_search_locations or () if spec else ()
    packages = [folder for root in roots for folder in sorted(Path(root).glob("*/lib"))]
    places = [(folder, "system") for folder in (*named, *toolkits)]
    places += [(folder, "Python environment") for folder in packages] + [
        (_cached(major), "oomph's cache")
    ]
    for folder, origin in places:
        if (folder / soname).is_file():
            yield NvidiaLibrary(soname=soname, path=folder / soname, origin=origin)


def _cached(major: str) -> Path:
    return cache_folder() / "cuda" / f"nvidia-{major}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _last_error(text: str) -> str:
    errors = [line for line in text.splitlines() if line.startswith("ERROR")]
    return (errors or text.strip().splitlines() or ["no message"])[-1].removeprefix("ERROR: ")
