"""Where a table ran, by the lines above it: lists of devices, the one chosen, the build.

A list holds until the next one begins: the nearest above a row counts.
"""

import re
from typing import Any, Final

from oomph.records.device_lines import BACKENDS, HINTS, IntroducedCard, introduced_card
from oomph.records.tables.found import NOTHING, Around

_HINTS: Final = (*HINTS, "build", "n_kv_max", "llama-")
"""A line without any of these says nothing of this."""
_FOUND: Final = re.compile(
    r"\b[Ff]ound ([0-9]{1,3}) (CUDA|ROCm|HIP|MUSA|Vulkan|SYCL|CANN|OpenCL|Metal) devices"
)
_BUILD_ABOVE: Final = re.compile(
    r"\bbuild:? (?:= )?b?([0-9]{1,9}) \(([0-9a-f]{6,40})\)(?: with |$)"
)
_BUILD_BELOW: Final = re.compile(r"(?:^|\s)build: ([0-9a-z]{1,64}) \(([0-9]{1,9})\)")
_CONTEXT: Final = re.compile(r"\bn_kv_max = [0-9]")
_COMMAND: Final = re.compile(r"\bllama-(?:bench|sweep-bench|batched-bench)(?:\.exe)?[\"']? -")
_REMOTE: Final = re.compile(r"\s--?rpc[ =]")
_KNOB: Final = re.compile(r"\b([a-z_]{1,24}) = (-?[0-9]{1,12})\b")
_INDEX: Final = re.compile(r"([0-9]{0,3})$")
MAX_DEVICES: Final = 64


class Surroundings:
    """Takes the lines of a file one by one and knows what holds at each."""

    def __init__(self) -> None:
        self._devices: dict[str, list[str]] = {}
        self._used: list[tuple[str, str]] = []
        self._build: tuple[str, int] | None = None
        self._knobs: dict[str, Any] = {}
        self._is_remote = False
        self._open = ""
        self._has_rows = False
        self._now: Around | None = NOTHING

    def take(self, line: str) -> bool:
        """Whether the line says something of where what follows ran."""
        if not any(hint in line for hint in _HINTS):
            return False
        line = line[:2048]
        taken = self._take_device(line) or self._take_context(line)
        if taken:
            self._now = None
        return taken

    def now(self) -> Around:
        """What holds for a row at this place of the file."""
        if self._now is None:
            self._now = Around(
                devices={name: tuple(cards) for name, cards in self._devices.items()},
                used=tuple(self._used),
                build=self._build,
                knobs=dict(self._knobs),
                is_remote=self._is_remote,
            )
        return self._now

    def mark_row(self) -> None:
        """A row was read: the next device line belongs to another run."""
        self._has_rows = True

    def _take_device(self, line: str) -> bool:
        if match := _FOUND.search(line):
            self._begin(BACKENDS[match[2].lower()])
        elif card := introduced_card(line):
            self._take_card(card)
        else:
            return False
        return True

    def _take_card(self, card: IntroducedCard) -> None:
        name, index = card.name or "", int(_INDEX.findall(card.device)[0] or 0)
        if card.is_used:
            self._renew()
            self._used.append((card.backend, name))
        elif card.backend == "metal" and self._devices.get("metal") == [name]:
            return  # found, then picked
        elif name:
            is_cudas = card.backend in ("cuda", "rocm") and self._open in ("cuda", "rocm", "musa")
            self._add(self._open if is_cudas else card.backend, index, name)

    def _begin(self, backend: str) -> None:
        self._renew()
        self._devices[backend] = []
        self._open = backend

    def _add(self, backend: str, index: int, name: str) -> None:
        if self._has_rows or (index == 0 and self._devices.get(backend)):
            self._begin(backend)
        cards = self._devices.setdefault(backend, [])
        if len(cards) < MAX_DEVICES:
            cards.append(name.strip())

    def _renew(self) -> None:
        """Forget an earlier run's devices."""
        if self._has_rows:
            self._devices, self._used, self._has_rows, self._build = {}, [], False, None

    def _take_context(self, line: str) -> bool:
        if _CONTEXT.search(line):
            self._knobs = {name: int(value) for name, value in _KNOB.findall(line)}
            return True
        if match := _BUILD_ABOVE.search(line):
            self._build = (match[2], int(match[1]))
            return True
        if _COMMAND.search(line):
            self._is_remote = _REMOTE.search(line) is not None
            return True
        return False


def build_below(line: str) -> tuple[str, int] | None:
    """Commit and number in llama-bench's last line, `build: 0c1e570 (9000)`."""
    match = _BUILD_BELOW.search(line) if "build: " in line else None
    return (match[1], int(match[2])) if match else None
