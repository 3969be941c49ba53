"""A worker's memory on the cards, sampled through NVML.

The figure wanted is the worker's own. Where NVML tells it by process it is taken (`per_process`);
in most containers it does not, and then it is what the card shows less what it showed before the
worker started (`device_minus_idle`), which another program that comes or goes falsifies: such
programs are named. What a card does not tell is None and never 0, and `unread` says why.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from oomph.errors import ToolchainError
from oomph.measure.energy import Reading as Joules
from oomph.measure.energy import counter_fault, integrated
from oomph.measure.nvml import CardLostError, CardSensors, Nvml, NvmlCard, Unread
from oomph.measure.probes import Reading
from oomph.measure.visible import seen_cards
from oomph.phantom.cards import Phantom

SENSOR_EVERY: Final = 5
"""Sensors are read at every fifth sample: they change slowly and cost the driver more than memory
does."""


@dataclass(slots=True)
class _Watch:
    """One card while a worker is on it. `lost` is how its last sample went; `others` is None
    without a list."""

    card: NvmlCard
    device: str
    idle_bytes: int | None
    method: str = "device_minus_idle"
    lost: bool = False
    n_samples: int = 0
    most_used_bytes: int | None = None
    sensors: list[tuple[int, CardSensors]] = field(default_factory=list)
    others: dict[int, int | None] | None = None
    unread: Unread = field(default_factory=dict)


class CardProbe:
    """The worker's `vram` on every card that CUDA shows it, by llama.cpp's names (CUDA0, CUDA1).

    `visible` is the worker's CUDA_VISIBLE_DEVICES where it differs from this process's. With
    `phantom` it watches phantom cards, whose own account of the highest use is exact, and whose
    sensors read what somebody has set: what they say is left out of the conditions unless
    `tells_stand_ins` asks for it.
    """

    name: Final = "nvml"

    def __init__(
        self,
        phantom: Phantom | None = None,
        *,
        visible: str | None = None,
        tells_stand_ins: bool = False,
    ) -> None:
        self._phantom = phantom
        self._tells_sensors = phantom is None or tells_stand_ins
        self._environment = {} if phantom else dict(os.environ)
        if visible is not None:
            self._environment["CUDA_VISIBLE_DEVICES"] = visible
        self._nvml: Nvml | None = None
        self._watches: list[_Watch] = []
        self._pid: int | None = None

    def open(self) -> None:
        """Note what the idle cards show. ToolchainError without a driver, or where one of the cards
        is gone already."""
        self._nvml = nvml = Nvml(self._phantom.nvml_path if self._phantom else None)
        try:
            cards = seen_cards(nvml, self._environment)
            self._watches = [
                _Watch(card=card, device=f"CUDA{position}", idle_bytes=_used(nvml, card.index))
                for position, card in enumerate(cards)
            ]
        except CardLostError as error:
            raise ToolchainError(
                f"a card does not answer ({error}); reset it or the machine"
            ) from None

    def attach(self, pid: int) -> None:
        """Count as the worker's what belongs to the process group `pid`."""
        self._pid = pid

    def sample(self) -> Mapping[Reading, int]:
        """The worker's bytes on each card that still answers."""
        found: dict[Reading, int] = {}
        for watch in self._watches:
            with self._losing(watch):
                share = self._share(watch)
                if share is not None:
                    found[Reading("vram", watch.device)] = share
        return found

    def method(self, reading: Reading) -> str | None:
        """How the worker's share was found: `per_process` or `device_minus_idle`."""
        return next(
            (watch.method for watch in self._watches if watch.device == reading.device), None
        )

    def reset_peaks(self) -> None:
        """A point begins."""
        for watch in self._watches:
            watch.sensors, watch.others, watch.unread, watch.n_samples = [], None, {}, 0
            watch.most_used_bytes = None
            if self._phantom:
                self._phantom.reset_peak(watch.card.index)

    def exact_peaks(self) -> Mapping[Reading, int]:
        """What a phantom card's account says; NVML keeps no high-water mark."""
        if self._phantom is None:
            return {}
        return {
            Reading("vram", watch.device): self._phantom.counters(watch.card.index).peak_bytes
            - watch.idle_bytes
            for watch in self._watches
            if watch.idle_bytes is not None
        }

    def conditions(self) -> Mapping[str, Any]:
        """By card: sensors over the window, other processes on it, and `unread`, why the rest is
        None; `lost_devices` where some had stopped answering at its end."""
        lost = [watch.device for watch in self._watches if watch.lost]
        cards = {
            watch.device: _summary(watch, watch.sensors if self._tells_sensors else ())
            for watch in self._watches
        }
        return {"cards": cards} | ({"lost_devices": lost} if lost else {})

    def close(self) -> None:
        """Let go of NVML."""
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None

    @contextlib.contextmanager
    def _losing(self, watch: _Watch) -> Iterator[None]:
        """A card that disappears is noted, not raised: the sampler lives on."""
        try:
            yield
            watch.lost = False
        except CardLostError as error:
            watch.lost = True
            watch.unread.setdefault("card", str(error))

    def _share(self, watch: _Watch) -> int | None:
        """The worker's bytes; None where this sample cannot tell them in the way that the others
        did."""
        assert self._nvml is not None, "open comes before sample"
        index = watch.card.index
        used = _used(self._nvml, index, watch.unread)
        processes = self._nvml.processes(index, watch.unread)
        if used is not None:
            watch.most_used_bytes = max(watch.most_used_bytes or 0, used)
        if watch.n_samples % SENSOR_EVERY == 0:
            unread = watch.unread if self._tells_sensors else {}
            watch.sensors.append((time.monotonic_ns(), self._nvml.sensors(index, unread)))
        watch.n_samples += 1
        sizes = None if processes is None else self._own(watch, processes)
        if sizes and None not in sizes:
            watch.method = "per_process"
        if watch.method == "per_process":
            return (
                None
                if sizes is None or None in sizes
                else sum(size for size in sizes if size is not None)
            )
        return None if used is None or watch.idle_bytes is None else max(0, used - watch.idle_bytes)

    def _own(self, watch: _Watch, processes: Mapping[int, int | None]) -> list[int | None]:
        """The sizes of the worker's own processes; the others are noted."""
        own = {pid for pid in processes if _group_of(pid) == self._pid}
        watch.others = (watch.others or {}) | {
            pid: size for pid, size in processes.items() if pid not in own
        }
        return [processes[pid] for pid in own]


def _used(nvml: Nvml, index: int, unread: Unread | None = None) -> int | None:
    memory = nvml.memory(index, unread)
    return None if memory is None else memory.used_bytes


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:  # it has gone meanwhile, or is out of sight
        return None


def _energy(
    sensors: Sequence[tuple[int, CardSensors]], unread: Unread
) -> tuple[Sequence[Joules], str | None]:
    """The window's energy over time, and how it was found: by the card's counter where that can be
    believed."""
    counted = [(at_ns, each.energy_j) for at_ns, each in sensors if each.energy_j is not None]
    powers = integrated([(at_ns, each.power_w) for at_ns, each in sensors])
    if fault := counter_fault(counted, powers):
        unread.setdefault("energy", fault)
        counted = []
    if counted:
        return counted, "counter"
    return powers, "integrated_power" if powers else None


def _summary(watch: _Watch, sensors: Sequence[tuple[int, CardSensors]]) -> dict[str, Any]:
    """One card's window: extremes of what it felt, the energy it took, who else was on it, and what
    it did not tell."""
    seen, unread = [each for _, each in sensors], dict(watch.unread)
    readings, method = _energy(sensors, unread)
    reasons = [each.throttle for each in seen if each.throttle is not None]
    return {
        "idle_bytes": watch.idle_bytes,
        "most_used_bytes": watch.most_used_bytes,
        "vram_method": watch.method,
        "sm_mhz": _extremes([s.sm_mhz for s in seen]),
        "memory_mhz": _extremes([s.memory_mhz for s in seen]),
        "temperature_c": _extremes([s.temperature_c for s in seen]),
        "power_w": _extremes([s.power_w for s in seen]),
        "power_limit_w": _extremes([s.power_limit_w for s in seen]),
        "utilisation_percent": _extremes([s.utilisation_percent for s in seen]),
        "energy_j": readings[-1][1] - readings[0][1] if len(readings) > 1 else None,
        "energy_method": method,
        "energy_readings": readings,
        "throttle": sorted({reason for each in reasons for reason in each}) if reasons else None,
        "other_processes": None
        if watch.others is None
        else [
            {"pid": pid, "name": _name_of(pid), "vram_bytes": size}
            for pid, size in sorted(watch.others.items())
        ],
        "unread": unread,
    }


def _extremes(values: Sequence[float | None]) -> list[float] | None:
    """Lowest and highest, None where nothing was told."""
    told = [value for value in values if value is not None]
    return [min(told), max(told)] if told else None


def _name_of(pid: int) -> str | None:
    """The program's name, None for one that is gone or out of sight (a container's own process
    numbers)."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
