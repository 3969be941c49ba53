"""Lines in which ggml's backends introduce their cards, and records' words for the backends.

Each backend prints its own kind of line (ggml-cuda.cu, ggml-vulkan.cpp, ggml-sycl.cpp,
ggml-metal-device.m, ggml-opencl.cpp, llama.cpp's `using device` and its memory breakdown, Ollama's
`inference compute`), and changes it from year to year.
"""

import re
from collections.abc import Callable
from typing import Final

from oomph.frozen import frozen
from oomph.units import GIB, MIB

BACKENDS: Final = {
    "cuda": "cuda",
    "rocm": "rocm",
    "hip": "rocm",
    "musa": "musa",
    "vulkan": "vulkan",
    "kompute": "kompute",
    "sycl": "sycl",
    "xpu": "sycl",
    "metal": "metal",
    "mtl": "metal",
    "cann": "cann",
    "opencl": "opencl",
    "gpuopencl": "opencl",
    "rpc": "rpc",
    "webgpu": "webgpu",
    "htp": "hexagon",
    "hexagon": "hexagon",
    "cpu": "cpu",
    "blas": "cpu",
    "accelerate": "cpu",
    "zdnn": "cpu",
}
"""ggml's names of backends and of their devices, in small letters, to the word of a record."""
UNKNOWN: Final = "unknown"
"""Records' word for a backend that is not told, or that has no word."""
HINTS: Final = (
    "evice", "MiB free", "ggml_vulkan", "Vulkan0", "GPU name", ":gpu:", "opencl", "breakdown",
    "inference compute",
)  # fmt: skip
"""A line without any of these introduces no card."""


@frozen
class IntroducedCard:
    """A card as a line introduces it. `device` is ggml's name for it (CUDA0); bytes are None where
    the line does not tell them, `is_used` says that a model is put on it."""

    device: str
    name: str | None = None
    total_bytes: int | None = None
    free_bytes: int | None = None
    is_used: bool = False

    @property
    def backend(self) -> str:
        """Records' word for what drives it."""
        return BACKENDS.get(self.device.partition("[")[0].rstrip("0123456789").lower(), UNKNOWN)


_Match = re.Match[str]
_NAME: Final = r"([^|\n]{1,200}?)"
_DRIVER: Final = re.compile(r" \([^()]{1,80}\)$")
_PAIR: Final = re.compile(r'(\w{1,20})=("[^"]{0,120}"|\S{1,120})')
_SIZE: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) GiB")
_MIB: Final = r"([0-9]{1,9}) MiB"


def _used(match: _Match) -> IntroducedCard:
    return IntroducedCard(
        device=match[1], name=match[2], free_bytes=int(match[3]) * MIB, is_used=True
    )


def _listed(match: _Match) -> IntroducedCard:
    total, free = int(match[3]) * MIB, int(match[4]) * MIB
    return IntroducedCard(device=match[1], name=match[2], total_bytes=total, free_bytes=free)


def _of_cuda(match: _Match) -> IntroducedCard:
    """HIP prints CUDA's line: the chip tells, or its maker."""
    is_amd = "gfx" in match[3] or "AMD" in match[2] or "Radeon" in match[2]
    total = int(match[4]) * MIB if match[4] else None
    device = f"{'ROCm' if is_amd else 'CUDA'}{match[1]}"
    return IntroducedCard(device=device, name=match[2], total_bytes=total)


def _of_vulkan(match: _Match) -> IntroducedCard:
    return IntroducedCard(device=f"Vulkan{match[1]}", name=_DRIVER.sub("", match[2].strip()))


def _of_sycl(match: _Match) -> IntroducedCard:
    return IntroducedCard(device=f"SYCL{match[1]}", name=match[2])


def _of_metal(match: _Match) -> IntroducedCard | None:
    name = match["name"] or match["alone"]
    return IntroducedCard(device=match["id"] or "Metal", name=name) if name else None


def _of_opencl(match: _Match) -> IntroducedCard:
    return IntroducedCard(device="GPUOpenCL", name=match[1])


def _named(match: _Match) -> IntroducedCard:
    return IntroducedCard(device=match[1], name=match[2])


def _of_ollama(match: _Match) -> IntroducedCard:
    said = {key: value.strip('"') for key, value in _PAIR.findall(match[0])}
    sizes = (_SIZE.match(said.get(key, "")) for key in ("total", "available"))
    total, free = (round(float(size[1]) * GIB) if size else None for size in sizes)
    kinds = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "metal": "Metal"}
    device, name = f"{kinds.get(said['library'].lower(), 'GPU')}0", said.get("name")
    if name and name[-1].isdigit() and name.rstrip("0123456789").lower() in BACKENDS:
        device, name = name, said.get("description")
    return IntroducedCard(device=device, name=name, total_bytes=total, free_bytes=free)


_INTRODUCTIONS: Final[tuple[tuple[str, Callable[[_Match], IntroducedCard | None]], ...]] = (
    (
        r"using device (\w{1,40}|RPC\w{0,4}\[\S{1,60}\]) \("
        + _NAME
        + r"\)(?: \([^()]{1,40}\))? - "
        + _MIB
        + " free",
        _used,
    ),
    (r"\b([A-Za-z]{2,9}[0-9]{1,3}) {0,8}: " + _NAME + rf" \({_MIB}, {_MIB} free\)", _listed),
    (
        r"\bDevice ([0-9]{1,3}): " + _NAME + r", (compute capability|gfx|VMM)"
        r"(?:.{0,120}, VRAM: ([0-9]{1,9}) MiB)?",
        _of_cuda,
    ),
    (
        r"(?:ggml_vulkan: |\bVulkan)([0-9]{1,3})(?: =|:) "
        + _NAME
        + r" \| (?:uma|fp16|bf16|warp size|int dot)\b",
        _of_vulkan,
    ),
    (
        r"\|\s{0,4}([0-9]{1,3})\s{0,4}\|\s{0,4}\[\w{1,20}:gpu:[0-9]{1,3}\]\s{0,4}\|\s{0,80}"
        + _NAME
        + r"\s{0,80}\|",
        _of_sycl,
    ),
    (
        r"ggml_metal\w{0,40}: (?:found device|picking default device|GPU name):\s{1,8}"
        r"(?:(?P<id>MTL[0-9]{1,3})(?: \((?P<name>.{1,120})\))?|(?P<alone>.{1,120}?))\s{0,8}$",
        _of_metal,
    ),
    (r"ggml_opencl: (?:selecting|selected|default)?\s?device: '([^']{1,120})'", _of_opencl),
    (r"breakdown.{0,20} - ([A-Za-z]{2,8}[0-9]{1,2}) \(" + _NAME + r"\)(?: {0,80}\||:)", _named),
    (r"inference compute.{0,200} library=(?!cpu)\w{1,16}.{0,900}", _of_ollama),
)
_PATTERNS: Final = tuple((re.compile(pattern), read) for pattern, read in _INTRODUCTIONS)


def introduced_card(line: str) -> IntroducedCard | None:
    """The card that the line introduces, None where it introduces none."""
    if not any(hint in line for hint in HINTS):
        return None
    for pattern, read in _PATTERNS:
        if match := pattern.search(line):
            return read(match)
    return None
