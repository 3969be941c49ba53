"""Layers divided among cards by bytes, so that the card with the least left has the most.

llama.cpp divides them by free memory and by number alone: layers are not alike once experts stay
on the host, and the card that computes the logits holds more.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from oomph.advise.first_failure import margin_bytes
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator

ROUNDS: Final = 4
"""Compute buffers change a little with the split: so often it is found anew with those of the last
one."""
Split = tuple[float, ...]


def best_split(estimator: Estimator, config: RunConfig) -> Split | None:
    """The `tensor_split` of whole layers, the output counted as one, that leaves most on the card
    with the least left; None where there is nothing to divide."""
    room = estimator.room_bytes(config)
    is_pinned = "=CUDA" in (config.override_tensor or "")
    if len(room) < 2 or config.split_mode != "layer" or is_pinned:
        return None
    layers = estimator.layer_bytes(config)
    tried, found = config, dict[Split, int]()
    for _ in range(ROUNDS):
        devices = estimator.memory(tried).devices
        besides = {n: devices[n].compute_bytes + devices[n].overhead_bytes for n in room}
        split = filled(layers, {name: room[name] - besides[name] for name in room})
        if split in found:
            break
        tried = config.with_(tensor_split=split)
        found[split] = margin_bytes(estimator.memory(tried), room)
    return max(found, key=lambda split: found[split])


def with_best_split(estimator: Estimator, config: RunConfig) -> RunConfig:
    """`config` with its best split, if it has one."""
    split = best_split(estimator, config)
    return config if split is None else config.with_(tensor_split=split)


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
