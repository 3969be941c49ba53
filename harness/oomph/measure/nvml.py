"""The one door to NVML: what a card says of itself, with None for what it does not say.

pynvml raises for every counter that a card, a driver or a container lacks; here such a counter is None, and a card
that stopped answering is one exception, so that the code above has two cases to think of and not thirty. The door
can be opened on another library than the driver's: the phantom card's.
"""

import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

from oomph.errors import ToolchainError
from oomph.facts.gpus import GpuSpec, gpu

LOST: Final = frozenset({15, 16, 28, 999})
"""NVML_ERROR_GPU_IS_LOST, RESET_REQUIRED, GPU_NOT_FOUND, and UNKNOWN, which is what a card off the bus gives."""
THROTTLE_REASONS: Final = {
    0x4: "power_cap", 0x8: "hw_slowdown", 0x10: "sync_boost", 0x20: "sw_thermal", 0x40: "hw_thermal",
    0x80: "power_brake", 0x100: "display",
}  # fmt: skip
"""nvmlClocksEventReasons that slow a busy card; idle and clocks set by the user are none."""


_WORD_BITS: Final = 8 * ctypes.sizeof(ctypes.c_ulong)


class CardLostError(Exception):
    """The card no longer answers: not for users, it ends the point as `device_lost`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Which card: `index` is NVML's, which is CUDA's under CUDA_DEVICE_ORDER=PCI_BUS_ID.

    `cpus` are the CPUs of its NUMA node, empty where the driver does not tell or there is one node only.
    """

    index: int
    name: str
    uuid: str
    compute_capability: str | None
    total_bytes: int
    usable_bytes: int
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CardMemory:
    """Bytes on a card. `reserved_bytes` is the driver's, kept out of `used_bytes`; None where the driver has no such
    figure, and then it is in `used_bytes`."""

    total_bytes: int
    used_bytes: int
    reserved_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSensors:
    """What a card feels; None is what it does not tell. `throttle` names what slows its clocks now, `energy_j` counts
    since the driver was loaded."""

    power_w: float | None
    power_limit_w: float | None
    energy_j: float | None
    sm_mhz: int | None
    memory_mhz: int | None
    temperature_c: int | None
    utilisation_percent: int | None
    throttle: tuple[str, ...]


class Nvml:
    """NVML, opened; a context manager. Every method but `close` raises CardLostError for a card that is gone."""

    def __init__(self, library: Path | None = None) -> None:
        """Raises ToolchainError where there is no driver. `library` is another libnvidia-ml.so.1 to ask."""
        self._module = _load(library)
        try:
            self._module.nvmlInit()
        except self._module.NVMLError as error:
            raise ToolchainError(f"NVML does not answer ({error}); install NVIDIA's driver, or use --phantom") from None
        self._handles = [self._module.nvmlDeviceGetHandleByIndex(i) for i in range(self._module.nvmlDeviceGetCount())]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of NVML."""
        self._module.nvmlShutdown()

    @property
    def driver(self) -> str | None:
        """The driver's version."""
        version = self._ask(self._module.nvmlSystemGetDriverVersion)
        return None if version is None else str(version)

    @property
    def cuda_version(self) -> tuple[int, int] | None:
        """The newest CUDA version that the driver speaks: (13, 0)."""
        version = self._ask(self._module.nvmlSystemGetCudaDriverVersion_v2)
        return None if version is None else (version // 1000, version % 1000 // 10)

    def cards(self) -> tuple[Card, ...]:
        """The machine's cards, in NVML's order."""
        return tuple(self._card(index) for index in range(len(self._handles)))

    def memory(self, index: int) -> CardMemory:
        """The card's memory now: NVML's second version, which tells the reserved part, or else the first."""
        module, handle = self._module, self._handles[index]
        second = self._ask(module.nvmlDeviceGetMemoryInfo, handle, version=module.nvmlMemory_v2)
        if second is not None:
            return CardMemory(total_bytes=second.total, used_bytes=second.used, reserved_bytes=second.reserved)
        first = module.nvmlDeviceGetMemoryInfo(handle)
        return CardMemory(total_bytes=first.total, used_bytes=first.used, reserved_bytes=None)

    def processes(self, index: int) -> dict[int, int | None]:
        """Bytes by process, None where the driver lists a process and hides its memory (WDDM, containers)."""
        found: dict[int, int | None] = {}
        for ask in (
            self._module.nvmlDeviceGetComputeRunningProcesses_v3,
            self._module.nvmlDeviceGetGraphicsRunningProcesses_v3,
        ):
            for process in self._ask(ask, self._handles[index]) or ():
                found[process.pid] = process.usedGpuMemory
        return found

    def sensors(self, index: int) -> CardSensors:
        """Power, clocks, temperature and what slows the card, now."""
        module, handle = self._module, self._handles[index]
        utilisation = self._ask(module.nvmlDeviceGetUtilizationRates, handle)
        reasons = self._ask(module.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if reasons is None:  # the name that drivers before 535 know
            reasons = self._ask(module.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        return CardSensors(
            power_w=_scaled(self._ask(module.nvmlDeviceGetPowerUsage, handle), 1e-3),
            power_limit_w=_scaled(self._ask(module.nvmlDeviceGetEnforcedPowerLimit, handle), 1e-3),
            energy_j=_scaled(self._ask(module.nvmlDeviceGetTotalEnergyConsumption, handle), 1e-3),
            sm_mhz=self._ask(module.nvmlDeviceGetClockInfo, handle, module.NVML_CLOCK_SM),
            memory_mhz=self._ask(module.nvmlDeviceGetClockInfo, handle, module.NVML_CLOCK_MEM),
            temperature_c=self._ask(module.nvmlDeviceGetTemperature, handle, module.NVML_TEMPERATURE_GPU),
            utilisation_percent=None if utilisation is None else utilisation.gpu,
            throttle=tuple(name for bit, name in THROTTLE_REASONS.items() if (reasons or 0) & bit),
        )

    def _card(self, index: int) -> Card:
        handle, memory = self._handles[index], self.memory(index)
        capability = self._ask(self._module.nvmlDeviceGetCudaComputeCapability, handle)
        return Card(
            index=index, name=self._module.nvmlDeviceGetName(handle), uuid=self._module.nvmlDeviceGetUUID(handle),
            compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
            total_bytes=memory.total_bytes, usable_bytes=memory.total_bytes - (memory.reserved_bytes or 0),
            cpus=self._nearest_cpus(index),
        )  # fmt: skip

    def _nearest_cpus(self, index: int) -> tuple[int, ...]:
        """Those that this process may use of the card's NUMA node; none where these are all that it may use."""
        usable = os.sched_getaffinity(0)
        n_words = max(usable) // _WORD_BITS + 1
        words = self._ask(self._module.nvmlDeviceGetCpuAffinity, self._handles[index], n_words) or ()
        nearest = {
            cpu for cpu in usable if cpu // _WORD_BITS < len(words) and words[cpu // _WORD_BITS] >> cpu % _WORD_BITS & 1
        }
        return tuple(sorted(nearest)) if nearest != usable else ()

    def _ask(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """The call's answer, None where the card or the driver does not know it."""
        try:
            return call(*arguments, **named)
        except self._module.NVMLError as error:
            if error.value in LOST:
                raise CardLostError(str(error)) from None
            return None


def detect_gpus(library: Path | None = None) -> tuple[GpuSpec, ...]:
    """The machine's cards by the catalogue, with the memory that the driver reports for each.

    Raises ToolchainError without a driver, UnknownNameError for a card that the catalogue lacks.
    """
    with Nvml(library) as nvml:
        return tuple(replace(gpu(card.name), memory_bytes=card.usable_bytes) for card in nvml.cards())


def visible_cards(cards: Sequence[Card], environment: Mapping[str, str] = os.environ) -> tuple[Card, ...]:
    """The cards that a CUDA program sees, in its order (CUDA0 first): all, or what CUDA_VISIBLE_DEVICES names.

    As CUDA reads it: numbers or beginnings of UUIDs, and the first that names no card ends the list.
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(cards)
    seen: list[Card] = []
    for item in (part.strip() for part in chosen.split(",")):
        named = [card for card in cards if item == str(card.index) or (item and card.uuid.startswith(item))]
        if not named:
            break
        seen.append(named[0])
    return tuple(seen)


def _load(library: Path | None) -> ModuleType:
    """pynvml, or, for another library, a copy of the module of its own: pynvml keeps one library in a global."""
    if library is None:
        import pynvml

        return pynvml  # type: ignore[no-any-return]
    found, name = importlib.util.find_spec("pynvml"), f"pynvml_{threading.get_ident()}"
    spec = importlib.util.spec_from_file_location(name, found.origin) if found and found.origin else None
    if spec is None or spec.loader is None:
        raise ToolchainError("nvidia-ml-py is not installed; run `pip install nvidia-ml-py`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # it looks itself up while it is imported
    spec.loader.exec_module(module)
    del sys.modules[spec.name]
    module.nvmlLib = ctypes.CDLL(str(library))  # type: ignore[attr-defined]
    return module


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
