"""The cards of one machine, in llama.cpp's order: names and sizes read, each a device.

`read_cards(["RTX 5090", "2x3090"])` is three devices, CUDA0 to CUDA2. A list is what `--gpu` says;
what a run of it uses is `run_cards`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from oomph.config import MAX_DEVICES
from oomph.errors import ConfigError, UnknownNameError
from oomph.frozen import frozen
from oomph.gpus import GpuSpec, gpu
from oomph.units import MIB, parse_size

CardNames = str | Sequence[str] | None
"""What `--gpu` says: a name, a list by comma, or several of either."""

UNNAMED_CONTEXT: Final = 640 * MIB
"""More than the largest CUDA context that was measured, with what its first prompt adds: 593 MiB,
on an H200."""
_SEPARATORS: Final = re.compile(r"[,;+&]")
_BEFORE: Final = re.compile(r"([0-9]+)\s*[x×*]\s*(?=\S)(.+)", re.IGNORECASE)
_BEHIND: Final = re.compile(r"(.+?[0-9a-z)])(?:\s+[x×*]\s*|[x×*])([0-9]+)", re.IGNORECASE)
_SIZE: Final = re.compile(r"[0-9.]+\s*[kmgt]i?b?", re.IGNORECASE)


@frozen
class Card:
    """One card of a machine: its name in llama.cpp, its data sheet (None where only its memory is
    known), and the memory that CUDA reports.

    `context_bytes` is what is counted for the CUDA context of a card without a data sheet.
    `free_bytes` is what llama.cpp finds free of it when it divides the layers; None until an
    estimator takes off the CUDA context.
    """

    memory_bytes: int
    spec: GpuSpec | None = None
    device: str = "CUDA0"
    context_bytes: int = 0
    free_bytes: int | None = None

    @property
    def name(self) -> str:
        """The catalogue's name of it, or how large it is."""
        return self.spec.name if self.spec else f"card of {round(self.memory_bytes / MIB)} MiB"


def numbered(cards: Iterable[Card]) -> tuple[Card, ...]:
    """The cards as CUDA numbers them."""
    return tuple(replace(card, device=f"CUDA{i}") for i, card in enumerate(cards))


GivenCards = GpuSpec | Card | str | Sequence[GpuSpec | Card | str] | None
"""Cards as an estimator takes them: facts, or what names them."""


def cards_of(given: GivenCards, memory_bytes: int | None) -> tuple[Card, ...]:
    """The cards that are given, names looked up, each with `memory_bytes` where it is said."""
    items = list(given) if isinstance(given, list | tuple) else [] if given is None else [given]
    found: list[Card] = []
    for item in items:
        if isinstance(item, Card):
            found.append(item)
        elif isinstance(item, GpuSpec):
            found.append(Card(spec=item, memory_bytes=item.memory_bytes))
        elif isinstance(item, str):
            found += read_cards(item)
        else:
            raise ConfigError(
                f"an estimator is of a card, not of {type(item).__name__}: give a GpuSpec, or a "
                'name as "RTX 3090"'
            )
    if not found and memory_bytes:
        found = [Card(memory_bytes=memory_bytes)]
    elif memory_bytes:
        found = [replace(card, memory_bytes=memory_bytes) for card in found]
    is_given = items and all(isinstance(item, Card) for item in items)
    return tuple(found) if is_given else numbered(found)


def read_cards(names: CardNames, memory: float | str | None = None) -> tuple[Card, ...]:
    """The cards of `--gpu` and `--gpu-mem`, in their order; none where neither says anything.

    `names` are the catalogue's, each with a number (`2x3090`) or its own memory (`rtx 5090:24000`,
    in MiB or with a unit); a size alone is a card of which nothing else is known. `memory` is one
    size for each of them, or a list by comma. UnknownNameError and ConfigError name the item that
    cannot be.
    """
    said = [names] if isinstance(names, str) else list(names or ())
    items = [item.strip() for text in said for item in _SEPARATORS.split(text)]
    if names is not None and said and not any(items):
        raise UnknownNameError(
            f"--gpu is {', '.join(said)!r}; name a card (`oomph gpus` lists them)"
        )
    cards = [card for item in items if item for card in _counted(item)]
    sizes = _sizes(memory)
    if not cards:
        cards = [Card(memory_bytes=size, context_bytes=UNNAMED_CONTEXT) for size in sizes]
    elif len(sizes) == 1:
        cards = [replace(card, memory_bytes=sizes[0]) for card in cards]
    elif sizes:
        if len(sizes) != len(cards):
            raise ConfigError(
                f"--gpu-mem gives {len(sizes)} sizes and --gpu {len(cards)} cards; give one size, "
                "or one for each card"
            )
        cards = [replace(card, memory_bytes=size) for card, size in zip(cards, sizes, strict=True)]
    if len(cards) > MAX_DEVICES:
        raise ConfigError(f"--gpu names {len(cards)} cards; llama.cpp takes {MAX_DEVICES} at most")
    return numbered(cards)


def _counted(item: str) -> list[Card]:
    """`3090`, `2x3090` or `3090 x2`."""
    number, name = next(iter(_readings(item)), (1, item))
    if not 1 <= number <= MAX_DEVICES:
        raise ConfigError(
            f"--gpu {item[:60]!r} is {number} cards; llama.cpp takes 1 to {MAX_DEVICES}"
        )
    return [_card(name)] * number


def _readings(item: str) -> Iterator[tuple[int, str]]:
    """How many of which card it may say, the likelier first: in `3090 x2` and `2x3090` the smaller
    of two numbers is how many."""
    found = []
    for pattern, number, name in ((_BEFORE, 1, 2), (_BEHIND, 2, 1)):
        if match := pattern.fullmatch(item):
            found.append((int(match[number][:9]), match[name].strip()))
    return ((number, name) for number, name in sorted(found) if _is_card(name))


def _is_card(item: str) -> bool:
    try:
        _card(item)
    except (UnknownNameError, ConfigError):
        return False
    return True


def _card(item: str) -> Card:
    """A card's name, with its own memory behind a colon where it is not as the catalogue has it."""
    if _SIZE.fullmatch(item):
        return Card(memory_bytes=card_memory(item, of=item), context_bytes=UNNAMED_CONTEXT)
    name, colon, size = item.rpartition(":")
    if colon and ":" not in name:
        return Card(spec=gpu(name), memory_bytes=card_memory(size, of=item))
    spec = gpu(item)
    return Card(spec=spec, memory_bytes=spec.memory_bytes)


def _sizes(memory: float | str | None) -> list[int]:
    """The memory of each card that is given; `24,080` is two sizes, as any comma parts them."""
    if memory is None:
        return []
    parts = memory.split(",") if isinstance(memory, str) else [memory]
    return [card_memory(part) for part in parts]


def card_memory(size: float | str, *, of: str = "") -> int:
    """Bytes of a card's memory, said in MiB or with a unit, by --gpu-mem or in --gpu's item `of`;
    ConfigError for what no card has."""
    try:
        n_bytes = parse_size(size) if isinstance(size, str) else round(size * MIB)
    except (ValueError, OverflowError):
        n_bytes = 0
    if not MIB <= n_bytes < MIB << 40:
        said = f"the size in --gpu {of[:60]!r}" if of else "--gpu-mem"
        raise ConfigError(
            f"{said} is {str(size)[:40]}; give the memory of a card in MiB, for example 24080, or "
            "with its unit, as 24GiB"
        )
    return n_bytes


def run_cards(cards: Sequence[Card], n_devices: int) -> tuple[Card, ...]:
    """The cards that a run of so many devices uses: the first of the list, or more like them where
    all are alike; none where none are known. ConfigError for more than a list of unlike cards
    has."""
    if not cards or n_devices <= len(cards):
        return tuple(cards[:n_devices])
    if not are_alike(cards):
        raise ConfigError(
            f"n_devices is {n_devices}, and {len(cards)} cards are named: {listed_cards(cards)}"
        )
    taken = {card.device for card in cards}
    names = [f"CUDA{i}" for i in range(n_devices + len(cards))]
    free = [name for name in names if name not in taken][: n_devices - len(cards)]
    return (*cards, *(replace(cards[0], device=name) for name in free))


def are_alike(cards: Sequence[Card]) -> bool:
    """Whether all are of one kind and size."""
    return len({(card.spec, card.memory_bytes) for card in cards}) < 2


def chosen_cards(cards: Sequence[Card], devices: Sequence[str]) -> tuple[Card, ...]:
    """The cards that `--device` names, in its order; ConfigError for one that is not there."""
    by_device = {card.device: card for card in cards}
    missing = [name for name in devices if name.upper() not in by_device]
    if missing or len(set(map(str.upper, devices))) < len(devices):
        wrong = f"names {missing[0]}" if missing else "names a card twice"
        raise ConfigError(f"--device {wrong}; the cards are {listed_cards(cards)}")
    return tuple(by_device[name.upper()] for name in devices)


def listed_cards(cards: Sequence[Card]) -> str:
    """`CUDA0 (…), CUDA1 (…)`."""
    return ", ".join(f"{card.device} ({card.name})" for card in cards)


def kinds(cards: Iterable[Card]) -> str | None:
    """The kinds of card by the catalogue's names, each once; None where a card has no name, or
    there is none."""
    names = dict.fromkeys(card.spec.name if card.spec else None for card in cards)
    return " + ".join(name for name in names if name) if names and None not in names else None


def kind_counts(names: Iterable[str]) -> list[tuple[int, str]]:
    """How many of which card follow each other."""
    return [(len(list(alike)), name) for name, alike in groupby(names)]
