"""Where a row ran: backend and cards by the row, else by the lines above it, else unknown.

llama-bench's `backends` lists what its build has and found devices for; `devices` is what was asked
for, `none` for the processor alone (tools/llama-bench/llama-bench.cpp). Builds before October 2025
list RPC wherever it was compiled in, so that it may not have taken part. The JSON of 2023 and 2024
has a boolean for each backend.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from oomph.frozen import frozen
from oomph.records.device_lines import BACKENDS, UNKNOWN
from oomph.records.tables.found import Around, Row

_OLD_FLAGS: Final = ("cuda", "vulkan", "kompute", "metal", "sycl", "rpc", "opencl", "gpu_blas")
_DEVICE: Final = re.compile(r"([A-Za-z]{2,12}?)([0-9]{0,3})(?:\[.*)?")
_WORD: Final = re.compile(r"[a-z0-9_]{1,20}")
_ENDPOINT: Final = re.compile(r".{1,200}:[0-9]{1,5}|RPC[0-9].*")
_NO: Final = ("", "0", "false", "none", "null")
MOST_CARDS: Final = 64


@frozen
class Place:
    """A record's backend, its cards by name, and how many devices computed (0: the processor).

    `is_sure` is False where devices of other machines may have computed too.
    """

    backend: str
    cards: tuple[str, ...]
    n_devices: int
    is_sure: bool = True


def placed(row: Row) -> Place:
    """The place of a row of llama-bench's."""
    values, around = row.values, row.around
    asked = _asked(values.get("devices"))
    if asked == ["none"]:
        return Place(backend="cpu", cards=(), n_devices=0)
    backend = _backend_of_devices(asked) if asked else _backend(values, around)
    if backend == "cpu":
        return Place(backend="cpu", cards=(), n_devices=0)
    named = _names(values.get("gpu_info"))
    listed = named or around.devices.get(backend, ())
    cards = _chosen(listed, asked) if asked else tuple(listed)
    n_devices = len(asked) or max(len(cards), _n_shares(values.get("tensor_split")), 1)
    own = tuple(name for name in cards if not _ENDPOINT.fullmatch(name))
    may_have_remote = not asked and "rpc" in _words(values) and not named
    return Place(
        backend="rpc" if len(own) < len(cards) else backend,
        cards=own,
        n_devices=n_devices,
        is_sure=not may_have_remote,
    )


def place_of_lines(around: Around) -> Place | None:
    """The place that the lines above a row tell, for rows that say nothing; None where they tell
    none, or several."""
    if around.is_remote:
        return Place(backend="rpc", cards=(), n_devices=1)
    used = {backend for backend, _ in around.used}
    if len(used) == 1:
        cards = tuple(name for _, name in around.used)
        return Place(backend=used.pop(), cards=cards, n_devices=len(cards))
    listed = {backend: cards for backend, cards in around.devices.items() if cards}
    if used or len(listed) != 1:
        return None
    ((backend, cards),) = listed.items()
    return Place(backend=backend, cards=cards, n_devices=len(cards))


def word_of(text: str) -> str:
    """A record's word for a backend that is named in any tool's way."""
    word = text.strip().lower()
    known = BACKENDS.get(word)
    return known or (word if _WORD.fullmatch(word) else UNKNOWN)


def _asked(devices: Any) -> list[str]:
    """The devices of `-dev`; empty where it was left to llama.cpp."""
    names = [name.strip() for name in str(devices or "").split("/")]
    named = [name for name in names if name and name.lower() != "auto"]
    return ["none"] if [name.lower() for name in named] == ["none"] else named[:MOST_CARDS]


def _backend_of_devices(asked: Iterable[str]) -> str:
    words = [word_of(match[1]) for name in asked if (match := _DEVICE.fullmatch(name))]
    if "rpc" in words:
        return "rpc"
    others = {word for word in words if word != "cpu"}
    if len(others) > 1 or not words:
        return UNKNOWN
    return others.pop() if others else "cpu"


def _backend(values: Mapping[str, Any], around: Around) -> str:
    """By the row's own list of backends, its old flags, or the lines above."""
    words = _words(values)
    if not words:
        flags = [flag for flag in _OLD_FLAGS if str(values.get(flag, "")).lower() not in _NO]
        if flags:
            return word_of(flags[0]) if flags[0] != "gpu_blas" else UNKNOWN
        if any(flag in values for flag in _OLD_FLAGS):
            return "cpu"
        place = place_of_lines(around)
        return place.backend if place else UNKNOWN
    if "rpc" in words and (around.is_remote or "rpc" in {each[0] for each in around.used}):
        return "rpc"
    others = [word for word in words if word not in ("cpu", "rpc")]
    return others[0] if others else "rpc" if "rpc" in words else "cpu"


def _words(values: Mapping[str, Any]) -> list[str]:
    """The backends that the row lists, in records' words."""
    words = [word_of(name) for name in re.split(r"[,+]", str(values.get("backends") or ""))]
    return [word for word in words if word != UNKNOWN]


def _names(text: Any) -> tuple[str, ...]:
    names = [name.strip() for name in str(text or "").split(",")]
    return tuple(name[:200] for name in names if name)[:MOST_CARDS]


def _chosen(listed: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
    """The cards of the devices that were asked for; none where the list has not as many."""
    numbers = [int(m[2] or 0) for name in asked if (m := _DEVICE.fullmatch(name))]
    if any(number >= len(listed) for number in numbers):
        return ()
    return tuple(listed[number] for number in numbers)


def _n_shares(split: Any) -> int:
    """How many cards a tensor split names."""
    parts = re.split(r"[/,]", str(split or ""))
    try:
        shares = [float(part) for part in parts]
    except ValueError:
        return 0
    return len(shares) if any(shares) else 0
