"""LoRA adapters beside a model: their weights, each where the tensor lies that it changes.

What they add to the model's graph is in its own compute buffers (`oomph.estimate.graph.builder`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from oomph.architectures.adapter import EMBEDDING, AdapterSpec
from oomph.architectures.families import family_of
from oomph.architectures.spec import ModelSpec
from oomph.cards import Card
from oomph.config import RunConfig
from oomph.estimate.buffers import ComputeBuffers, Setup
from oomph.estimate.graph.placement import META
from oomph.estimate.memory import allocated_bytes

_LATENT: Final = "attn_kv_a_mqa.weight"


class Adapters:
    """The rider of all adapters of a run, applied together."""

    name: Final = "lora"
    composes: Final = False
    read_layers: Final = ()

    def __init__(self, adapters: Sequence[AdapterSpec], model: ModelSpec) -> None:
        self.adapters, self._model = tuple(adapters), model
        self._weights: dict[object, Counter[str]] = {}

    @property
    def is_exact(self) -> bool:
        """Whether llama.cpp adds them where the graph has them here: not to the embedding, and not
        all of latent attention's matrices."""
        known = family_of(self._model.arch)
        return (
            known.has_known_graph
            and known.graph.layer != "altup"
            and not any(name.endswith(_LATENT) for name in self._model.tensors)
            and not any(EMBEDDING in adapter.pairs for adapter in self.adapters)
        )

    def fixed_bytes(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> Mapping[str, Mapping[str, int]]:
        """Their matrices (llama_adapter_lora_init_impl)."""
        key = setup.placement.key
        if key not in self._weights:
            total: Counter[str] = Counter()
            for adapter in self.adapters:
                for name, pair in adapter.pairs.items():
                    home = setup.placement.weight(name)
                    # no role of `slices` names them, so that each card has them whole
                    for device in setup.placement.cards if home == META else (home,):
                        total[device] += sum(
                            allocated_bytes(each, device) for each in (pair.a, pair.b)
                        )
            self._weights[key] = total
        return {"weights_bytes": self._weights[key]}

    def compute_buffers(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> ComputeBuffers:
        """None of their own."""
        return ComputeBuffers(bytes={}, live_bytes={}, is_exact=self.is_exact)

    def notes(self, config: RunConfig) -> Iterator[str]:
        """What of them is a guess."""
        if not self.is_exact:
            yield (
                "where llama.cpp adds an adapter to a graph of this architecture is not known in "
                "full: its compute buffer is near what is said, not exact"
            )


def adapters_of(riders: Iterable[object]) -> tuple[AdapterSpec, ...]:
    """The adapters among what rides along."""
    return tuple(
        adapter for rider in riders if isinstance(rider, Adapters) for adapter in rider.adapters
    )
