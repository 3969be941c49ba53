"""What is installed, which build, which cards, and the command that mends what is missing.

Everything is looked at without changing anything. llama.cpp is asked in a child process: loading its CUDA
backend into this one would take memory on the card that is to be measured.
"""

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from oomph.cache import cache_folder
from oomph.cuda.backend import installed_backend
from oomph.errors import ToolchainError
from oomph.measure.nvml import Nvml
from oomph.phantom.cards import Phantom
from oomph.units import mib, size

PACKAGES: Final = ("llama-cpp-python", "nvidia-ml-py", "psutil", "numpy", "scipy", "pandas", "matplotlib", "gguf")
EXTRAS: Final = {"huggingface_hub": "hf", "ray": "ray", "submitit": "slurm", "pyarrow": "parquet"}

_ASK_LLAMA: Final = """
import ctypes, json, llama_cpp.llama_cpp as c
print(json.dumps({"gpu": bool(c.llama_supports_gpu_offload()), "system": c.llama_print_system_info().decode()}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: `state` is "ok", "missing" (oomph's main job needs it) or "optional"."""

    name: str
    state: str
    detail: str
    remedy: str | None = None


def _package(name: str) -> Finding:
    try:
        return Finding(name=name, state="ok", detail=version(name))
    except PackageNotFoundError:
        return Finding(name=name, state="missing", detail="not installed", remedy="scripts/setup")


def _extra(name: str, extra: str) -> Finding:
    try:
        return Finding(name=name, state="ok", detail=version(name))
    except PackageNotFoundError:
        return Finding(name=name, state="optional", detail="not installed", remedy=f"pip install 'oomph[{extra}]'")


def _llama_build() -> Finding:
    name = "llama.cpp build"
    asked = subprocess.run([sys.executable, "-c", _ASK_LLAMA], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        last = (asked.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding(name=name, state="missing", detail=f"does not load: {last}", remedy="scripts/setup")
    answer = json.loads(asked.stdout.splitlines()[-1])
    if answer["gpu"]:
        return Finding(name=name, state="ok", detail="CUDA (offloads to cards)")
    return Finding(
        name=name,
        state="ok",
        detail="CPU only",
        remedy="scripts/setup --cuda" if shutil.which("nvidia-smi") else None,
    )


def _program(name: str, purpose: str, remedy: str) -> Finding:
    where = shutil.which(name)
    if where:
        return Finding(name=name, state="ok", detail=purpose)
    return Finding(name=name, state="optional", detail=f"not found; needed for {purpose}", remedy=remedy)


def _cards(phantom: Phantom | None) -> list[Finding]:
    try:
        with Nvml(phantom.nvml_path if phantom else None) as nvml:
            driver, cards = nvml.driver, nvml.cards()
            memory = [nvml.memory(card.index) for card in cards]
    except ToolchainError as error:
        return [Finding(name="NVIDIA cards", state="optional", detail=str(error), remedy="oomph phantom setup")]
    kind = "phantom card" if phantom else "card"
    found = [Finding(name="NVIDIA driver", state="ok", detail=driver or "does not tell its version")]
    for card, now in zip(cards, memory, strict=True):
        detail = f"{card.name}, {mib(now.total_bytes)}, {mib(now.used_bytes)} in use"
        found.append(Finding(name=f"{kind} {card.index}", state="ok", detail=detail))
    return found


def _phantom_parts() -> Finding:
    name = "phantom card"
    try:
        backend = installed_backend()
    except ToolchainError as error:
        return Finding(name=name, state="optional", detail=str(error), remedy="oomph phantom setup")
    return Finding(name=name, state="ok", detail=f"CUDA backend of {backend.source}, ggml {backend.ggml_version}")


def _disk() -> Finding:
    cache = cache_folder()
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    kept = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file()) if cache.exists() else 0
    return Finding(name="cache folder", state="ok", detail=f"{cache}: {size(kept)} kept, {size(free)} free on the disk")


def examine(phantom: Phantom | None = None) -> list[Finding]:
    """Everything that oomph's jobs rest on, in the order in which a user would mend it; with `phantom`, its cards."""
    return [
        Finding(name="machine", state="ok", detail=f"{platform.platform()}, Python {platform.python_version()}"),
        *(_package(name) for name in PACKAGES),
        _llama_build(),
        *_cards(phantom),
        _phantom_parts(),
        _program("cc", "compiling the phantom card", "apt-get install build-essential"),
        _program("npm", "fetching the phantom card's CUDA backend", "apt-get install npm"),
        *(_extra(name, extra) for name, extra in EXTRAS.items()),
        _disk(),
    ]
