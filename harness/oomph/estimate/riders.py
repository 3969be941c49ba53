"""What rides along beside a model: a second context, a projector, adapters; and their sum.

An estimator is of one model, the target, and of its riders. Each says what it takes of every device
under the target's configuration, in the target's own two halves: what grows in proportion to the
context, and compute buffers with the bytes that are live in them, so that every inverse question
counts it and the proof of the largest context holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from oomph.cards import Card
from oomph.config import RunConfig
from oomph.estimate.buffers import ComputeBuffers, Setup
from oomph.estimate.prediction import COMPONENTS, TARGET, DeviceMemory, MemoryEstimate
from oomph.frozen import frozen


class Rider(Protocol):
    """One thing beside the target.

    `config` and `setup` are the target's; `cards` are the machine's, `free_bytes` of each without
    what lies there before the rider is loaded. Bytes are by llama.cpp's name of the device; a
    device that has none may be left out. Raises ConfigError where the two do not go together.
    """

    @property
    def name(self) -> str:
        """Its key in `MemoryEstimate.contexts`: "mtp", "draft", "projector" or "lora"."""

    @property
    def composes(self) -> bool:
        """Whether its graph is not known, and put together from the usual tensors that it has."""

    @property
    def read_layers(self) -> tuple[int, ...]:
        """The target's layers whose inputs it drafts by, which the target then keeps."""

    def fixed_bytes(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> Mapping[str, Mapping[str, int]]:
        """All but compute buffers, by component ("weights_bytes") and device: never less for a
        longer context."""

    def compute_buffers(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> ComputeBuffers:
        """Its compute buffers by device; `live_bytes` are never less for a longer context."""

    def notes(self, config: RunConfig) -> Iterable[str]:
        """What to know before believing its figures, a sentence each."""


@frozen
class FixedRider:
    """A rider whose bytes by device are known beforehand, and that takes them whatever is asked;
    `note` says what of them is not so."""

    name: str
    bytes_by_device: Mapping[str, int]
    note: str
    read_layers: tuple[int, ...] = ()
    composes: bool = False

    def fixed_bytes(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> Mapping[str, Mapping[str, int]]:
        """All of it, as if it were weights."""
        return {"weights_bytes": self.bytes_by_device}

    def compute_buffers(
        self, config: RunConfig, setup: Setup, cards: Sequence[Card]
    ) -> ComputeBuffers:
        """None: they are among the rest."""
        return ComputeBuffers(bytes={}, live_bytes={})

    def notes(self, config: RunConfig) -> Iterable[str]:
        """What its figure is of."""
        return (self.note,)


def read_layers(riders: Iterable[Rider]) -> tuple[int, ...]:
    """The layers of the target that the riders read."""
    return tuple(il for rider in riders for il in rider.read_layers)


def left_on(cards: Sequence[Card], taken: Iterable[Mapping[str, int]]) -> tuple[Card, ...]:
    """The cards with what is free of each once these bytes by device are there."""
    parts = tuple(taken)
    return tuple(
        replace(
            card,
            free_bytes=max(
                (card.free_bytes or card.memory_bytes)
                - sum(part.get(card.device, 0) for part in parts),
                1,
            ),
        )
        for card in cards
    )


def device_memory(
    fixed: Mapping[str, Mapping[str, int]], compute_bytes: Mapping[str, int]
) -> dict[str, DeviceMemory]:
    """A rider's bytes on each device that it takes something of."""
    parts = {**fixed, "compute_bytes": compute_bytes}
    names = dict.fromkeys(name for part in parts.values() for name, n in part.items() if n)
    return {
        name: DeviceMemory(**{component: part.get(name, 0) for component, part in parts.items()})
        for name in names
    }


def together(
    target: MemoryEstimate, beside: Mapping[str, Mapping[str, DeviceMemory]]
) -> MemoryEstimate:
    """The target's estimate with its riders counted: `devices` are the sums, `contexts` the
    parts."""
    contexts = {TARGET: target.devices, **beside}
    if not beside:
        return replace(target, contexts=contexts)
    names = dict.fromkeys(name for devices in contexts.values() for name in devices)
    none = DeviceMemory()
    devices = {
        name: DeviceMemory(
            **{
                component: sum(
                    getattr(devices.get(name, none), component) for devices in contexts.values()
                )
                for component in COMPONENTS
            }
        )
        for name in names
    }
    return replace(target, devices=devices, contexts=contexts)
