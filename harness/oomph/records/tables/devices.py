"""Where a table ran, by the lines above it: lists of devices, the one chosen, the build.

Each backend prints its own kind of line (ggml-cuda.cu, ggml-vulkan.cpp, ggml-sycl.cpp,
ggml-metal-device.m, ggml-opencl.cpp, llama.cpp's `using device`). A list holds until the next one
begins: the nearest above a row counts.
"""

import re
from typing import Any, Final

from oomph.records.tables.found import NOTHING, Around

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
_HINTS: Final = (
    "evice",
    "ggml_vulkan",
    "Vulkan0",
    "GPU name",
    "level_zero",
    "[opencl",
    "MiB free",
    "build",
    "n_kv_max",
    "llama-",
)
"""A line without any of these says nothing of this."""
_FOUND: Final = re.compile(
    r"\b[Ff]ound ([0-9]{1,3}) (CUDA|ROCm|HIP|MUSA|Vulkan|SYCL|CANN|OpenCL|Metal) devices"
)
_CUDA: Final = re.compile(
    r"\bDevice ([0-9]{1,3}): (.{1,200}?), (?:compute capability|(gfx[0-9a-f]{1,8}))"
)
_VULKAN: Final = re.compile(
    r"(?:ggml_vulkan: |\bVulkan)([0-9]{1,3})(?: =|:) ([^|]{1,200}?) \| "
    r"(?:uma|fp16|bf16|warp size|int dot)\b"
)
_DRIVER: Final = re.compile(r" \([^()]{1,80}\)$")
_SYCL: Final = re.compile(
    r"\|\s{0,4}([0-9]{1,3})\s{0,4}\|\s{0,4}\[(?:level_zero|opencl|cuda|hip):(\w{1,8}):[0-9]{1,3}\]"
    r"\s{0,4}\|\s{0,80}([^|]{1,120}?)\s{0,80}\|"
)
_METAL: Final = re.compile(
    r"ggml_metal\w{0,40}: (?:found device|picking default device|GPU name):\s{1,8}(.{1,120})$"
)
_METAL_NAME: Final = re.compile(r"MTL[0-9]{1,3}(?: \((.{1,120})\))?$")
_OPENCL: Final = re.compile(
    r"ggml_opencl: (?:selecting|selected|default)?\s?device: '([^']{1,120})'"
)
_LISTED: Final = re.compile(
    r"\b(CUDA|ROCm|Vulkan|SYCL|MTL|CANN|GPUOpenCL)([0-9]{1,3})\s{0,8}: (.{1,200}?) "
    r"\([0-9]{1,9} MiB, [0-9]{1,9} MiB free\)"
)
_USED: Final = re.compile(
    r"using device (CUDA|ROCm|Vulkan|SYCL|Metal|MTL|CANN|MUSA|GPUOpenCL|RPC)[0-9]{0,3}\S{0,80} "
    r"\((.{1,200}?)\)(?: \([0-9a-f:.]{4,20}\)| \(unknown id\))? - [0-9]{1,9} MiB free"
)
_BUILD_ABOVE: Final = re.compile(
    r"\bbuild:? (?:= )?b?([0-9]{1,9}) \(([0-9a-f]{6,40})\)(?: with |$)"
)
_BUILD_BELOW: Final = re.compile(r"(?:^|\s)build: ([0-9a-z]{1,64}) \(([0-9]{1,9})\)")
_CONTEXT: Final = re.compile(r"\bn_kv_max = [0-9]")
_COMMAND: Final = re.compile(r"\bllama-(?:bench|sweep-bench|batched-bench)(?:\.exe)?[\"']? -")
_REMOTE: Final = re.compile(r"\s--?rpc[ =]")
_KNOB: Final = re.compile(r"\b([a-z_]{1,24}) = (-?[0-9]{1,12})\b")
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
        elif match := _USED.search(line):
            self._renew()
            self._used.append((BACKENDS[match[1].lower()], match[2]))
        elif match := _CUDA.search(line):
            self._add(self._cuda_word(match[2], match[3]), int(match[1]), match[2])
        elif match := _VULKAN.search(line):
            self._add("vulkan", int(match[1]), _DRIVER.sub("", match[2].strip()))
        elif match := _SYCL.search(line):
            if match[2] == "gpu":
                self._add("sycl", int(match[1]), match[3])
        elif match := _LISTED.search(line):
            self._add(BACKENDS[match[1].lower()], int(match[2]), match[3])
        elif match := _METAL.search(line):
            self._take_metal(match[1].strip())
        elif match := _OPENCL.search(line):
            self._add("opencl", 0, match[1])
        else:
            return False
        return True

    def _take_metal(self, name: str) -> None:
        numbered = _METAL_NAME.match(name)
        card = (numbered[1] if numbered else name) or ""
        if card and self._devices.get("metal") != [card]:
            self._add("metal", 0, card)

    def _cuda_word(self, name: str, gfx: str | None) -> str:
        """HIP and MUSA print the lines of CUDA: their list's head, or the chip, tells."""
        if self._open in ("cuda", "rocm", "musa"):
            return self._open
        return "rocm" if gfx or "AMD" in name or "Radeon" in name else "cuda"

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
