"""Which cards a log names, what they had free, and which of ggml's backends computed."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from oomph.frozen import frozen
from oomph.measure.logs.reported import read_buffers
from oomph.records.device_lines import BACKENDS, UNKNOWN, IntroducedCard, introduced_card

CPU: Final = "cpu"
_DEVICE: Final = re.compile(
    r"^([A-Za-z]{2,9}?)(?:_?[0-9]{1,3}|_Mapped|_Private|_Host|_Split|\[\S{1,60}\])*$"
)
_KINDS: Final = ("model_mib", "kv_cache_mib", "recurrent_mib", "compute_mib", "output_mib")


@frozen
class Devices:
    """The cards that a log names, in ggml's order, and the backend that computed."""

    cards: tuple[IntroducedCard, ...]
    backend: str

    @property
    def free_bytes(self) -> tuple[int, ...]:
        """What each card had free before the load; empty where that of one is not told."""
        free = [card.free_bytes for card in self.cards if card.free_bytes is not None]
        return tuple(free) if len(free) == len(self.cards) else ()


_WORDS: Final = (
    ("cuda", re.compile(r"using CUDA for GPU acceleration|found [1-9][0-9]? CUDA devices")),
    ("metal", re.compile(r"^ggml_metal_(?:init|add_buffer): ")),
    ("rocm", re.compile(r"using ROCm for GPU acceleration|found [1-9][0-9]? ROCm devices")),
)
_ON_CARDS: Final = re.compile(r"VRAM used|offloaded [1-9][0-9]{0,3}/|offloading [1-9]")
_CPU_ONLY: Final = re.compile(
    r"no usable GPU found|compiled without (?:support for )?GPU|not compiled with GPU"
    r"|found 0 (?:CUDA|ROCm|SYCL) devices|offloaded 0/[0-9]{1,9} layers"
)


def backend_of(device: str) -> str | None:
    """Records' word for the backend of ggml's device `device`, None for the host's own and for
    names that are not known."""
    match = _DEVICE.match(device)
    backend = BACKENDS.get(match[1].lower()) if match else None
    return None if backend == CPU else backend


def read_devices(lines: Sequence[str]) -> Devices:
    """The cards and the backend of one program's log.

    A card counts once, however often it is introduced; where the log lists what there is and says
    what is used, those used count alone.
    """
    found: dict[str, IntroducedCard] = {}
    for line in lines:
        if card := introduced_card(line):
            found[card.device] = _together(found.get(card.device, card), card)
    used = [card for card in found.values() if card.is_used]
    cards = used or list(found.values())
    buffers = read_buffers(lines)
    devices = dict.fromkeys(device for kind in _KINDS for device in getattr(buffers, kind))
    if not cards:
        cards = [IntroducedCard(device=device) for device in devices if _is_card(device)]
    named = [*devices, *(card.device for card in cards)]
    return Devices(
        cards=tuple(cards),
        backend=_backend(named, lines, computes_on_host=bool(buffers.compute_mib)),
    )


def _backend(named: Sequence[str], lines: Sequence[str], *, computes_on_host: bool) -> str:
    """The backend of the devices `named`, else the one that the log's words tell; `cpu` only where
    it says that there is no card, or has compute buffers and no trace of a card."""
    backends = [backend for device in named if (backend := backend_of(device))]
    if backends:
        return next((each for each in backends if each != "rpc"), "rpc")
    told = next((name for name, words in _WORDS if any(map(words.search, lines))), None)
    if told or any(map(_ON_CARDS.search, lines)):
        return told or UNKNOWN
    is_cpu = computes_on_host or any(map(_CPU_ONLY.search, lines))
    return CPU if is_cpu else UNKNOWN


def _together(known: IntroducedCard, card: IntroducedCard) -> IntroducedCard:
    """What two lines say of a card: the fuller name, and of what is free the later."""
    return replace(
        known,
        name=max((each.strip() for each in (known.name, card.name) if each), key=len, default=None),
        total_bytes=known.total_bytes or card.total_bytes,
        free_bytes=known.free_bytes if card.free_bytes is None else card.free_bytes,
        is_used=known.is_used or card.is_used,
    )


def _is_card(device: str) -> bool:
    """Whether a buffer's device is a card, and none of its host-side buffers."""
    return backend_of(device) is not None and not device.endswith("_Host")
