"""The worker's host memory against what a process really takes, and the sampler's windows and
folding."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.measure.probes import KEPT_SAMPLES, HostProbe, Reading, Sampler, _Series
from oomph.records.schema import MemorySeries
from oomph.units import MIB

RSS = Reading("rss", "host")
HOG = """
import sys
for line in sys.stdin:
    held = bytearray(int(line) << 20)
    print("held", flush=True)
"""


class Hog:
    """A process that holds as many MiB as it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOG], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hold(self, n_mib: int) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{n_mib}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "held\n"


@pytest.fixture
def hog() -> Iterator[Hog]:
    hog = Hog()
    hog.hold(0)
    yield hog
    hog.process.kill()
    hog.process.communicate()


def test_the_kernels_high_water_mark_catches_what_no_sample_saw_and_begins_again(hog: Hog) -> None:
    probe = HostProbe()
    probe.attach(hog.process.pid)
    before = probe.sample()
    hog.hold(200)
    assert probe.sample()[Reading("anon", "host")] - before[
        Reading("anon", "host")
    ] == pytest.approx(200 * MIB, abs=4 * MIB)
    hog.hold(1)
    assert probe.sample()[RSS] < before[RSS] + 50 * MIB
    assert probe.exact_peaks()[RSS] >= before[RSS] + 195 * MIB
    probe.reset_peaks()
    assert probe.exact_peaks()[RSS] < before[RSS] + 50 * MIB


def test_a_process_that_has_ended_gives_nothing_and_raises_nothing(hog: Hog) -> None:
    probe = HostProbe()
    probe.attach(hog.process.pid)
    probe.reset_peaks()
    hog.process.kill()
    hog.process.communicate()
    assert probe.sample() == {}
    assert probe.exact_peaks() == {}
    probe.reset_peaks()
    assert probe.conditions() == {}


def test_work_beside_the_worker_is_told_from_its_own(hog: Hog) -> None:
    probe = HostProbe()
    probe.attach(hog.process.pid)
    probe.reset_peaks()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    seen = probe.conditions()
    assert seen["worker_cpus"] < 0.1
    assert seen["other_cpus"] > 0.3


class Counting:
    """A probe whose every sample is one higher."""

    name = "counting"

    def __init__(self) -> None:
        self.n_samples = 0

    def open(self) -> None: ...
    def attach(self, pid: int) -> None: ...
    def reset_peaks(self) -> None: ...
    def close(self) -> None: ...

    def sample(self) -> Mapping[Reading, int]:
        self.n_samples += 1
        return {RSS: self.n_samples}

    def method(self, reading: Reading) -> str | None:
        return "counted"

    def exact_peaks(self) -> Mapping[Reading, int]:
        return {RSS: 10**9}

    def conditions(self) -> Mapping[str, Any]:
        return {"seen": self.n_samples}


def test_a_window_holds_its_own_samples_and_the_exact_peak() -> None:
    probe = Counting()
    with Sampler([probe], interval_s=0.002) as sampler:
        sampler.note_baseline()
        sampler.start_window()
        time.sleep(0.05)
        first = sampler.end_window()
        sampler.start_window()
        second = sampler.end_window()
        assert sampler.conditions()["seen"] == probe.n_samples
    (one,), (two,) = first, second
    assert one.peak_bytes == 10**9
    assert one.method == "counted"
    assert two.values_bytes[0] > one.values_bytes[-1]
    assert one.n_samples >= 2
    assert one.times_ns == sorted(one.times_ns)
    assert one.times_ns[0] >= 0


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=3000))
def test_folding_keeps_the_peak_the_order_and_the_bound(values: Sequence[int]) -> None:
    series = _Series()
    for at, value in enumerate(values):
        series.add(at, value)
    assert len(series.values) <= KEPT_SAMPLES
    assert max(series.values) == series.peak == max(values)
    assert series.times == sorted(series.times)
    assert (series.n_seen, series.last) == (len(values), values[-1])
    assert all(values[at] == value for at, value in zip(series.times, series.values, strict=True))
    assert MemorySeries(
        probe="p", quantity="q", device="d", peak_bytes=series.peak
    ).peak_bytes == max(values)
