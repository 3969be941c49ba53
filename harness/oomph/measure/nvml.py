"""The one door to NVML: what a card says of itself, with None for what it does not say.

pynvml raises for every counter that a card, a driver or a container lacks; here such a counter is
None, why is noted once by its name, and a card that stopped answering is one exception, so that the
code above has two cases to think of and not thirty. The door can be opened on another library than
the driver's: the phantom card's.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from oomph.frozen import frozen
from oomph.gpus import GpuSpec, gpu
from oomph.measure.nvml_library import open_library

LOST: Final = frozenset({15, 16, 28})
"""NVML_ERROR_GPU_IS_LOST, RESET_REQUIRED, GPU_NOT_FOUND."""
TOO_SMALL, UNKNOWN = 7, 999
LIST_TRIES: Final = 3
"""The list of processes is counted, then filled: what starts in between makes it too small, and it
is asked again."""
HIDDEN: Final = "processes are listed without their memory, as under WDDM and in some containers"
WHOLE_GPU: Final = "the sensor is the whole GPU's, and this is a MIG instance"
THROTTLE_REASONS: Final = {
    0x4: "power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "power_brake",
    0x100: "display",
}
"""nvmlClocksEventReasons that slow a busy card; idle and clocks set by the user are none."""


_WORD_BITS: Final = 8 * ctypes.sizeof(ctypes.c_ulong)

Unread = dict[str, str]
"""Why a figure is not told, by the figure's name; the first reason stays."""


class CardLostError(Exception):
    """The card no longer answers: not for users, it ends the point as `device_lost`."""


@frozen
class NvmlCard:
    """Which card: `index` counts what this process may use, as CUDA does under
    CUDA_DEVICE_ORDER=PCI_BUS_ID.

    `number` is CUDA's of its GPU, None where that is `index`: of a GPU that is cut up (MIG) each
    instance is a card and has the GPU's. `cpus` are the CPUs of its NUMA node, empty where the
    driver does not tell or there is one node only. Bytes are None where the driver does not tell,
    as of memory that a card shares with the host.
    """

    index: int
    name: str
    uuid: str
    compute_capability: str | None
    total_bytes: int | None
    usable_bytes: int | None
    cpus: tuple[int, ...] = ()
    number: int | None = None
    is_instance: bool = False


@frozen
class CardMemory:
    """Bytes on a card. `reserved_bytes` is the driver's, kept out of `used_bytes`; None where the
    driver has no such figure, and then it is in `used_bytes`."""

    total_bytes: int
    used_bytes: int
    reserved_bytes: int | None


@frozen
class CardSensors:
    """What a card feels; None is what it does not tell. `throttle` names what slows its clocks now,
    `energy_j` counts since the driver was loaded. Of a MIG instance, power and energy are None:
    they are the whole GPU's."""

    power_w: float | None
    power_limit_w: float | None
    energy_j: float | None
    sm_mhz: int | None
    memory_mhz: int | None
    temperature_c: int | None
    utilisation_percent: int | None
    throttle: tuple[str, ...] | None


@frozen
class _Device:
    """Handles: of what memory and processes are asked of, and of the GPU that the sensors belong
    to."""

    handle: Any
    gpu: Any
    number: int
    is_instance: bool = False


class Nvml:
    """NVML, opened; a context manager. Methods raise CardLostError for a card that is gone; where
    one takes `unread`, it notes there what the card does not tell."""

    def __init__(self, library: Path | None = None) -> None:
        """Raises ToolchainError where there is no driver. `library` is another libnvidia-ml.so.1 to
        ask."""
        self._module = open_library(library)
        self._devices = self._find_devices()
        self._tells_reserved = set[int]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of NVML."""
        self._ask(self._module.nvmlShutdown)

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

    def cards(self) -> tuple[NvmlCard, ...]:
        """The cards that this process may use, in NVML's order."""
        return tuple(self._card(index) for index in range(len(self._devices)))

    def answering(self) -> tuple[tuple[NvmlCard, ...], str | None]:
        """Those of the cards that answer, and why the others do not; None where all do."""
        found, reason = list[NvmlCard](), None
        for index in range(len(self._devices)):
            try:
                found.append(self._card(index))
            except CardLostError as error:
                reason = str(error)
        return tuple(found), reason

    def memory(self, index: int, unread: Unread | None = None) -> CardMemory | None:
        """The card's memory now: NVML's second version, which tells the reserved part, or else the
        first.

        A card that has once told the reserved part is not asked the other way: the figures differ
        by it. An unknown error is what a card off the bus gives to this question, so it raises
        CardLostError, too.
        """
        module, handle = self._module, self._devices[index].handle
        told, error = self._try(
            module.nvmlDeviceGetMemoryInfo, handle, version=module.nvmlMemory_v2
        )
        if told is not None:
            self._tells_reserved.add(index)
            return CardMemory(
                total_bytes=told.total, used_bytes=told.used, reserved_bytes=told.reserved
            )
        if index not in self._tells_reserved:
            told, error = self._try(module.nvmlDeviceGetMemoryInfo, handle)
        if told is not None:
            return CardMemory(total_bytes=told.total, used_bytes=told.used, reserved_bytes=None)
        if error.value == UNKNOWN:
            raise CardLostError(str(error))
        _note(unread, "memory", str(error))
        return None

    def processes(self, index: int, unread: Unread | None = None) -> dict[int, int | None] | None:
        """Bytes by process, None where the driver lists a process and hides its memory (WDDM,
        containers); None where there is no list."""
        found: dict[int, int | None] = {}
        for ask in (
            self._module.nvmlDeviceGetComputeRunningProcesses_v3,
            self._module.nvmlDeviceGetGraphicsRunningProcesses_v3,
        ):
            listed = self._list(ask, index, unread)
            if listed is None:
                return None
            found |= {process.pid: process.usedGpuMemory for process in listed if process.pid > 0}
        if None in found.values():
            _note(unread, "process_memory", HIDDEN)
        return found

    def sensors(self, index: int, unread: Unread | None = None) -> CardSensors:
        """Power, clocks, temperature and what slows the card, now."""
        module, device = self._module, self._devices[index]

        def ask(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
            return self._ask(call, device.gpu, *arguments, name=name, to=unread)

        def ask_power(name: str, call: Callable[..., Any]) -> Any:
            if not device.is_instance:
                return ask(name, call)
            _note(unread, name, WHOLE_GPU)
            return None

        utilisation = ask_power("utilisation", module.nvmlDeviceGetUtilizationRates)
        reasons = self._ask(module.nvmlDeviceGetCurrentClocksEventReasons, device.gpu)
        if reasons is None:  # the name that drivers before 535 know
            reasons = ask("throttle", module.nvmlDeviceGetCurrentClocksThrottleReasons)
        return CardSensors(
            power_w=_scaled(ask_power("power", module.nvmlDeviceGetPowerUsage), 1e-3),
            power_limit_w=_scaled(
                ask_power("power_limit", module.nvmlDeviceGetEnforcedPowerLimit), 1e-3
            ),
            energy_j=_scaled(ask_power("energy", module.nvmlDeviceGetTotalEnergyConsumption), 1e-3),
            sm_mhz=ask("sm_clock", module.nvmlDeviceGetClockInfo, module.NVML_CLOCK_SM),
            memory_mhz=ask("memory_clock", module.nvmlDeviceGetClockInfo, module.NVML_CLOCK_MEM),
            temperature_c=ask(
                "temperature", module.nvmlDeviceGetTemperature, module.NVML_TEMPERATURE_GPU
            ),
            utilisation_percent=None if utilisation is None else utilisation.gpu,
            throttle=None
            if reasons is None
            else tuple(name for bit, name in THROTTLE_REASONS.items() if reasons & bit),
        )

    def _find_devices(self) -> list[_Device]:
        """The GPUs that this process may use, of one that is cut up its instances. What it may not
        use (a container's cgroup), CUDA does not count either."""
        module, found, number = self._module, list[_Device](), -1
        for index in range(self._ask(module.nvmlDeviceGetCount) or 0):
            try:
                gpu = self._ask(module.nvmlDeviceGetHandleByIndex, index)
                mode = None if gpu is None else self._ask(module.nvmlDeviceGetMigMode, gpu)
            except CardLostError as error:
                # it is one of the cards, and every question to it is answered with this
                gpu, mode = error, None
            if gpu is None:
                continue
            number += 1
            if not (mode and mode[0]):
                found.append(_Device(handle=gpu, gpu=gpu, number=number))
                continue
            for slot in range(self._ask(module.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
                instance = self._ask(module.nvmlDeviceGetMigDeviceHandleByIndex, gpu, slot)
                if instance is not None:
                    found.append(_Device(handle=instance, gpu=gpu, number=number, is_instance=True))
        return found

    def facts(self, index: int) -> dict[str, Any]:
        """What of the card does not change while it works, and its links; None for what it does not
        tell. Of a MIG instance, all but its memory is the whole GPU's."""
        module, handle = self._module, self._devices[index].gpu
        power = self._ask(module.nvmlDeviceGetPowerManagementLimitConstraints, handle)
        ecc, mig = (
            self._ask(ask, handle)
            for ask in (module.nvmlDeviceGetEccMode, module.nvmlDeviceGetMigMode)
        )
        memory = self.memory(index)
        return {
            "total_bytes": memory.total_bytes if memory else None,
            "reserved_bytes": memory.reserved_bytes if memory else None,
            "used_bytes": memory.used_bytes if memory else None,
            "driver": self.driver,
            "driver_cuda_version": self._ask(module.nvmlSystemGetCudaDriverVersion),
            "compute_capability": self._card(index).compute_capability,
            "pcie_generation": self._ask(module.nvmlDeviceGetCurrPcieLinkGeneration, handle),
            "pcie_generation_max": self._ask(module.nvmlDeviceGetMaxPcieLinkGeneration, handle),
            "pcie_width": self._ask(module.nvmlDeviceGetCurrPcieLinkWidth, handle),
            "pcie_width_max": self._ask(module.nvmlDeviceGetMaxPcieLinkWidth, handle),
            "sm_mhz_max": self._ask(module.nvmlDeviceGetMaxClockInfo, handle, module.NVML_CLOCK_SM),
            "memory_mhz_max": self._ask(
                module.nvmlDeviceGetMaxClockInfo, handle, module.NVML_CLOCK_MEM
            ),
            "power_limit_w": _scaled(
                self._ask(module.nvmlDeviceGetEnforcedPowerLimit, handle), 1e-3
            ),
            "power_limit_default_w": _scaled(
                self._ask(module.nvmlDeviceGetPowerManagementDefaultLimit, handle), 1e-3
            ),
            "power_limits_w": None if power is None else [limit * 1e-3 for limit in power],
            "bus_width_bits": self._ask(module.nvmlDeviceGetMemoryBusWidth, handle),
            "ecc_enabled": None if ecc is None else bool(ecc[0]),
            "mig_enabled": None if mig is None else bool(mig[0]),
            "persistence": self._ask(module.nvmlDeviceGetPersistenceMode, handle),
            "compute_mode": self._ask(module.nvmlDeviceGetComputeMode, handle),
        }

    def _card(self, index: int) -> NvmlCard:
        module, device, memory = self._module, self._devices[index], self.memory(index)
        capability = self._ask(module.nvmlDeviceGetCudaComputeCapability, device.handle)
        total = None if memory is None else memory.total_bytes
        return NvmlCard(
            index=index,
            name=self._ask(module.nvmlDeviceGetName, device.handle) or "a card without a name",
            uuid=self._ask(module.nvmlDeviceGetUUID, device.handle) or "",
            compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
            total_bytes=total,
            usable_bytes=None
            if memory is None or total is None
            else total - (memory.reserved_bytes or 0),
            cpus=self._nearest_cpus(index),
            number=device.number,
            is_instance=device.is_instance,
        )

    def _nearest_cpus(self, index: int) -> tuple[int, ...]:
        """Those that this process may use of the card's NUMA node; none where these are all that it
        may use."""
        usable = os.sched_getaffinity(0)
        n_words = max(usable) // _WORD_BITS + 1
        words = (
            self._ask(self._module.nvmlDeviceGetCpuAffinity, self._devices[index].gpu, n_words)
            or ()
        )
        nearest = {
            cpu
            for cpu in usable
            if cpu // _WORD_BITS < len(words) and words[cpu // _WORD_BITS] >> cpu % _WORD_BITS & 1
        }
        return tuple(sorted(nearest)) if nearest != usable else ()

    def _list(
        self, call: Callable[..., Any], index: int, unread: Unread | None
    ) -> Sequence[Any] | None:
        for _ in range(LIST_TRIES):
            listed, error = self._try(call, self._devices[index].handle)
            if error is None:
                return listed  # type: ignore[no-any-return]
            if error.value != TOO_SMALL:
                break
        _note(unread, "processes", str(error))
        return None

    def _ask(
        self,
        call: Callable[..., Any],
        *arguments: Any,
        name: str = "",
        to: Unread | None = None,
        **named: Any,
    ) -> Any:
        """The call's answer, None where the card or the driver does not know it; why is noted `to`
        under `name`."""
        told, error = self._try(call, *arguments, **named)
        if error is not None:
            _note(to, name, str(error))
        return told

    def _try(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[Any, Any]:
        """The call's answer, or NVML's error."""
        if arguments and isinstance(arguments[0], CardLostError):
            raise arguments[0]
        try:
            return call(*arguments, **named), None
        except self._module.NVMLError as error:
            if error.value in LOST:
                raise CardLostError(str(error)) from None
            return None, error


def detect_gpus(library: Path | None = None) -> tuple[GpuSpec, ...]:
    """The machine's cards by the catalogue, with the memory that the driver reports for each.

    Raises ToolchainError without a driver, UnknownNameError for a card that the catalogue lacks.
    """
    with Nvml(library) as nvml:
        return tuple(
            replace(gpu(card.name), memory_bytes=card.usable_bytes)
            if card.usable_bytes
            else gpu(card.name)
            for card in nvml.cards()
        )


def _note(unread: Unread | None, name: str, reason: str) -> None:
    """Keep the first reason."""
    if unread is not None:
        unread.setdefault(name, reason)


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
