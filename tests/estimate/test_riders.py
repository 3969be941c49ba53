"""What rides along beside a model: counted by every answer, told apart in the estimate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from oomph.cards import Card
from oomph.config import RunConfig
from oomph.estimate.buffers import ComputeBuffers, Setup
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import DeviceMemory
from oomph.estimate.riders import left_on
from oomph.units import GIB, MIB

CONFIG = RunConfig(n_ctx=8192)


@dataclass(frozen=True)
class Passenger:
    """A rider of so many bytes on CUDA0, and more for each cell."""

    weights_bytes: int = 0
    bytes_per_cell: int = 0
    compute_bytes: int = 0
    name: str = "projector"
    read_layers: tuple[int, ...] = ()
    composes: bool = False

    def fixed_bytes(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> Mapping[str, Mapping[str, int]]:
        return {
            "weights_bytes": {"CUDA0": self.weights_bytes},
            "kv_cache_bytes": {"CUDA0": self.bytes_per_cell * setup.sizes.cells},
        }

    def compute_buffers(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> ComputeBuffers:
        by_device = {"CUDA0": self.compute_bytes, "CUDA_Host": self.compute_bytes}
        return ComputeBuffers(bytes=by_device, live_bytes=by_device, is_exact=False)

    def notes(self, config: RunConfig) -> Iterable[str]:
        yield "a guess"


@pytest.fixture(scope="module")
def alone() -> Estimator:
    return Estimator("qwen3-4b:Q4_K_M", "RTX 3060")


def test_estimate_of_a_model_alone_is_its_own_context(alone: Estimator) -> None:
    memory = alone.memory(CONFIG)
    assert memory.contexts == {"target": memory.devices}
    assert memory.riders == {}


def test_devices_are_the_sum_of_the_contexts(alone: Estimator) -> None:
    rider = Passenger(weights_bytes=100 * MIB, compute_bytes=7 * MIB)
    memory, own = alone.changed(riders=[rider]).memory(CONFIG), alone.memory(CONFIG)
    assert memory.contexts["target"] == own.devices
    assert memory.riders["projector"]["CUDA0"] == DeviceMemory(
        weights_bytes=100 * MIB, compute_bytes=7 * MIB
    )
    added = {
        name: device.total_bytes - own.devices[name].total_bytes
        for name, device in memory.devices.items()
    }
    assert added == {"CUDA0": 107 * MIB, "CUDA_Host": 7 * MIB, "CPU": 0}
    assert not memory.exact_compute
    assert memory.warnings == (*own.warnings, "a guess")


def test_what_fits_counts_the_riders(alone: Estimator) -> None:
    full = alone.max_context()
    heavy = alone.changed(riders=[Passenger(weights_bytes=GIB)])
    assert alone.fits(RunConfig(n_ctx=full))
    assert not heavy.fits(RunConfig(n_ctx=full))
    left = heavy.max_context()
    assert heavy.fits(RunConfig(n_ctx=left))
    assert not heavy.fits(RunConfig(n_ctx=left + 256))
    assert alone.max_context() == full


def test_largest_context_holds_a_cache_that_grows_with_it(alone: Estimator) -> None:
    growing = alone.changed(riders=[Passenger(bytes_per_cell=64 * 1024, compute_bytes=MIB)])
    n_ctx = growing.max_context()
    margin = growing.predict(RunConfig(n_ctx=n_ctx)).cards[0].margin_bytes
    per_step = growing.predict(RunConfig(n_ctx=n_ctx + 256)).cards[0].margin_bytes
    assert margin >= 0 > per_step


def test_riders_find_less_free_than_the_target(alone: Estimator) -> None:
    (card,) = alone.cards
    assert card.free_bytes is not None
    (left,) = left_on(alone.cards, [{"CUDA0": MIB}, {"CUDA0": MIB, "CPU": GIB}])
    assert left.free_bytes == card.free_bytes - 2 * MIB
