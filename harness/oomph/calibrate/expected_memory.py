"""What a configuration is expected to take on the cards of a bench.

The estimate's sum for a real card has its CUDA context in it; a phantom card has none. This is the
one place that knows the difference, so that the frontier's search and the claims' table speak of
the same bytes.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from oomph.architectures.spec import ModelSpec
from oomph.cards import Card, numbered
from oomph.config import RunConfig
from oomph.errors import UnknownNameError
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import loaded_context_bytes, overhead_bytes, pool_bytes
from oomph.estimate.prediction import MemoryEstimate, is_card
from oomph.gpus import GpuSpec, gpu

if TYPE_CHECKING:
    from oomph.measure.bench import Bench
    from oomph.measure.nvml import NvmlCard
    from oomph.measure.targets import Fits


PHANTOM: Final = "phantom"


class Expectation:
    """Bytes by card that `spec` is expected to take on `cards`, filled; `backend` is the records'
    own word."""

    def __init__(
        self,
        spec: ModelSpec,
        cards: Sequence[GpuSpec],
        *,
        backend: str,
        coefficients: Coefficients | None = None,
    ) -> None:
        self._spec, self._cards, self._backend = spec, cards, backend
        self._coefficients = coefficients or default_coefficients()
        self._memory = MemoryModel(spec, cards=numbered(map(self._card, cards)))

    def memory(self, config: RunConfig) -> MemoryEstimate:
        """Weights, caches and buffers, as llama.cpp prints them: without what it prints nowhere."""
        return self._memory.estimate(config)

    def by_card(self, config: RunConfig) -> dict[str, int]:
        """Bytes by llama.cpp's device name."""
        devices = self.memory(config).devices
        return {
            name: memory.total_bytes + self._beyond(config, int(name.removeprefix("CUDA")))
            for name, memory in devices.items()
            if is_card(name)
        }

    def total(self, config: RunConfig) -> int:
        """Bytes on all cards."""
        return sum(self.by_card(config).values())

    def slack(self, usable_bytes: Sequence[int]) -> Callable[[RunConfig], float]:
        """How much a configuration leaves on the tightest card, given what each card has."""

        def left(config: RunConfig) -> float:
            taken = self.by_card(config)
            return min(
                usable - taken.get(f"CUDA{index}", 0) for index, usable in enumerate(usable_bytes)
            )

        return left

    def _card(self, gpu: GpuSpec) -> Card:
        """The card as llama.cpp finds it when it divides the layers."""
        is_bare = self._backend == PHANTOM
        taken = 0 if is_bare else loaded_context_bytes(gpu, self._coefficients)
        return Card(spec=gpu, memory_bytes=gpu.memory_bytes, free_bytes=gpu.memory_bytes - taken)

    def _beyond(self, config: RunConfig, index: int) -> int:
        """What is in no log line: the pool of the run, and on a real card its CUDA context."""
        gpu = self._cards[index]
        if self._backend == PHANTOM:
            return pool_bytes(self._spec, config, gpu)
        return overhead_bytes(self._spec, config, gpu, self._coefficients)


def expected_to_fit(spec: ModelSpec, bench: "Bench") -> "Fits":
    """Whether a configuration is expected to fit one card of the bench; None for a card that no
    catalogue has, or that does not tell its memory."""
    phantoms = {card.name: card for card in bench.phantom.specs} if bench.phantom else {}

    def fits(config: RunConfig, card: "NvmlCard") -> bool | None:
        try:
            known = phantoms.get(card.name) or gpu(card.name)
        except UnknownNameError:
            return None
        if card.usable_bytes is None:
            return None
        expected = Expectation(spec, [known], backend=bench.environment.backend)
        return expected.slack([card.usable_bytes])(config) >= 0

    return fits
