"""What llama.cpp reports in its log: buffer sizes, and the knobs as it took them.

Stands apart from `outcome`, which reads the same lines for how a run ended. Its spellings since
2023, and those of ik_llama.cpp, are here in one table each. An override counts only
when llama.cpp says it back, because it ignores a key that it does not know without a word;
`disagreement` holds the two together.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from math import inf
from typing import Any, Final

from oomph.config import CONTEXT_STEP, KNOBS, RunConfig, knob_value
from oomph.errors import ConfigError
from oomph.measure.logs.lines import DECIMAL, NAME, WHOLE, as_lines
from oomph.measure.logs.progress import REMEMBERED
from oomph.records.schema import Buffers, Reported

_CONTEXT: Final = (
    r"(?<!\w)(?:llama_context|llama_new_context_with_model|llama_init_from_model"
    r"|llama_model_load_internal): {1,8}"
)
"""What llama.cpp has called the function that makes a context: since 2025, before, ik_llama.cpp to
this day, and in the middle of 2023."""
_MIB: Final = r" {0,40}[=:] {1,40}([0-9]{1,15}(?:[.,][0-9]{1,9})?) (?:MiB|MB)\b"
"""What llama.cpp called MB before November 2023 were MiB too; some locales write a comma."""
_DEVICE: Final = r"((?:(?<=: )[A-Z][^:=|\s]{0,40}(?: [^:=|\s]{1,40}){0,11}? )?\S{1,64})"
"""A device's name; ik_llama.cpp's Vulkan has the card's own, of several words, in its place."""
_BUFFERS: Final = {
    kind: re.compile(_DEVICE + r" {1,40}" + word + r" {0,40}buffer size" + _MIB)
    for kind, word in {
        "model_mib": "(?:model|LoRA)",
        "kv_cache_mib": "KV",
        "recurrent_mib": r"(?:RS|DSV4 \w{1,16} state)",
        "compute_mib": "compute",
        "output_mib": "output",
    }.items()
} | {
    "compute_grown_mib": re.compile(
        NAME + r" compute buffer size of {1,40}" + DECIMAL + " MiB, does not match"
    ),
}
_OTHER_BUFFERS: Final = (
    ("model_mib", None, re.compile(_DEVICE + r" {1,40}MoE cache size" + _MIB)),
    ("model_mib", None, re.compile(r"load_tensors: {1,40}" + _DEVICE + " buffer size" + _MIB)),
    ("model_mib", "CPU", re.compile(r"(?:mem required|system memory used)()" + _MIB)),
    ("model_mib", "GPU", re.compile(r"load_tensors: VRAM used()" + _MIB)),
    ("kv_cache_mib", "GPU", re.compile(r"VRAM kv self()" + _MIB)),
    ("compute_mib", "GPU", re.compile(r"VRAM scratch buffer()" + _MIB)),
    ("compute_mib", "CPU", re.compile(r"compute buffer total size()" + _MIB)),
)
"""A newer llama.cpp's cache of experts, which counts as weights; weights before November 2024, and
of ik_llama.cpp to this day; what llama.cpp printed before
December 2023, when it knew the host and one card without a name."""
_AGAIN: Final = re.compile(
    r"sched_reserve: reserving|flash attention not supported by .{1,80}memory usage will increase"
)
"""After adapters, or without the flash attention that was tried, a context reserves anew: its
compute buffers take the place of those before."""
_SELF: Final = re.compile(r"^llama_\w{1,40}: (?:kv|KV) self size" + _MIB)
"""The whole cache, on whichever device: of builds that print no line for each device alone."""
_NUMBERS: Final = {
    "n_ctx_seq": re.compile(_CONTEXT + r"n_ctx_(?:seq|per_seq) {1,40}= {1,40}" + WHOLE),
    "n_expert_used": re.compile(r"print_(?:info|meta): n_expert_used {1,40}= {1,40}" + WHOLE),
    "graph_nodes": re.compile(r"graph[^:]{0,80}: (?:graph )?nodes {1,4}= " + WHOLE),
    "graph_splits": re.compile(r"graph[^:]{0,80}: .{0,80}splits {1,4}= " + WHOLE),
}
_KNOB: Final = re.compile(_CONTEXT + r"(\w{1,40}) {0,40}= {1,40}(\w{1,16})(?![\w.])", re.ASCII)
_LOGGED: Final = frozenset(name for name, knob in KNOBS.items() if knob.is_logged)
_FREQ_SCALE: Final = re.compile(
    _CONTEXT + r"freq_scale {1,40}= {1,40}([0-9.e+-]{1,24})(?![0-9.e+-])"
)
_KV_TYPES: Final = re.compile(
    r"K \((\w{1,16})\): .{0,80}V \((\w{1,16})\):|type_k = '(\w{1,16})', type_v = '(\w{1,16})'"
)
_MLA_TYPE: Final = re.compile(r"c\^KV \((\w{1,16})\):")
"""ik_llama.cpp's one cache for K and V of latent attention."""
_CELLS: Final = re.compile(
    r"kv_size = " + WHOLE + r"|size = .{1,20} MiB \( {0,9}([0-9]{1,9}) cells"
)
_WINDOW: Final = re.compile(r"creating {1,12}(non-|)SWA KV cache, size = " + WHOLE + " cells")
_FLASH_ATTN: Final = re.compile(
    r"Flash Attention (enabled|disabled|was auto, set to \w{1,16})|flash_attn {1,40}= (\w{1,16})"
)
_FLASH_WORDS: Final = {"enabled": "on", "1": "on", "disabled": "off", "0": "off"}
_OFFLOADED: Final = re.compile(r"offloaded ([0-9]{1,9}/[0-9]{1,9}) layers to GPU")
_BUILD: Final = re.compile(r"\bbuild:? (?:= )?b?([0-9]{1,9}) \(([0-9a-f]{6,40})\)")
_PRINTED: Final = 1e-4
"""How far a figure may be off that was printed with six digits."""


def read_buffers(lines: Sequence[str]) -> Buffers:
    """The buffer lines, by kind and device, in MiB as printed; a size of 0 is printed for what is
    not there."""
    kinds: dict[str, dict[str, list[float]]] = {kind: {} for kind in _BUFFERS}
    whole_cache: list[float] = []
    for line in as_lines(lines):
        if _AGAIN.search(line):
            kinds["compute_mib"].clear()
        if "MiB" not in line and "MB" not in line:
            continue
        if found := read_buffer(line):
            kind, device, size_mib = found
            kinds[kind].setdefault(device, []).append(size_mib)
        elif match := _SELF.search(line):
            whole_cache.append(_mib(match[1]))
    if whole_cache and not kinds["kv_cache_mib"]:
        device = "GPU" if "GPU" in kinds["model_mib"] else "CPU"
        kinds["kv_cache_mib"][device] = whole_cache
    return Buffers(**kinds)


@lru_cache(REMEMBERED)
def read_buffer(line: str) -> tuple[str, str, float] | None:
    """The kind of buffer that a line tells, its device and its size in MiB; None where it tells
    none."""
    for kind, pattern in _BUFFERS.items():
        if match := pattern.search(line):
            return kind, match[1], _mib(match[2])
    for kind, device, pattern in _OTHER_BUFFERS:
        if match := pattern.search(line):
            return kind, device or match[1], _mib(match[2])
    return None


def _mib(text: str) -> float:
    return float(text.replace(",", "."))


def logged_build(lines: Sequence[str]) -> int | None:
    """The number of the build that printed the log, None where it does not say."""
    found = build_line(lines)
    return int(found[1]) if found else None


def build_line(lines: Sequence[str]) -> re.Match[str] | None:
    """The build's number and its commit, as groups 1 and 2."""
    return next((match for line in as_lines(lines) if (match := _BUILD.search(line))), None)


def build_commit(lines: Sequence[str]) -> str | None:
    """The commit of the build that printed the log, None where it does not say."""
    found = build_line(lines)
    return found[2] if found else None


def read_knobs(lines: Sequence[str]) -> dict[str, Any]:
    """The knobs of a context as llama.cpp takes them, by RunConfig's names; of what it says twice
    the last counts."""
    found: dict[str, Any] = {}
    for line in as_lines(lines):
        match = _KNOB.search(line)
        if match and match[1] in _LOGGED:
            with suppress(ConfigError):  # what it cannot be has not been said
                found[match[1]] = knob_value(match[1], match[2])
    return found


def logged_knobs(lines: Sequence[str]) -> dict[str, Any]:
    """All knobs that a log tells, by RunConfig's names, as llama.cpp takes them."""
    knobs, reported = read_knobs(lines), read_reported(lines)
    if "n_ctx" not in knobs and (n_cells := logged_cells(lines)):
        knobs["n_ctx"] = n_cells
    if (is_full := _has_full_windows(lines)) is not None:
        knobs["swa_full"] = is_full
    for name in ("n_expert_used", "type_k", "type_v"):
        value = getattr(reported, name)
        is_known = not KNOBS[name].choices or value in KNOBS[name].choices  # or a fork's own type
        if value and is_known:  # a dense model has 0 experts
            knobs[name] = value
    if reported.flash_attn in _FLASH_WORDS:
        knobs["flash_attn"] = _FLASH_WORDS[reported.flash_attn]
    if reported.offloaded_layers:
        on_cards, of = map(int, reported.offloaded_layers.split("/"))
        knobs["n_gpu_layers"] = -1 if on_cards == of else on_cards
    return knobs


def read_reported(lines: Sequence[str]) -> Reported:
    """The knobs as llama.cpp reported them back; of what it says twice the last counts."""
    known = Reported.model_fields.keys()
    found = {name: value for name, value in read_knobs(lines).items() if name in known}
    for line in as_lines(lines):
        for key, pattern in _NUMBERS.items():
            if match := pattern.search(line):
                found[key] = int(match[1])
        if match := _FREQ_SCALE.search(line):
            found["rope_freq_scale"] = _number(match[1])
        if match := _KV_TYPES.search(line):
            found["type_k"], found["type_v"] = match[1] or match[3], match[2] or match[4]
        elif match := _MLA_TYPE.search(line):
            found["type_k"] = match[1]
        if match := _OFFLOADED.search(line):
            found["offloaded_layers"] = match[1]
        if match := _FLASH_ATTN.search(line):
            found["flash_attn"] = (match[1] or match[2]).split()[-1]
    return Reported(**found)


def _has_full_windows(lines: Sequence[str]) -> bool | None:
    """Whether layers with a window keep the whole context: by the sizes of the two caches; None
    where the log does not tell them."""
    cells = {"": 0, "non-": 0}
    for line in as_lines(lines):
        if match := _WINDOW.search(line):
            cells[match[1]] = max(cells[match[1]], int(match[2]))
    return cells[""] == cells["non-"] if all(cells.values()) else None


def logged_cells(lines: Sequence[str]) -> int | None:
    """The cells of the largest KV cache, which are n_ctx of all sequences together where no layer
    has a window; None where the log does not tell them."""
    found = (match for line in as_lines(lines) if (match := _CELLS.search(line)))
    return max((int(match[1] or match[2]) for match in found), default=None)


def _number(text: str) -> float | None:
    """A positive number as printed; None where it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < inf else None


def disagreement(config: RunConfig, reported: Reported) -> str | None:
    """Why these figures are not those of `config`, as one sentence; None where llama.cpp took every
    override."""
    asked = {
        "n_expert_used": config.n_expert_used,
        "type_k": config.type_k,
        "type_v": config.type_v,
    }
    for key, wanted in asked.items():
        taken = getattr(reported, key)
        if wanted is not None and taken is not None and taken != wanted:
            return (
                f"{key} was set to {wanted} and llama.cpp reports {taken}: the override was not "
                "taken"
            )
    if config.n_expert_used is not None and reported.n_expert_used is None:
        return (
            "n_expert_used was set and llama.cpp did not report it back, so nothing shows that it "
            "was taken"
        )
    scale, reciprocal = config.rope_scale, reported.rope_freq_scale
    if scale is not None and (reciprocal is None or abs(reciprocal * scale - 1) > _PRINTED):
        return f"rope_scale was set to {scale:g} and llama.cpp reports a freq_scale of {reciprocal}"
    most = config.n_ctx + CONTEXT_STEP * config.n_seq_max
    if reported.n_ctx is not None and not config.n_ctx - config.n_seq_max < reported.n_ctx < most:
        return f"n_ctx was set to {config.n_ctx} and llama.cpp reports {reported.n_ctx}"
    return None
