"""Which cards a log names, what they had free, and which of ggml's backends computed.

Backends name their devices in their buffers' lines (CUDA0, ROCm0, Vulkan0, SYCL0, MTL0, RPC0…) and
introduce them in lines of their own, each in its own way and anew with every year.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from oomph.measure.logs.lines import WHOLE
from oomph.measure.logs.reported import read_buffers
from oomph.units import GIB, MIB

UNKNOWN: Final = "unknown"
CPU: Final = "cpu"
_BACKENDS: Final = {
    "CUDA": "cuda",
    "ROCm": "rocm",
    "HIP": "rocm",
    "MUSA": "musa",
    "Vulkan": "vulkan",
    "SYCL": "sycl",
    "MTL": "metal",
    "Metal": "metal",
    "CANN": "cann",
    "GPUOpenCL": "opencl",
    "OpenCL": "opencl",
    "RPC": "rpc",
    "WebGPU": "webgpu",
    "HTP": "hexagon",
}
"""Records' word for the backend whose devices begin with each name."""
_DEVICE_NAME: Final = re.compile(
    r"^(" + "|".join(_BACKENDS) + r")(?:_?[0-9]{1,3}|_Mapped|_Private|_Host|_Split|\[\S{1,60}\])*$"
)
_PAIR: Final = re.compile(r'(\w{1,20})=("[^"]{0,120}"|\S{1,120})')
_SIZES: Final = ("total", "available")
_KINDS: Final = ("model_mib", "kv_cache_mib", "recurrent_mib", "compute_mib", "output_mib")
_NAME: Final = r"([^|\n]{1,120}?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCard:
    """A card as a log names it; `device` is ggml's name for it. Bytes are None where the log does
    not tell them."""

    device: str
    name: str | None = None
    total_bytes: int | None = None
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The cards that a log names, in ggml's order, and the backend that computed."""

    cards: tuple[LoggedCard, ...]
    backend: str

    @property
    def free_bytes(self) -> tuple[int, ...]:
        """What each card had free before the load; empty where that of one is not told."""
        free = [card.free_bytes for card in self.cards if card.free_bytes is not None]
        return tuple(free) if len(free) == len(self.cards) else ()


_Found = tuple[str, str | None, int | None, int | None]


def _used(match: re.Match[str]) -> _Found:
    return match[1], match[2], None, int(match[3]) * MIB


def _listed(match: re.Match[str]) -> _Found:
    return match[1], match[2], int(match[3]) * MIB, int(match[4]) * MIB


def _numbered(prefix: str) -> Callable[[re.Match[str]], _Found]:
    return lambda match: (f"{prefix}{match[1]}", match[2], None, None)


def _with_vram(match: re.Match[str]) -> _Found:
    kind = "ROCm" if "gfx" in match[0] else "CUDA"
    return f"{kind}{match[1]}", match[2], int(match[3]) * MIB if match[3] else None, None


def _metal(match: re.Match[str]) -> _Found:
    return match["id"] or "Metal", match["name"] or match["alone"], None, None


def _named(match: re.Match[str]) -> _Found:
    return match[1], match[2], None, None


def _of_ollama(match: re.Match[str]) -> _Found:
    said = {key: value.strip('"') for key, value in _PAIR.findall(match[0])}
    sizes = (re.match(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) GiB", said.get(key, "")) for key in _SIZES)
    total, free = (round(float(size[1]) * GIB) if size else None for size in sizes)
    kind = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "metal": "Metal"}
    name = said.get("name", "")
    if backend_of(name):
        return name, said.get("description"), total, free
    return f"{kind.get(said['library'].lower(), 'GPU')}0", name, total, free


_INTRODUCTIONS: Final[tuple[tuple[str, Callable[[re.Match[str]], _Found]], ...]] = (
    (
        r"using device (\w{1,40}|RPC\[\S{1,60}\]) \(" + _NAME + r"\)(?: \([^()]{1,40}\))? - "
        + WHOLE + " MiB free",
        _used,
    ),
    (r"- (\w{1,40}) {0,8}: " + _NAME + r" \(" + WHOLE + " MiB, " + WHOLE + r" MiB free\)", _listed),
    (
        r"Device ([0-9]{1,3}): " + _NAME + r", (?:compute capability|gfx|VMM)"
        r"(?:.{0,120}, VRAM: ([0-9]{1,9}) MiB)?",
        _with_vram,
    ),
    (r"ggml_vulkan: ([0-9]{1,3}) = " + _NAME + r" (?:\([^()|]{1,60}\) )?\|", _numbered("Vulkan")),
    (
        r"(?:GPU name|picking default device): {1,8}(?:(?P<id>MTL[0-9]{1,2}) "
        r"\((?P<name>[^()]{1,80})\)|(?P<alone>[^()]{1,80}))$",
        _metal,
    ),
    (
        r"\| ?([0-9]{1,2})\| ?\[[a-z_]{1,20}:gpu:[0-9]{1,2}\]\| {0,20}" + _NAME + r" {0,20}\|",
        _numbered("SYCL"),
    ),
    (r"ggml_opencl: device: '?()(?:" + _NAME + r")'?(?:$| \()", _numbered("GPUOpenCL")),
    (r"breakdown.{0,20} - ([A-Za-z]{2,8}[0-9]{1,2}) \(" + _NAME + r"\)(?: {0,20}\||:)", _named),
    (r"inference compute.{0,200} library=(?!cpu)\w{1,16}.{0,900}", _of_ollama),
)  # fmt: skip
_PATTERNS: Final = tuple((re.compile(pattern), found) for pattern, found in _INTRODUCTIONS)
_HINTS: Final = (
    "evice",
    "MiB free",
    "ggml_vulkan",
    "GPU name",
    "_gpu:",
    ":gpu:",
    "opencl",
    "infer",
    "breakdown",
)
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
    match = _DEVICE_NAME.match(device)
    return _BACKENDS[match[1]] if match else None


def read_devices(lines: Sequence[str]) -> Devices:
    """The cards and the backend of one program's log.

    A card counts once, however often it is introduced; where the log lists what there is and says
    what is used, those used count alone.
    """
    found: dict[str, LoggedCard] = {}
    used: list[str] = []
    for line in lines:
        if any(hint in line for hint in _HINTS):
            for pattern, introduced in _PATTERNS:
                if match := pattern.search(line):
                    _introduce(found, *introduced(match))
                    if introduced is _used:
                        used.append(match[1])
                    break
    cards = [found[device] for device in dict.fromkeys(used or found)]
    buffers = read_buffers(lines)
    devices = dict.fromkeys(device for kind in _KINDS for device in getattr(buffers, kind))
    if not cards:
        cards = [LoggedCard(device=device) for device in devices if _is_card(device)]
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


def _introduce(
    found: dict[str, LoggedCard], device: str, name: str | None, total: int | None, free: int | None
) -> None:
    known = found.get(device, LoggedCard(device=device))
    names = [each.strip() for each in (known.name, name) if each]
    found[device] = replace(
        known,
        name=max(names, key=len, default=None),
        total_bytes=known.total_bytes or total,
        free_bytes=free if free is not None else known.free_bytes,
    )


def _is_card(device: str) -> bool:
    """Whether a buffer's device is a card, and none of its host-side buffers."""
    return backend_of(device) is not None and not device.endswith("_Host")
