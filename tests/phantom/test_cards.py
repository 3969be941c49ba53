"""Phantom cards: how they are described, and that they count memory as a card does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oomph.errors import ConfigError, UnknownNameError
from oomph.gpus import gpu
from oomph.phantom.cards import Phantom, PhantomCard, Sensor, parse_cards, phantom_cards
from oomph.units import MIB

CUDA_CODE = """
import ctypes, os, sys
cuda = ctypes.CDLL(os.environ["LD_PRELOAD"])
MIB = 2**20
def allocate(n_bytes):
    at = ctypes.c_void_p()
    return cuda.cudaMalloc(ctypes.byref(at), ctypes.c_size_t(n_bytes)), at
def say(*values):
    print(*values, flush=True)
"""


@contextmanager
def running(phantom: Phantom | dict[str, str], code: str) -> Iterator["subprocess.Popen[str]"]:
    """Python that has the phantom, or what this environment shows of it, for CUDA devices; ended
    with the block."""
    environment = phantom.environment() if isinstance(phantom, Phantom) else phantom
    child = subprocess.Popen(
        [sys.executable, "-c", CUDA_CODE + code],
        env=os.environ | environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@pytest.mark.usefixtures("cuda_backend")
class TestDescriptions:
    def test_names_and_shapes_may_be_mixed(self) -> None:
        cards = parse_cards("RTX 5090, mine:1000:8.9:20")
        assert [card.spec.name for card in cards] == [gpu("RTX 5090").name, "mine"]
        assert cards[1].spec.memory_bytes == 1000 * MIB
        assert (cards[1].spec.compute_capability, cards[1].spec.sm_count) == ("8.9", 20)

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("", ConfigError),
            (",".join(["RTX 5090"] * 17), ConfigError),
            ("GTX 1080", ConfigError),
            ("no such card", UnknownNameError),
            ("mine:much:8.9:20", UnknownNameError),
        ],
    )
    def test_what_cannot_be_is_one_sentence(self, text: str, error: type[Exception]) -> None:
        with pytest.raises(error):
            parse_cards(text)


@pytest.mark.phantom
@pytest.mark.usefixtures("cuda_backend")
class TestMemory:
    def test_allocations_are_counted_in_pieces_of_2_mib(self) -> None:
        with (
            phantom_cards("mine:100:8.9:20") as phantom,
            running(phantom, "say(allocate(3 * MIB)[0]); input()") as child,
        ):
            assert line(child) == "0"
            counters = phantom.counters()
        assert (counters.live_bytes, counters.used_bytes) == (3 * MIB, 4 * MIB)

    def test_small_allocations_share_a_piece(self) -> None:
        code = "say([allocate(1000)[0] for _ in range(8)]); input()"
        with phantom_cards("mine:100:8.9:20") as phantom, running(phantom, code) as child:
            line(child)
            counters = phantom.counters()
        assert (counters.live_bytes, counters.used_bytes) == (8000, 2 * MIB)

    def test_past_the_card_cuda_says_out_of_memory(self) -> None:
        code = "say(allocate(60 * MIB)[0], allocate(60 * MIB)[0], allocate(40 * MIB)[0]); input()"
        with phantom_cards("mine:100:8.9:20") as phantom, running(phantom, code) as child:
            assert line(child) == "0 2 0"
            counters = phantom.counters()
        assert (counters.used_bytes, counters.n_refused, counters.refused_bytes) == (
            100 * MIB,
            1,
            60 * MIB,
        )

    def test_another_process_leaves_less(self) -> None:
        with (
            phantom_cards("mine:100:8.9:20") as phantom,
            running(phantom, "say(allocate(70 * MIB)[0]); input()") as one,
        ):
            assert line(one) == "0"
            with running(phantom, "say(allocate(40 * MIB)[0], allocate(30 * MIB)[0])") as two:
                assert line(two) == "2 0"

    def test_a_killed_process_gives_its_memory_back(self) -> None:
        with (
            phantom_cards("mine:100:8.9:20") as phantom,
            running(phantom, "say(allocate(70 * MIB)[0]); input()") as child,
        ):
            line(child)
            child.send_signal(signal.SIGKILL)
            child.wait()
            counters = phantom.counters()
        assert (counters.used_bytes, counters.peak_bytes) == (0, 70 * MIB)

    def test_freed_memory_can_be_had_again(self) -> None:
        code = (
            "ok, at = allocate(80 * MIB); say(ok, cuda.cudaFree(at), allocate(80 * MIB)[0]); "
            "input()"
        )
        with phantom_cards("mine:100:8.9:20") as phantom, running(phantom, code) as child:
            assert line(child) == "0 0 0"
            assert phantom.counters().used_bytes == 80 * MIB

    def test_a_context_takes_its_share(self) -> None:
        card = PhantomCard(spec=gpu("mine:100:8.9:20"), context_bytes=50 * MIB)
        code = "say(allocate(60 * MIB)[0], allocate(50 * MIB)[0]); input()"
        with phantom_cards([card]) as phantom, running(phantom, code) as child:
            assert line(child) == "2 0"
            assert phantom.counters().used_bytes == 100 * MIB

    def test_who_asks_what_is_free_has_a_context(self) -> None:
        card = PhantomCard(spec=gpu("mine:100:8.9:20"), context_bytes=30 * MIB)
        code = (
            "free, total = ctypes.c_size_t(), ctypes.c_size_t(); "
            "cuda.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)); "
            "say(free.value, total.value); input()"
        )
        with phantom_cards([card]) as phantom, running(phantom, code) as child:
            assert line(child) == f"{70 * MIB} {100 * MIB}"
            assert phantom.counters().n_allocations == 0

    def test_a_lost_card_fails_every_call(self) -> None:
        code = "say(allocate(MIB)[0]); input(); say(allocate(MIB)[0], cuda.cudaDeviceSynchronize())"
        with phantom_cards("mine:100:8.9:20") as phantom, running(phantom, code) as child:
            assert line(child) == "0"
            phantom.set(Sensor.LOST, 1)
            assert child.stdin is not None
            print(file=child.stdin, flush=True)
            assert line(child) == "719 719"

    def test_experiments_do_not_see_each_other(self) -> None:
        code = "say(allocate(70 * MIB)[0]); input()"
        with (
            phantom_cards("a:100:8.9:20") as one,
            phantom_cards("b:200:8.9:20") as two,
            running(two, code) as child,
        ):
            line(child)
            assert (one.counters().used_bytes, two.counters().used_bytes) == (0, 70 * MIB)
            assert (one.counters().total_bytes, two.counters().total_bytes) == (
                100 * MIB,
                200 * MIB,
            )

    def test_nothing_is_left_behind(self) -> None:
        with phantom_cards("mine:100:8.9:20") as phantom:
            folder = phantom.state_path.parent
            assert phantom.nvml_path.parent == folder
        assert not folder.exists()

    @pytest.mark.parametrize(
        ("shown", "n_devices", "charged"),
        [
            ("0,1,2", 3, 0),
            ("2,0", 2, 2),
            ("1", 1, 1),
            ("GPU-70686174-0000-0000-0000-000000000001,2", 2, 1),
            ("1,9,0", 1, 1),
            ("", 0, None),
        ],
    )
    def test_the_cards_that_are_shown_are_the_devices_in_that_order(
        self, shown: str, n_devices: int, charged: int | None
    ) -> None:
        """CUDA's rule: numbers or the beginnings of UUIDs, up to the first that names no card."""
        code = (
            "n = ctypes.c_int(); cuda.cudaGetDeviceCount(ctypes.byref(n)); allocate(50 * MIB); "
            "say(n.value)\n"
            "say(cuda.cudaSetDevice(n.value), cuda.cudaSetDevice(n.value - 1)); input()"
        )
        with phantom_cards("a:100:8.9:20,b:200:8.9:20,c:300:8.9:20") as phantom:
            assert phantom.environment()["CUDA_VISIBLE_DEVICES"] == "0,1,2"
            environment = phantom.environment() | {"CUDA_VISIBLE_DEVICES": shown}
            with running(environment, code) as child:
                assert line(child) == str(n_devices)
                assert line(child) == f"101 {0 if n_devices else 101}"
                used = [phantom.counters(card).used_bytes for card in range(3)]
        assert used == [50 * MIB if card == charged else 0 for card in range(3)]

    def test_the_peak_of_one_card_is_reset_alone(self) -> None:
        code = "allocate(50 * MIB); cuda.cudaSetDevice(1); allocate(60 * MIB); say('held'); input()"
        with phantom_cards("a:100:8.9:20,b:200:8.9:20") as phantom:
            with running(phantom, code) as child:
                line(child)
            phantom.reset_peak(0)
            assert [phantom.counters(card).peak_bytes for card in range(2)] == [0, 60 * MIB]
            with pytest.raises(IndexError):
                phantom.reset_peak(2)

    def test_a_card_that_is_not_there_is_an_index_error(self) -> None:
        with phantom_cards("mine:100:8.9:20") as phantom:
            with pytest.raises(IndexError):
                phantom.counters(1)
            with pytest.raises(IndexError):
                phantom.set(Sensor.LOST, 1, card=1)
