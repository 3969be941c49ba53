"""Cards that hold the same, of which two stand for all when a graph is replayed.

Cards repeat as layers do (`oomph.estimate.repeats`): of those one behind the other whose layers are
equal two are kept. What lies on another is allocated as on the second, which has such a card before
it and such a layer behind it, as the others have; the last that holds layers stays, for the output
is there. That holds where a card's layers take room on that card alone, but for what of a layer may
run where the one before it does: then its buffer is no other's business.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from oomph.estimate.allocator import Placed
from oomph.estimate.buffers import Packing
from oomph.estimate.composed import Composed
from oomph.estimate.graph.placement import Placement
from oomph.estimate.graph.tensor import Tensor
from oomph.estimate.loops import Repetitions
from oomph.estimate.repeats import LeftOutCard, Run, Selection
from oomph.estimate.scheduler import Schedule

KEPT_CARDS: Final = 2
"""Cards that are kept of those that hold the same."""


@dataclass(slots=True)
class _Block:
    """The kept layers of a card, and of which of them its runs are the ends; `device` is None where
    they lie elsewhere, too. Blocks of one `content` are alike, and a layer of one kind is behind
    each."""

    device: str | None
    layers: list[int] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    ends: list[list[int]] = field(default_factory=list)
    content: tuple[Hashable, list[list[int]], list[Hashable]] | None = None


def leave_out_cards(
    selection: Selection, kinds: Sequence[Hashable], homes: Mapping[int, str]
) -> Selection:
    """`selection` without the cards that hold the same as those that are kept before them.

    `kinds` says which layers are equal wherever they lie, `homes` which card has all of a layer,
    and of the others that are divided to it.
    """
    blocks = _blocks(selection, homes)
    kept: list[_Block] = []
    left_out: list[tuple[_Block, _Block]] = []
    for i, block in enumerate(blocks):
        behind = blocks[i + 1] if i + 1 < len(blocks) else None
        if block.device and behind and behind.device:
            block.content = (
                kinds[behind.layers[0]],
                block.ends,
                [kinds[il] for il in block.layers],
            )
        before = kept[-KEPT_CARDS:]
        if block.content and [each.content for each in before] == [block.content] * KEPT_CARDS:
            left_out.append((block, before[-1]))
        else:
            kept.append(block)
    runs = [run for block in kept for run in block.runs]
    return Selection(
        layers=tuple(il for block in kept for il in block.layers),
        runs=tuple(runs),
        cards=tuple(
            LeftOutCard(
                device=block.device or "",
                like=like.device or "",
                n_left_out=tuple(
                    (runs.index(run), own.n_left_out)
                    for run, own in zip(like.runs, block.runs, strict=True)
                ),
            )
            for block, like in left_out
        ),
    )


def _blocks(selection: Selection, homes: Mapping[int, str]) -> list[_Block]:
    """The layers of each card in their order, with the runs that they are of."""
    found: list[_Block] = []
    for il in selection.layers:
        device = homes.get(il)
        if not found or found[-1].device != device:
            found.append(_Block(device))
        found[-1].layers.append(il)
    for block in found:
        block.runs = [run for run in selection.runs if run.ends[0] in block.layers]
        block.ends = [[block.layers.index(il) for il in run.ends] for run in block.runs]
    return found


def are_apart(composed: Composed, plan: Schedule, placement: Placement) -> bool:
    """Whether the layers of each card that stands for others take room on that card alone, or on
    the one before it, and read no input that nothing has read before."""
    backends = placement.backends
    numbers = {t: i for i, (t, _) in enumerate(plan.nodes)}
    inputs = [t for t in composed.graph.leafs if t.is_input]
    places: dict[str, tuple[int, int]] = {}
    before: dict[str, str] = {}
    at, last = 0, ""
    for il in composed.selection.layers:
        device, end = placement.layer(il), numbers[composed.ends[il]] + 1
        if device != last:
            places[device], before[device] = (at, end), last
        places[device] = places[device][0], end
        at, last = end, device
    for like in {card.like for card in composed.selection.cards}:
        begin, end = places[like]
        own = {backends.index(like), backends.index(before[like])}
        if any(pool not in own and t.view_src is None for t, pool in plan.nodes[begin:end]):
            return False
        read_before, read = _sources(plan.nodes[:begin]), _sources(plan.nodes[begin:end])
        if any(t in read and t not in read_before for t in inputs):
            return False
    return True


def _sources(nodes: Sequence[Placed]) -> set[Tensor]:
    return {source for t, _ in nodes for source in t.src}


def of_all_cards(
    placement: Placement,
    selection: Selection,
    left_out: tuple[Repetitions, ...],
    of: Callable[[tuple[Repetitions, ...]], Packing],
) -> Packing:
    """The packing of all cards; `of` gives that of those in a graph, with these repetitions left
    out. A card that is not is packed as the one that stands for it, with repetitions of its own."""
    packed, backends = {left_out: of(left_out)}, placement.backends
    n_bytes, live_bytes = list(packed[left_out].bytes), list(packed[left_out].live_bytes)
    for card in selection.cards:
        repetitions = list(left_out)
        for number, n in card.n_left_out:
            repetitions[number] = tuple(left_out[number][0] for _ in range(n))
        own = tuple(repetitions)
        if own not in packed:
            packed[own] = of(own)
        at, like = backends.index(card.device), backends.index(card.like)
        n_bytes[at], live_bytes[at] = packed[own].bytes[like], packed[own].live_bytes[like]
    return Packing(bytes=tuple(n_bytes), live_bytes=tuple(live_bytes))
