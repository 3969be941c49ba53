"""The next step after a failure, from the log alone.

Apart from the classification because it is prose and arithmetic on sizes, not detection. It names
what was refused and, where the log tells what was free and what had been placed, how many MiB were
short; it names a knob only where it bears on the context that failed and the log supports it. What
would have fitted takes an estimate; that is added above this layer.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from oomph.frozen import frozen
from oomph.measure.logs.exit_codes import ending_of, logged_ending
from oomph.measure.logs.failures import Sign, sign_of
from oomph.measure.logs.lines import DECIMAL, WHOLE
from oomph.measure.logs.progress import shows_work
from oomph.measure.logs.reported import logged_knobs, read_buffer
from oomph.measure.logs.steps import CASES, STEPS, Step
from oomph.records.device_lines import introduced_card
from oomph.units import MIB, count

_ASKED_MIB: Final = re.compile(
    "allocating " + DECIMAL + r" MiB on device ([0-9]{1,3}): (\w{1,40}) failed"
)
_ASKED_BYTES: Final = re.compile(
    r"failed to allocate (?:(\w{1,40}(?:\[\S{1,60}\])?) )?buffer of size "
    + WHOLE
    + "|[Mm]emory allocation of size "
    + WHOLE
    + " failed|can't allocate "
    + WHOLE
    + " Bytes"
)
_ASKED_BUFFER_MIB: Final = re.compile(r"failed to allocate buffer, size = {1,8}" + DECIMAL + " MiB")
_CAPPED: Final = re.compile(r"slot context \(([0-9]{1,12})\) exceeds .{1,80}\(([0-9]{1,12})\)")
ILLEGAL_INSTRUCTION: Final = (
    "an instruction that this processor did not take: llama.cpp was built for another one, or for "
    "AMX by GCC 12, which leaves its tiles unset; build it again here, with -mno-amx-tile "
    "-mno-amx-int8 in CFLAGS and CXXFLAGS for AMX"
)
"""What a death by SIGILL means: nothing is in the log, since no code of llama.cpp ran at the end.
"""
_SIGILL_CODES: Final = frozenset({-4, 132})


@frozen
class Refusal:
    """The allocation that failed: how much was asked of which device, and how much more than it had
    was asked.

    `short_mib` is None where the log does not tell what the card had free and what was placed on it
    before.
    """

    asked_mib: float
    device: str | None
    short_mib: float | None = None


@frozen
class Clues:
    """What the advice may rest on: the label, the stage, the line that decided it, the context and
    backend it was about, and the log itself. `is_familiar` says whether any line is one of
    llama.cpp's or its neighbours'."""

    outcome: str
    stage: str | None
    line: str
    context: str | None
    backend: str
    exit_code: int | None
    waits: bool
    is_familiar: bool
    lines: Sequence[str]

    def say(self, pattern: str) -> bool:
        """Whether a line of the log says `pattern`."""
        return any(re.search(pattern, line) for line in self.lines)


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


def _asked(line: str) -> tuple[float, str | None] | None:
    if match := _ASKED_MIB.search(line):
        return float(match[1]), f"{'ROCm' if match[3].startswith('hip') else 'CUDA'}{match[2]}"
    if match := _ASKED_BYTES.search(line):
        return int(match[2] or match[3] or match[4]) / MIB, match[1]
    if match := _ASKED_BUFFER_MIB.search(line):
        return float(match[1]), None
    return None


def _short_mib(before: Iterable[str], asked_mib: float, device: str | None) -> float | None:
    """What was asked less what was left: free at the start minus the buffers placed since."""
    free: float | None = None
    for line in before:
        if (card := introduced_card(line)) and card.is_used and card.device == device:
            free = (card.free_bytes or 0) / MIB
        elif free is not None and (placed := read_buffer(line)) and placed[1] == device:
            free -= placed[2]
    return asked_mib - free if free is not None and asked_mib > free else None


_UNTOLD: Final = (
    "a card's memory was refused and the log does not tell what for, most often weights: give the "
    "lines before it too; fewer layers on the card (n_gpu_layers) or a smaller n_ctx take less"
)
_WORDS: Final = {
    "cuda": r"CUDA|cuda|NVIDIA|nvidia|NVRM|Xid|cublas|CUBLAS",
    "rocm": r"ROCm|HIP|\bhip[A-Z]|rocBLAS|amdhip|amdgpu|HSA_|HW Exception|access fault by GPU",
    "vulkan": r"[Vv]ulkan|\bvk::|ErrorDeviceLost",
    "sycl": r"SYCL|sycl|UR_RESULT|level_zero",
    "metal": r"[Mm]etal|kIOGPU|MTL",
    "opencl": r"opencl|OpenCL|\bCL_",
    "rpc": r"\bRPC\b|rpc_|\brpc\b",
}
_MOE: Final = r"n_expert_used {1,40}= {1,40}[1-9]|_exps\b|expert_used_count"
_SPLIT_TENSOR: Final = r"split[_-]mode[ =:]{0,3}tensor|-sm tensor|Meta\(|SPLIT_MODE_TENSOR"


def advise(clues: Clues, refusal: Refusal | None) -> str:
    """One sentence on what to do, with the MiB that were refused where the log gives them."""
    step = _step(clues)
    if clues.waits:
        step = f"it waits: the server runs, and the next image needs this memory again; {step}"
    if refusal is None:
        return step
    where = f" on {refusal.device}" if refusal.device else ""
    if refusal.short_mib is not None:
        return (
            f"{refusal.short_mib:,.0f} MiB short{where} ({refusal.asked_mib:,.0f} MiB were asked "
            f"for): {step}"
        )
    return f"{refusal.asked_mib:,.0f} MiB were refused{where}: {step}"


def _step(clues: Clues) -> str:
    if clues.outcome == "unknown":
        return _unknown(clues)
    if clues.outcome == "not_an_error":
        return _harmless(clues)
    if clues.outcome == "crash" and clues.exit_code in _SIGILL_CODES:
        return ILLEGAL_INSTRUCTION
    if clues.outcome == "bad_config" and re.search(r"obj_new|memory pool", clues.line):
        return _graph_too_large(clues)
    if clues.outcome == "oom_weights" and clues.stage is None and not clues.context:
        return _UNTOLD
    if clues.outcome == "bad_model" and sign_of(clues.line) is Sign.LOAD_FAILED:
        return "the load failed and the log does not say why: give the lines before it too"
    step = next((case.text for case in CASES if _fits(case, clues)), "") or _general(clues)
    code = logged_ending(clues.line) if clues.exit_code is None else clues.exit_code
    ending = ending_of(code) if code is not None else None
    if clues.outcome in ("crash", "killed", "driver_missing") and ending:
        return f"{ending.text}; {step}"
    return step


def _general(clues: Clues) -> str:
    """The step for the outcome, without the knobs that the log shows to be so already."""
    knobs = logged_knobs(clues.lines)
    is_fused, is_small = knobs.get("flash_attn") == "on", knobs.get("type_k", "f16") != "f16"
    if clues.outcome == "oom_compute" and is_fused:
        return "take a smaller n_ubatch"
    if clues.outcome == "oom_runtime" and is_fused:
        return STEPS["oom_runtime"].replace(", or turn flash attention on,", "")
    if clues.outcome == "oom_kv" and is_small:
        return "take a smaller n_ctx, or smaller types for type_k and type_v"
    return STEPS[clues.outcome]


def _fits(case: Step, clues: Clues) -> bool:
    return (
        case.outcome == clues.outcome
        and case.context in ("", clues.context)
        and re.search(case.line, clues.line) is not None
        and case.backend in ("", _named_backend(clues))
    )


def _named_backend(clues: Clues) -> str:
    """The backend that the deciding line speaks of, else that of the log."""
    named = (backend for backend, words in _WORDS.items() if re.search(words, clues.line))
    return next(named, clues.backend)


def _graph_too_large(clues: Clues) -> str:
    """`GGML_ASSERT(obj_new)`: whose fault it is depends on what else the log shows."""
    step = "llama.cpp made too little room for its own graph, which is no want of memory: "
    if clues.say(_SPLIT_TENSOR):
        return step + "with --split-mode tensor take --split-mode layer, or a newer build"
    if clues.say(_MOE):
        return step + "if n_expert_used was raised, take fewer active experts; else a newer build"
    return (
        step + "seen with --split-mode tensor (then take --split-mode layer) and with more active "
        "experts than the model's own; the log shows neither, so take a newer build first"
    )


def _harmless(clues: Clues) -> str:
    for line in clues.lines:
        if match := _CAPPED.search(line):
            asked, taken = int(match[1]), int(match[2])
            return (
                f"nothing failed, and the context was capped: {count(asked)} tokens were asked for "
                f"and each slot has {count(taken)}, the model's own; for more, extend it with "
                "--rope-scaling yarn"
            )
    if any(map(shows_work, clues.lines)):
        if any(sign_of(line) is Sign.NO_CARD for line in clues.lines):
            return (
                "the program worked without the card that its lines say was not found: if it was "
                f"to use one, {STEPS['driver_missing'].partition(': ')[2]}"
            )
        return "nothing to mend: these lines sound alarming, and the program worked all the same"
    return (
        "nothing to mend in these lines: they sound alarming and are known to be harmless; whether "
        "the program worked, the log does not show"
    )


def _unknown(clues: Clues) -> str:
    if not clues.is_familiar:
        return (
            "no line of this is llama.cpp's, or of a program around it: give the program's whole "
            "output, stderr too (program … 2>&1 | tee run.log)"
        )
    if any(map(shows_work, clues.lines)):
        return (
            "it worked, and then printed lines that sound like a failure and are not known here: "
            "read those above"
        )
    if clues.say(r"compute buffer size"):
        return (
            "the model was loaded, and the log ends before it shows that the program worked or how "
            "it ended: add --exit-code, or give the rest of the log"
        )
    return (
        "the log shows neither that the program worked nor a failure that is known here: read the "
        "lines above if there are any, add --exit-code, or give the whole log"
    )
