"""From NVML's cards and CUDA_VISIBLE_DEVICES to what a CUDA program sees, in its order."""

import os
from collections.abc import Mapping, Sequence

from oomph.errors import ToolchainError
from oomph.gpus import GpuSpec
from oomph.measure.nvml import Nvml, NvmlCard


def seen_cards(nvml: Nvml, environment: Mapping[str, str] = os.environ) -> tuple[NvmlCard, ...]:
    """`visible_cards` of this machine; ToolchainError where one of them is lost, which is no matter
    to the others."""
    cards, reason = nvml.answering()
    seen, chosen = visible_cards(cards, environment), environment.get("CUDA_VISIBLE_DEVICES")
    if reason and (
        chosen is None or len(seen) < len(chosen.split(",")) or chosen.replace(",", "").isdigit()
    ):
        raise ToolchainError(f"a card does not answer ({reason}); reset it or the machine")
    return seen


def visible_cards(
    cards: Sequence[NvmlCard], environment: Mapping[str, str] = os.environ
) -> tuple[NvmlCard, ...]:
    """The cards that a CUDA program sees, in its order (CUDA0 first): all, or what
    CUDA_VISIBLE_DEVICES names.

    As CUDA reads it: numbers of GPUs or beginnings of UUIDs, and the first that names no card ends
    the list. Of MIG instances a process is shown one, and no other card beside it.
    """
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    seen = list(cards) if chosen is None else _named(chosen, cards)
    instances = [card for card in seen if card.is_instance]
    return tuple(instances[:1] or seen)


def cuda_order(
    cards: Sequence[GpuSpec], environment: Mapping[str, str] = os.environ
) -> tuple[GpuSpec, ...]:
    """NVML's cards as CUDA numbers them: the fastest first, unless CUDA_DEVICE_ORDER is PCI_BUS_ID,
    and those alone that CUDA_VISIBLE_DEVICES numbers.

    CUDA does not publish what it takes for fast; this goes by arithmetic. Of names by UUID nothing
    is left out.
    """
    by_bus = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    ordered = cards if by_bus else sorted(cards, key=lambda card: -card.fp16_flops)
    chosen = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
    numbers = [int(item) for item in chosen if item.strip().isdecimal()]
    if len(numbers) < len(chosen) or max(numbers) >= len(ordered):
        return tuple(ordered)
    return tuple(ordered[number] for number in numbers)


def _named(chosen: str, cards: Sequence[NvmlCard]) -> list[NvmlCard]:
    seen: list[NvmlCard] = []
    for item in (part.strip() for part in chosen.split(",")):
        named = [
            card
            for card in cards
            if item == str(_number(card)) or (item and card.uuid.startswith(item))
        ]
        if not named:
            break
        seen.append(named[0])
    return seen


def _number(card: NvmlCard) -> int:
    """CUDA's number of the GPU, which its instances have together."""
    return card.index if card.number is None else card.number
