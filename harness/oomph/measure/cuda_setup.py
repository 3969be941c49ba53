"""Sets this environment's llama.cpp up for cards, by a plug-in or by compiling."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from oomph.cuda import plugin
from oomph.cuda.fatbin import in_words
from oomph.errors import ToolchainError
from oomph.measure.cuda_route import load_backend
from oomph.records.environment import built_with_cuda
from oomph.units import size

NVCC: Final = ("/usr/local/cuda/bin/nvcc", "/opt/cuda/bin/nvcc")


def set_up_cuda(backend: Path | None, say: Callable[[str], None]) -> Iterator[str]:
    """Fetch and choose the CUDA backend, load it once in a child, and tell what there is, a line
    each.

    Raises ToolchainError where a part cannot be had. A machine without a driver is none of these:
    it is told.
    """
    if built_with_cuda():
        raise ToolchainError(
            "llama-cpp-python was compiled with CUDA here, which serves as it is; see `oomph "
            "doctor`"
        )
    chosen = plugin.set_up(backend=backend, say=say)
    yield (
        f"CUDA backend: {chosen.backend.source} (ggml {chosen.backend.ggml_version}), "
        f"{chosen.backend.path}"
    )
    yield f"GPU code: CUDA {chosen.cuda_major}, {in_words(chosen.code)}"
    for library in chosen.libraries:
        path = library.path.resolve()
        yield f"{library.soname}: {library.origin}, {path} ({size(path.stat().st_size)})"
    loaded = load_backend(chosen.path)
    for device in loaded.cards:
        yield f"{device['name']}: {device['description']}"
    if loaded.cards:
        yield "ready: oomph measures on these cards; `oomph doctor` says how each meets the backend"
    else:
        yield f"llama.cpp says: {loaded.complaint}"
        yield (
            "set up, without a card to run on: the CPU and --phantom work meanwhile; see `oomph "
            "doctor`"
        )


def build_with_cuda(say: Callable[[str], None]) -> Iterator[str]:
    """Compile the installed version of llama-cpp-python with CUDA and put it in its place; told, a
    line each.

    Raises ToolchainError without the toolkit's nvcc, or where pip fails.
    """
    nvcc = shutil.which("nvcc") or next((path for path in NVCC if os.access(path, os.X_OK)), None)
    if nvcc is None:
        raise ToolchainError(
            "no nvcc; install NVIDIA's CUDA toolkit for --build, or leave --build out"
        )
    try:
        wanted = f"llama-cpp-python=={version('llama-cpp-python')}"
    except PackageNotFoundError:
        raise ToolchainError(
            "llama-cpp-python is not installed; run `pip install llama-cpp-python`"
        ) from None
    say(f"compiling {wanted} with {nvcc}: some tens of minutes")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
    ]
    command = [
        *pip,
        "--no-cache-dir",
        "--force-reinstall",
        "--no-binary",
        "llama-cpp-python",
        wanted,
    ]
    flags = " ".join(filter(None, ("-DGGML_CUDA=on", os.environ.get("CMAKE_ARGS"))))
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CMAKE_ARGS": flags, "CUDACXX": nvcc},
    )
    if done.returncode:
        raise ToolchainError(
            f"compiling {wanted} with CUDA failed: {cause(done.stderr)} (or leave --build out)"
        )
    yield f"{wanted} is compiled with CUDA; see `oomph doctor`"


def cause(text: str) -> str:
    """CMake's, the compiler's or pip's line that says why, out of the thousands, with the next
    where it ends in a colon."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = (
        i
        for i, line in enumerate(lines)
        if "CMake Error" in line or " error:" in line or line.startswith("ERROR")
    )
    first = next(telling, len(lines) - 1)
    taken = (
        lines[first : first + 2]
        if lines and lines[first].endswith(":")
        else lines[first : first + 1]
    )
    return " ".join(taken) or "no message"
