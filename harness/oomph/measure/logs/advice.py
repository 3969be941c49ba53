"""The next step after a failure, from the log alone.

Apart from the classification because it is prose and arithmetic on sizes, not detection. It names
what was refused and, where the log tells what was free and what had been placed, how many MiB were
short. What would have fitted takes an estimate; that is added above this layer.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from oomph.measure.logs.lines import DECIMAL, WHOLE
from oomph.units import MIB

_ASKED_MIB: Final = re.compile(
    "allocating " + DECIMAL + r" MiB on device ([0-9]{1,3}): \w{1,40} failed"
)
_ASKED_BYTES: Final = re.compile(
    r"failed to allocate (?:(\w{1,40}) )?buffer of size "
    + WHOLE
    + "|[Mm]emory allocation of size "
    + WHOLE
    + " failed"
)
_FREE: Final = re.compile(
    r"using device ((?:CUDA|ROCm|Vulkan)[0-9]{1,3}) .{1,400} - " + WHOLE + " MiB free"
)
_PLACED: Final = re.compile(
    r"((?:CUDA|ROCm|Vulkan)[0-9]{1,3}) (?:model|KV|RS|compute|output) buffer size {0,40}=? {0,40}"
    + DECIMAL
    + " MiB"
)


ILLEGAL_INSTRUCTION: Final = (
    "an instruction that this processor did not take: llama.cpp was built for another one, or for "
    "AMX by GCC 12, which leaves its tiles unset; build it again here, with -mno-amx-tile "
    "-mno-amx-int8 in CFLAGS and CXXFLAGS for AMX"
)
"""What a death by SIGILL means: nothing is in the log, since no code of llama.cpp ran at the end.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The allocation that failed: how much was asked of which device, and how much more than it had
    was asked.

    `short_mib` is None where the log does not tell what the card had free and what was placed on it
    before.
    """

    asked_mib: float
    device: str | None
    short_mib: float | None = None


def find_refusal(lines: Sequence[str]) -> Refusal | None:
    """The last allocation that the log says was refused, None where it gives no size."""
    for index in range(len(lines) - 1, -1, -1):
        asked = _asked(lines[index])
        if asked is not None:
            mib, device = asked
            return Refusal(
                asked_mib=mib, device=device, short_mib=_short_mib(lines[:index], mib, device)
            )
    return None


def free_bytes(lines: Iterable[str]) -> int | None:
    """What the first card had free when the model was loaded, None where the log does not say."""
    return next((int(match[2]) * MIB for line in lines if (match := _FREE.search(line))), None)


def _asked(line: str) -> tuple[float, str | None] | None:
    if match := _ASKED_MIB.search(line):
        return float(match[1]), f"CUDA{match[2]}"
    if match := _ASKED_BYTES.search(line):
        return int(match[2] or match[3]) / MIB, match[1]
    return None


def _short_mib(before: Iterable[str], asked_mib: float, device: str | None) -> float | None:
    """What was asked less what was left: free at the start minus the buffers placed since."""
    free: float | None = None
    for line in before:
        if (match := _FREE.search(line)) and match[1] == device:
            free = float(match[2])
        elif (match := _PLACED.search(line)) and match[1] == device and free is not None:
            free -= float(match[2])
    return asked_mib - free if free is not None and asked_mib > free else None


_STEPS: Final[dict[str, str]] = {
    "ok": "nothing to mend",
    "not_an_error": "nothing to mend: these lines sound alarming, and the program ran on",
    "oom_weights": "put fewer layers on the card (n_gpu_layers), or the experts of some layers on "
    "the CPU (n_cpu_moe), "
    "or take a smaller quantization",
    "oom_kv": "take a smaller n_ctx, or type_k and type_v q8_0 with flash attention, which nearly "
    "halves the KV cache",
    "oom_compute": "take a smaller n_ubatch, or turn flash attention on: without it this buffer "
    "grows with n_ctx",
    "oom_runtime": "leave a reserve: it loaded, and the run needed more; lower n_ctx or n_ubatch, "
    "or turn flash "
    "attention on, and prove it at the fill you need",
    "host_oom": "the host's memory was exceeded, not the card's: keep mmap on, put more layers on "
    "the card, or raise "
    "the container's memory limit",
    "device_lost": "the card stopped answering: read `dmesg | grep -i xid`, cool it or lower its "
    "power limit, "
    "reset it, and run the point again",
    "driver_missing": "the program found no usable card: check `nvidia-smi`, and that the build "
    "is for this card's "
    "compute capability and this driver's CUDA version",
    "bad_model": "the file cannot be loaded by this build: check its size and hash against the "
    "source, or take a newer "
    "llama.cpp",
    "bad_config": "change the knob that the evidence names",
    "timeout": "give it more time, or measure less (fewer tokens, a smaller depth)",
    "killed": "somebody outside ended it, which says nothing of its configuration: run it again; "
    "`dmesg | grep -i oom` "
    "tells whether the kernel did it for want of memory",
    "crash": "the log does not say why: run it again with verbose output and GGML_NO_BACKTRACE=1",
}
_CASES: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "bad_config",
        r"[Vv] cache|V.*cache",
        "turn flash attention on (flash_attn = on), or keep type_v at f16",
    ),
    (
        "bad_config",
        r"obj_new|memory pool",
        "take fewer active experts: the graph has too many nodes for llama.cpp",
    ),
    ("bad_config", r"n_expert_used", "n_expert_used must not exceed the model's n_expert"),
    ("bad_config", r"available context|exceed", "raise n_ctx, or send a shorter prompt"),
    (
        "bad_config",
        r"already in use|bind",
        "another program holds the port: end it, or choose another",
    ),
    (
        "bad_model",
        r"unknown model architecture|pre-tokenizer",
        "this build is older than the model: take a newer one",
    ),
    (
        "bad_model",
        r"73726576",
        "the file is a Git LFS pointer, not the model: fetch it with `git lfs pull`",
    ),
    (
        "bad_model",
        r"67676a74|67676d66|too old|no longer",
        "the file is older than GGUF: fetch it as GGUF",
    ),
    (
        "bad_model",
        r"file bounds|truncated|end of file|incomplete",
        "the download is incomplete: fetch the file again",
    ),
    (
        "bad_model",
        r"[Nn]o such file|does not exist|failed to open",
        "the path names no file: check it",
    ),
    (
        "driver_missing",
        r"no kernel image|device code|device function",
        "this build has no code for this card: take one that lists its compute capability",
    ),
    (
        "driver_missing",
        r"insufficient|toolchain|unsupported display",
        "the driver is older than the CUDA runtime: update it",
    ),
    (
        "crash",
        r"context",
        "making the context failed and the cause was not logged: run again with verbose=True",
    ),
)


def advise(label: str, deciding_line: str, refusal: Refusal | None) -> str:
    """One sentence on what to do about `label`, with the MiB that were refused where the log gives
    them."""
    step = next(
        (
            text
            for case, pattern, text in _CASES
            if case == label and re.search(pattern, deciding_line)
        ),
        _STEPS[label],
    )
    if refusal is None:
        return step
    where = f" on {refusal.device}" if refusal.device else ""
    if refusal.short_mib is not None:
        return (
            f"{refusal.short_mib:,.0f} MiB short{where} ({refusal.asked_mib:,.0f} MiB were asked "
            f"for): {step}"
        )
    return f"{refusal.asked_mib:,.0f} MiB were refused{where}: {step}"
