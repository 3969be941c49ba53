"""NVML through the one door, held against the phantom's own counters."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oomph.gpus import gpu
from oomph.measure.card_probe import SENSOR_EVERY, CardProbe
from oomph.measure.nvml import CardLostError, Nvml, NvmlCard, detect_gpus
from oomph.measure.probes import Reading
from oomph.measure.visible import visible_cards
from oomph.phantom.cards import Phantom, PhantomCard, Sensor, phantom_cards
from oomph.units import MIB

HOLD = """
import ctypes, os, sys
cuda, at = ctypes.CDLL(os.environ["LD_PRELOAD"]), ctypes.c_void_p()
print(cuda.cudaMalloc(ctypes.byref(at), ctypes.c_size_t(int(sys.argv[1]))), flush=True)
sys.stdin.read()
"""
CUDA0 = Reading("vram", "CUDA0")


@contextmanager
def holding(phantom: Phantom, n_bytes: int) -> Iterator[int]:
    """A process, in a group of its own, that holds so much of CUDA0; its pid."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(n_bytes)],
        env=os.environ | phantom.environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "0\n"
        yield child.pid
    finally:
        child.communicate()


def cards(n: int) -> list[NvmlCard]:
    return [
        NvmlCard(
            index=i,
            name="card",
            uuid=f"GPU-{i}{i}",
            compute_capability="8.9",
            total_bytes=0,
            usable_bytes=0,
        )
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("chosen", "seen"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        ("", []),
        ("1,-1,0", [1]),
        ("GPU-22,GPU-0", [2, 0]),
        ("7", []),
    ],
)
def test_the_visible_cards_are_those_that_cuda_would_show(
    chosen: str | None, seen: list[int]
) -> None:
    environment = {} if chosen is None else {"CUDA_VISIBLE_DEVICES": chosen}
    assert [card.index for card in visible_cards(cards(3), environment)] == seen


@pytest.mark.phantom
@pytest.mark.usefixtures("cuda_backend")
class TestDoor:
    def test_the_numbers_are_the_counters(self) -> None:
        card = PhantomCard(spec=gpu("RTX 4090"), reserved_bytes=400 * MIB)
        with (
            phantom_cards([card]) as phantom,
            holding(phantom, 333 * MIB) as pid,
            Nvml(phantom.nvml_path) as nvml,
        ):
            counters, memory = phantom.counters(), nvml.memory(0)
            assert memory.used_bytes == counters.used_bytes == 334 * MIB
            assert memory.reserved_bytes == 400 * MIB
            assert memory.total_bytes == counters.total_bytes + 400 * MIB
            assert nvml.processes(0) == {pid: 334 * MIB}
            (seen,) = nvml.cards()
            assert (seen.name, seen.usable_bytes) == (
                gpu("RTX 4090").name,
                gpu("RTX 4090").memory_bytes,
            )

    def test_an_old_driver_has_no_reserved_memory_apart(self) -> None:
        card = PhantomCard(spec=gpu("RTX 4090"), reserved_bytes=400 * MIB)
        with (
            phantom_cards([card]) as phantom,
            holding(phantom, 100 * MIB),
            Nvml(phantom.nvml_path) as nvml,
        ):
            phantom.set(Sensor.WITHOUT_MEMORY_V2, 1)
            memory = nvml.memory(0)
        assert (memory.used_bytes, memory.reserved_bytes) == (500 * MIB, None)

    def test_sensors_are_in_their_units(self) -> None:
        with phantom_cards("RTX 4090") as phantom, Nvml(phantom.nvml_path) as nvml:
            phantom.set(Sensor.POWER_MW, 450_000)
            phantom.set(Sensor.TEMPERATURE_C, 83)
            phantom.set(Sensor.SM_MHZ, 1200)
            phantom.set(Sensor.MEMORY_MHZ, 10_501)
            phantom.set(Sensor.THROTTLE_REASONS, 0x4 | 0x40 | 0x1)
            felt = nvml.sensors(0)
        assert (felt.power_w, felt.temperature_c, felt.sm_mhz, felt.memory_mhz) == (
            450.0,
            83,
            1200,
            10_501,
        )
        assert felt.throttle == ("power_cap", "hw_thermal")

    def test_a_card_that_disappears_is_one_exception(self) -> None:
        with phantom_cards("RTX 4090,RTX 4090") as phantom, Nvml(phantom.nvml_path) as nvml:
            phantom.set(Sensor.LOST, 1, card=1)
            assert nvml.memory(0).used_bytes == 0
            with pytest.raises(CardLostError):
                nvml.memory(1)

    def test_a_detected_card_has_the_catalogues_rates_and_the_drivers_memory(self) -> None:
        with phantom_cards([PhantomCard(spec=gpu("RTX 4090"), reserved_bytes=MIB)]) as phantom:
            assert detect_gpus(phantom.nvml_path) == (gpu("RTX 4090"),)


@pytest.mark.phantom
@pytest.mark.usefixtures("cuda_backend")
class TestProbe:
    def test_the_workers_share_is_its_own_and_others_are_named(self) -> None:
        with phantom_cards("RTX 4090") as phantom, holding(phantom, 500 * MIB) as other:
            probe = CardProbe(phantom)
            probe.open()
            with holding(phantom, 100 * MIB) as worker:
                probe.attach(worker)
                assert probe.sample() == {CUDA0: 100 * MIB}
                assert probe.method(CUDA0) == "per_process"
                seen = probe.conditions()["cards"]["CUDA0"]
                assert seen["idle_bytes"] == 500 * MIB
                assert [(p["pid"], p["vram_bytes"]) for p in seen["other_processes"]] == [
                    (other, 500 * MIB)
                ]
                assert seen["other_processes"][0]["name"].startswith("python")
            probe.close()

    def test_where_processes_are_hidden_the_share_is_used_minus_idle(self) -> None:
        with phantom_cards("RTX 4090") as phantom, holding(phantom, 500 * MIB):
            phantom.set(Sensor.HIDES_PROCESS_MEMORY, 1)
            probe = CardProbe(phantom)
            probe.open()
            with holding(phantom, 100 * MIB) as worker:
                probe.attach(worker)
                assert probe.sample() == {CUDA0: 100 * MIB}
                assert probe.method(CUDA0) == "device_minus_idle"
            probe.close()

    def test_the_phantoms_peak_is_exact_between_samples(self) -> None:
        with phantom_cards("RTX 4090") as phantom, holding(phantom, 500 * MIB):
            probe = CardProbe(phantom)
            probe.open()
            probe.reset_peaks()
            with holding(phantom, 100 * MIB):
                pass
            assert probe.sample() == {CUDA0: 0}
            assert probe.exact_peaks() == {CUDA0: 100 * MIB}
            probe.close()

    def test_sensors_are_summed_up_over_the_window_and_kept_back_where_they_are_stand_ins(
        self,
    ) -> None:
        with phantom_cards("RTX 4090") as phantom:
            seen = []
            for tells in (True, False):
                probe = CardProbe(phantom, tells_stand_ins=tells)
                probe.open()
                probe.reset_peaks()
                for watts, reasons in ((200, 0), (400, 0x4)):
                    phantom.set(Sensor.POWER_MW, watts * 1000)
                    phantom.set(Sensor.THROTTLE_REASONS, reasons)
                    for _ in range(SENSOR_EVERY):
                        probe.sample()
                seen.append(probe.conditions()["cards"]["CUDA0"])
                probe.close()
        told, kept_back = seen
        assert told["power_w"] == [200.0, 400.0]
        assert told["throttle"] == ["power_cap"]
        assert len(told["energy_readings"]) == 2
        assert told["energy_method"] == "counter"
        for name in (
            "power_w",
            "sm_mhz",
            "temperature_c",
            "power_limit_w",
            "energy_j",
            "energy_method",
        ):
            assert kept_back[name] is None
        assert kept_back["throttle"] is None
        assert kept_back["energy_readings"] == []
        assert kept_back["unread"] == {}, "what is not to be told is not missed"

    def test_a_lost_card_is_noted_and_the_other_is_still_read(self) -> None:
        with phantom_cards("RTX 4090,RTX 4090") as phantom:
            probe = CardProbe(phantom)
            probe.open()
            phantom.set(Sensor.LOST, 1, card=1)
            assert probe.sample() == {CUDA0: 0}
            assert probe.conditions()["lost_devices"] == ["CUDA1"]
            probe.close()
