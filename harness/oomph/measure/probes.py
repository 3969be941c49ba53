"""What is watched beside the worker: the seam `Probe`, and host memory.

A probe reads figures of a process or a device; `Sampler` asks all probes at a fixed interval from a
thread of the parent, so that the worker pays nothing for being watched. The interval does not
drift: each tick is due at a multiple of it from the start, and one that comes late is skipped, not
made up for.
"""

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import psutil

from oomph.records.schema import MemorySeries
from oomph.units import KIB

KEPT_SAMPLES: Final = 240
"""Samples of one series that a record keeps; of each bucket that is folded the highest value
survives."""

SLOW_S: Final = 0.5
"""A probe that takes longer to answer once leaves a gap in the series, which the record names."""
PSS_INTERVAL_S: Final = 1.0
"""The kernel walks the whole page table for it, under the lock that the worker's own mappings need.
"""


class Reading(NamedTuple):
    """What a figure is of: a quantity (`rss`, `vram`) on a device by llama.cpp's name (`host`,
    `CUDA0`)."""

    quantity: str
    device: str


class _CpuSeconds(NamedTuple):
    at: float
    worker: float
    machine: float


class Probe(Protocol):
    """One source of memory figures. Calls come in this order; `sample` may come from another
    thread."""

    @property
    def name(self) -> str:
        """Names the probe in records."""

    def open(self) -> None:
        """Before the worker starts: note what the idle machine shows."""

    def attach(self, pid: int) -> None:
        """The worker runs as process `pid`, in its own process group of the same number."""

    def sample(self) -> Mapping[Reading, int]:
        """Bytes now; empty when the worker is gone. Must not raise for a worker that just died."""

    def method(self, reading: Reading) -> str | None:
        """How a figure that is not read off directly was found, for the record."""

    def reset_peaks(self) -> None:
        """A point begins: exact peaks count from here."""

    def exact_peaks(self) -> Mapping[Reading, int]:
        """Highest values since `reset_peaks` where the kernel or the driver keeps them; empty
        otherwise."""

    def conditions(self) -> Mapping[str, Any]:
        """What was seen beside memory since `reset_peaks` (clocks, throttle reasons, other
        processes)."""

    def close(self) -> None:
        """The worker has ended."""


class HostProbe:
    """The worker's host memory, from /proc: `rss` (with the mapped weights it has touched, exact
    peak by VmHWM), `anon` (its private part: KV cache and buffers of a CPU run) and `pss` (its
    share of what others map too).
    """

    name: Final = "host"

    def __init__(self) -> None:
        self._pid: int | None = None
        self._pss_at = 0.0
        self._cpu_at_start: _CpuSeconds | None = None

    def open(self) -> None:
        """Nothing idle to note: the figures are the process's own."""

    def attach(self, pid: int) -> None:
        """Watch this process."""
        self._pid = pid

    def sample(self) -> Mapping[Reading, int]:
        """`rss`, `anon` and `pss` in bytes; empty once the process has ended."""
        status = self._read("status", ("VmRSS:", "RssAnon:", "RssShmem:"))
        if "VmRSS:" not in status:
            return {}
        pss = {}
        if (now := time.monotonic()) - self._pss_at >= PSS_INTERVAL_S:
            self._pss_at, pss = now, self._read("smaps_rollup", ("Pss:",))
        figures = {
            Reading("rss", "host"): status["VmRSS:"],
            Reading("anon", "host"): status.get("RssAnon:", 0) + status.get("RssShmem:", 0),
        }
        return figures | {Reading("pss", "host"): value for value in pss.values()}

    def method(self, reading: Reading) -> str | None:
        """The kernel counts by process: there is nothing to say."""
        return None

    def reset_peaks(self) -> None:
        """Set VmHWM back to the present size (`man 5 proc`: clear_refs, 5); where that is refused
        it stays."""
        self._cpu_at_start = self._cpu_seconds()
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    def exact_peaks(self) -> Mapping[Reading, int]:
        """VmHWM: the kernel's own high-water mark, which misses no allocation between two
        samples."""
        return {
            Reading("rss", "host"): value for value in self._read("status", ("VmHWM:",)).values()
        }

    def conditions(self) -> Mapping[str, Any]:
        """`worker_cpus` and `other_cpus`: how many CPUs the worker and everything else kept busy on
        average.

        With `other_cpus` near 0 the machine was quiet; the parent and its probes are in it.
        """
        now, before = self._cpu_seconds(), self._cpu_at_start
        if now is None or before is None:  # the worker has ended, and its account with it
            return {}
        elapsed, worker = now.at - before.at, now.worker - before.worker
        others = max(0.0, now.machine - before.machine - worker)
        return {"worker_cpus": round(worker / elapsed, 3), "other_cpus": round(others / elapsed, 3)}

    def close(self) -> None:
        """Forget the process: its number may be given to another."""
        self._pid = None

    def _cpu_seconds(self) -> _CpuSeconds | None:
        """Busy seconds so far, of the worker by its own account and of all CPUs together; None once
        it has ended."""
        try:
            own = psutil.Process(self._pid).cpu_times()
        except psutil.Error:
            return None
        busy = psutil.cpu_times()
        idle = (
            busy.idle + getattr(busy, "iowait", 0.0) + getattr(busy, "guest", 0.0)
        )  # guest is in user, too
        return _CpuSeconds(time.monotonic(), own.user + own.system, sum(busy) - idle)

    def _read(self, name: str, keys: Sequence[str]) -> dict[str, int]:
        try:
            text = Path(f"/proc/{self._pid}/{name}").read_text()
        except OSError:
            return {}
        rows = (line.split() for line in text.splitlines())
        return {row[0]: int(row[1]) * KIB for row in rows if row and row[0] in keys}


class _Series:
    """Values over time, all found by one method, folded to at most KEPT_SAMPLES: a bucket keeps its
    highest."""

    __slots__ = ("every", "last", "method", "n_seen", "peak", "times", "values")

    def __init__(self, method: str | None = None) -> None:
        self.method = method
        self.times: list[int] = []
        self.values: list[int] = []
        self.n_seen, self.every, self.last, self.peak = 0, 1, 0, 0

    def add(self, at_ns: int, value: int) -> None:
        if self.n_seen % self.every == 0:
            self.times.append(at_ns)
            self.values.append(value)
        elif value > self.values[-1]:
            self.times[-1], self.values[-1] = at_ns, value
        self.n_seen, self.last, self.peak = self.n_seen + 1, value, max(self.peak, value)
        if len(self.values) > KEPT_SAMPLES:
            self._fold()

    def _fold(self) -> None:
        self.every *= 2
        highest = [
            max(range(first, min(first + 2, len(self.values))), key=self.values.__getitem__)
            for first in range(0, len(self.values), 2)
        ]
        self.times, self.values = (
            [self.times[i] for i in highest],
            [self.values[i] for i in highest],
        )


class Sampler:
    """Asks the probes every `interval_s` until closed; `start_window` and `end_window` cut out one
    point."""

    def __init__(self, probes: Sequence[Probe], *, interval_s: float = 0.05) -> None:
        self._probes, self._interval_s = probes, interval_s
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._baseline: dict[tuple[str, Reading], tuple[str | None, int]] = {}
        self._series: dict[tuple[str, Reading], _Series] = {}
        self._slowest: dict[str, float] = {}
        self._window_start_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._watch, name="oomph-sampler", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def note_baseline(self) -> None:
        """What the worker takes before it holds a model: interpreter, llama.cpp, the driver's
        context."""
        with self._lock:
            self._baseline = {
                (probe.name, key): (probe.method(key), value)
                for probe in self._probes
                for key, value in probe.sample().items()
            }

    def start_window(self) -> None:
        """A point begins: series and exact peaks start again."""
        with self._lock:
            self._series, self._slowest, self._window_start_ns = {}, {}, time.monotonic_ns()
            for probe in self._probes:
                probe.reset_peaks()
            self._take()

    def end_window(self) -> tuple[MemorySeries, ...]:
        """What was seen since `start_window`, one series a quantity and device."""
        with self._lock:
            self._take()
            exact = {
                (probe.name, key): value
                for probe in self._probes
                for key, value in probe.exact_peaks().items()
            }
            return tuple(
                self._summary(key, series, max(series.peak, exact.get(key, 0)))
                for key, series in self._series.items()
            )

    def conditions(self) -> dict[str, Any]:
        """What the probes saw beside memory in this window; `slow_probes` are the longest seconds
        of those that once took too long to answer."""
        with self._lock:
            slow = {
                name: round(took_s, 3) for name, took_s in self._slowest.items() if took_s > SLOW_S
            }
            seen = {
                key: value for probe in self._probes for key, value in probe.conditions().items()
            }
            return seen | ({"slow_probes": slow} if slow else {})

    def _summary(self, key: tuple[str, Reading], series: _Series, peak: int) -> MemorySeries:
        probe, reading = key
        method, baseline = self._baseline.get(key, (None, None))
        return MemorySeries(
            probe=probe,
            method=series.method,
            quantity=reading.quantity,
            device=reading.device,
            peak_bytes=peak,
            baseline_bytes=baseline if method == series.method else None,
            last_bytes=series.last,
            n_samples=series.n_seen,
            interval_ns=round(self._interval_s * 1e9),
            values_bytes=series.values,
            times_ns=[at - self._window_start_ns for at in series.times],
        )

    def _take(self) -> None:
        for probe in self._probes:
            asked = time.monotonic()
            found, now = probe.sample(), time.monotonic_ns()
            self._slowest[probe.name] = max(now / 1e9 - asked, self._slowest.get(probe.name, 0.0))
            for reading, value in found.items():
                key, method = (probe.name, reading), probe.method(reading)
                # figures that cannot be compared
                if key not in self._series or self._series[key].method != method:
                    self._series[key] = _Series(method)
                self._series[key].add(now, value)

    def _watch(self) -> None:
        started, ticks = time.monotonic(), 0
        while not self._stop.wait(max(0.0, started + ticks * self._interval_s - time.monotonic())):
            with self._lock:
                self._take()
            ticks = max(ticks + 1, int((time.monotonic() - started) / self._interval_s) + 1)
