"""How llama.cpp reaches this machine's cards here: built in, as a plug-in, or not at all."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from oomph.cuda import plugin
from oomph.cuda.backend import BASE
from oomph.cuda.compatibility import CardVerdict, card_verdict, driver_verdict, parse_capability
from oomph.cuda.fatbin import GpuCode, Version, read_gpu_code
from oomph.cuda.nvidia import cuda_major
from oomph.cuda.plugin import Plugin
from oomph.errors import ToolchainError
from oomph.frozen import frozen
from oomph.measure.nvml import NvmlCard
from oomph.records.environment import built_with_cuda

WITHOUT_DRIVER: Final = (
    "on the CPU: the CUDA backend is set up, and this machine has no NVIDIA driver"
)
_NOISE: Final = ("ggml_backend_load_best:", "load_backend: loaded")


@frozen
class CudaRoute:
    """The CUDA backend that will run: `library` has its code, `plugin` is None where llama.cpp was
    built with it."""

    library: Path
    plugin: Plugin | None

    @property
    def backend_path(self) -> Path | None:
        """What the worker has to load; None where it is in llama.cpp already."""
        return self.plugin.path if self.plugin else None

    def code(self) -> tuple[GpuCode, ...]:
        """The GPU code inside."""
        return read_gpu_code(self.library)

    def driver_verdict(self, driver_cuda: Version | None) -> CardVerdict:
        """Whether the driver is new enough for it."""
        return driver_verdict(cuda_major(self.library), driver_cuda)

    def card_verdict(self, card: NvmlCard, driver_cuda: Version | None) -> CardVerdict | None:
        """Whether it runs on the card; None where the card does not tell its compute capability."""
        if card.compute_capability is None:
            return None
        return card_verdict(self.code(), parse_capability(card.compute_capability), driver_cuda)

    def require(self, cards: Sequence[NvmlCard], driver_cuda: Version | None) -> None:
        """ToolchainError for the first reason why it cannot run on these cards: a driver or a card
        too old, or another ggml that the loader would find first."""
        if self.plugin and (other := _other_ggml(self.plugin)):
            raise ToolchainError(
                f"LD_LIBRARY_PATH leads to another ggml, {other}; take its folder out of it"
            )
        driver = self.driver_verdict(driver_cuda)
        if not driver.runs:
            raise ToolchainError(f"the NVIDIA driver speaks {driver.detail}: {driver.remedy}")
        for card in cards:
            verdict = self.card_verdict(card, driver_cuda)
            if verdict and not verdict.runs:
                raise ToolchainError(f"{card.name} has {verdict.detail}: {verdict.remedy}")


@frozen
class Loaded:
    """What came of loading a backend in a child: its devices by name, and what llama.cpp said.

    `api_version` is GGML_BACKEND_API_VERSION as the backend has it; None where it is built in or
    did not load.
    """

    loaded: bool
    devices: tuple[Mapping[str, str], ...]
    api_version: int | None
    words: tuple[str, ...]

    @property
    def cards(self) -> tuple[Mapping[str, str], ...]:
        """The devices that are cards."""
        return tuple(device for device in self.devices if device["type"] in ("GPU", "IGPU"))

    @property
    def complaint(self) -> str:
        """The line that says why there is no card, without paths where it is long."""
        telling = [
            line
            for line in self.words
            if any(word in line for word in ("failed", "error", "no CUDA", "rror:"))
        ]
        return (telling or self.words or ("it said nothing",))[-1].strip()


def chosen_backend() -> str:
    """'cuda' where this environment's llama.cpp was built or set up for cards, whatever this
    machine has; else 'cpu'."""
    return "cuda" if built_with_cuda() or plugin.is_chosen() else "cpu"


def _other_ggml(chosen: Plugin) -> Path | None:
    """A libggml-base that stands in for the plug-in's own: LD_LIBRARY_PATH comes before a library's
    own folder."""
    own = chosen.path.with_name(BASE)
    named = (
        Path(folder, BASE) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder
    )
    first = next((path for path in named if path.exists()), own)
    return None if first.samefile(own) else first


def cuda_route() -> CudaRoute | None:
    """What runs on this machine's cards; None where llama.cpp is for the CPU, or was given the
    plug-in and there is no driver to load it on.

    Raises ToolchainError where a part of the plug-in is gone or fits no more.
    """
    if library := built_with_cuda():
        return CudaRoute(library=library, plugin=None)
    found = plugin.chosen() if plugin.is_chosen() and plugin.has_driver() else None
    return CudaRoute(library=found.backend.path, plugin=found) if found else None


def load_backend(path: Path | None, environment: Mapping[str, str] | None = None) -> Loaded:
    """Load a backend as the worker does, in a child, which may die of it. None loads what llama.cpp
    was built with."""
    command = [sys.executable, "-P", "-m", "oomph.measure.worker.presence", str(path or "")]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=variables
    )
    words = tuple(
        line for line in done.stderr.splitlines() if line.strip() and not line.startswith(_NOISE)
    )
    try:
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return Loaded(loaded=False, devices=(), api_version=None, words=words)
    found, devices = told["loaded"] or path is None, tuple(told["devices"])
    return Loaded(loaded=found, devices=devices, api_version=told["api_version"], words=words)
