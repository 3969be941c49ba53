"""What is installed, which build, which cards, and the command that mends what is missing.

Everything is looked at without changing anything. llama.cpp is asked in a child process: loading
its CUDA backend into this one would take memory on the card that is to be measured.
"""

import json
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final

from oomph.cuda.backend import installed_backend
from oomph.errors import ToolchainError
from oomph.extras import pip_install
from oomph.measure.doctor_cuda import cuda_findings
from oomph.measure.finding import Finding
from oomph.paths import cache_folder
from oomph.phantom.cards import Phantom
from oomph.records.environment import llama_cpp_commit
from oomph.units import size

PACKAGES: Final = {
    "llama-cpp-python": "llama_cpp",
    "nvidia-ml-py": "pynvml",
    "gguf": "gguf",
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "matplotlib": "matplotlib",
    "huggingface_hub": "huggingface_hub",
    "ray": "ray",
    "submitit": "submitit",
    "pyarrow": "pyarrow",
}
"""What oomph's core can do without: distributions, and what is imported of them."""

VERIFIED_WHEEL: Final = "0.3.36"
VERIFIED_COMMIT: Final = "0c1e570"
"""The llama.cpp that the wheel has (b11330, `oomph.estimate.trust`)."""

_ASK_LLAMA: Final = """
import ctypes, json, llama_cpp.llama_cpp as c
gpu, system = c.llama_supports_gpu_offload(), c.llama_print_system_info().decode()
print(json.dumps({"gpu": bool(gpu), "system": system}))
"""


def _package(name: str, module: str) -> Finding:
    try:
        return Finding(name=name, state="ok", detail=version(name))
    except PackageNotFoundError:
        remedy = pip_install(module)
        return Finding(name=name, state="optional", detail="not installed", remedy=remedy)


def _llama_build() -> Finding:
    name = "llama.cpp build"
    if find_spec("llama_cpp") is None:
        detail = "none: oomph predicts here, and cannot measure"
        return Finding(name=name, state="optional", detail=detail)
    asked = subprocess.run(
        [sys.executable, "-c", _ASK_LLAMA], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        last = (asked.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding(
            name=name,
            state="missing",
            detail=f"does not load: {last}",
            remedy="pip install --force-reinstall llama-cpp-python",
        )
    answer = json.loads(asked.stdout.splitlines()[-1])
    kind, commit = "CUDA (offloads to cards)" if answer["gpu"] else "CPU", llama_cpp_commit() or ""
    if commit.startswith(VERIFIED_COMMIT):
        detail = f"{kind}, commit {commit}: the one that estimates were verified against"
        return Finding(name=name, state="ok", detail=detail)
    return Finding(
        name=name,
        state="optional",
        detail=f"{kind}, commit {commit or 'unknown'}; estimates were verified against "
        f"{VERIFIED_COMMIT}, and of this one are not known to be exact",
        remedy=f"oomph verify, or pip install llama-cpp-python=={VERIFIED_WHEEL}",
    )


def _program(name: str, purpose: str, remedy: str) -> Finding:
    where = shutil.which(name)
    if where:
        return Finding(name=name, state="ok", detail=f"found; needed for {purpose}")
    return Finding(
        name=name, state="optional", detail=f"not found; needed for {purpose}", remedy=remedy
    )


def _phantom_parts() -> Finding:
    name = "phantom card"
    try:
        backend = installed_backend()
    except ToolchainError as error:
        return Finding(name=name, state="optional", detail=str(error), remedy="oomph phantom setup")
    return Finding(
        name=name,
        state="ok",
        detail=f"CUDA backend of {backend.source}, ggml {backend.ggml_version}",
    )


def _disk() -> Finding:
    cache = cache_folder()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    kept = sum(file.lstat().st_blocks * 512 for file in cache.rglob("*")) if cache.exists() else 0
    return Finding(
        name="cache folder",
        state="ok",
        detail=f"{cache}: {size(kept)} kept, {size(free)} free on the disk",
    )


def examine(phantom: Phantom | None = None) -> list[Finding]:
    """Everything that oomph's jobs rest on, in the order in which a user would mend it; with
    `phantom`, its cards."""
    return [
        Finding(
            name="machine",
            state="ok",
            detail=f"{platform.platform()}, Python {platform.python_version()}",
        ),
        *(_package(name, module) for name, module in PACKAGES.items()),
        _llama_build(),
        *cuda_findings(phantom),
        _phantom_parts(),
        _program("cc", "compiling the phantom card", "apt-get install build-essential"),
        _program("npm", "fetching llama.cpp's CUDA backend", "apt-get install npm"),
        _disk(),
    ]
