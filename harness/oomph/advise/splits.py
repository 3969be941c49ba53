"""Layers divided among cards by bytes, so that the card with the least left has the most.

llama.cpp divides them by free memory and by number alone: layers are not alike once experts stay
on the host, and the card that computes the logits holds more.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from oomph.advise.first_failure import margin_bytes
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import MemoryEstimate

ROUNDS: Final = 3
"""Compute buffers change a little with the split: so often it is found anew with those of the last
one."""
Split = tuple[float, ...]


def best_split(
    estimator: Estimator, config: RunConfig, besides: Mapping[str, int] | None = None
) -> Split | None:
    """The `tensor_split` of whole layers, the output counted as one, that leaves most on the card
    with the least left; None where there is nothing to divide, or far too much.

    `besides` is what each card holds beside its layers (`beside_layers`), where that is known well
    enough: it spares the replays.
    """
    room = estimator.room_bytes(config)
    is_pinned = "=CUDA" in (config.override_tensor or "")
    if len(room) < 2 or config.split_mode != "layer" or is_pinned:
        return None
    layers = estimator.layer_bytes(config)
    if sum(layers) > sum(room.values()):
        return None
    if besides is not None:
        return _split(layers, room, besides)
    besides, found = beside_layers(estimator.memory(config), room), dict[Split, int]()
    for _ in range(ROUNDS):
        split = _split(layers, room, besides)
        if split in found:
            break
        memory = estimator.memory(config.with_(tensor_split=split))
        besides, found[split] = beside_layers(memory, room), margin_bytes(memory, room)
    return max(found, key=lambda split: found[split])


def with_best_split(
    estimator: Estimator, config: RunConfig, besides: Mapping[str, int] | None = None
) -> RunConfig:
    """`config` with its best split, where none was asked for and there is something to divide."""
    split = None if config.tensor_split else best_split(estimator, config, besides)
    return config if split is None else config.with_(tensor_split=split)


def beside_layers(memory: MemoryEstimate, cards: Iterable[str]) -> dict[str, int]:
    """What each card holds beside its layers: the compute buffer, and what llama.cpp prints
    nowhere."""
    parts = {name: memory.devices[name] for name in cards}
    return {name: part.compute_bytes + part.overhead_bytes for name, part in parts.items()}


def _split(layers: Sequence[int], room: Mapping[str, int], besides: Mapping[str, int]) -> Split:
    return filled(layers, {name: room[name] - besides[name] for name in room})


def filled(layers: Sequence[int], room_bytes: Mapping[str, int]) -> Split:
    """How many of the layers, in order, go to each card, for the most bytes left on the fullest:
    by bisection on what every card keeps free."""
    low, high = -sum(layers), max(room_bytes.values())
    while high - low > 1:
        kept = (low + high) // 2
        if _ends(layers, room_bytes, kept)[-1] == len(layers):
            low = kept
        else:
            high = kept
    return tuple(float(b - a) for a, b in pairwise((0, *_ends(layers, room_bytes, low))))


def _ends(layers: Sequence[int], room_bytes: Mapping[str, int], kept: int) -> list[int]:
    """Where each card's layers end if every card takes all that it can but for `kept` bytes."""
    ends, at = [], 0
    for room in room_bytes.values():
        left = room - kept
        while at < len(layers) and layers[at] <= left:
            left -= layers[at]
            at += 1
        ends.append(at)
    return ends
