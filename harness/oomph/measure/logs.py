"""What llama.cpp reports in its log: buffer sizes, and the knobs as it took them.

Stands apart from `outcome`, which reads the same lines for how a run ended. An override counts only
when llama.cpp says it back, because it ignores a key that it does not know without a word;
`disagreement` holds the two together.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from oomph.config import CONTEXT_STEP, KNOBS, RunConfig, knob_value
from oomph.records.schema import Buffers, Reported

_STAMP: Final = r"^(?:[\d.]+ [A-Z] )?"  # some builds of 2026 put time and level before each line
_BUFFERS: Final = {
    "model_mib": re.compile(r"(\S+) model buffer size = +([\d.]+) MiB"),
    "kv_cache_mib": re.compile(r"(\S+) KV buffer size = +([\d.]+) MiB"),
    "recurrent_mib": re.compile(r"(\S+) RS buffer size = +([\d.]+) MiB"),
    "compute_mib": re.compile(r"(\S+) compute buffer size = +([\d.]+) MiB"),
    "compute_grown_mib": re.compile(r"(\S+) compute buffer size of +([\d.]+) MiB, does not match"),
    "output_mib": re.compile(r"(\S+) +output buffer size = +([\d.]+) MiB"),
}
_NUMBERS: Final = {
    "n_ctx_seq": re.compile(_STAMP + r"llama_context: n_ctx_seq += +(\d+)"),
    "n_expert_used": re.compile(r"print_info: n_expert_used += +(\d+)"),
    "graph_nodes": re.compile(r"graph[^:]*: nodes = (\d+)"),
    "graph_splits": re.compile(r"graph[^:]*: .*splits = (\d+)"),
}
_KNOB: Final = re.compile(_STAMP + r"llama_context: (\w+) += +(\w+)")
_LOGGED: Final = frozenset(name for name, knob in KNOBS.items() if knob.is_logged)
_FREQ_SCALE: Final = re.compile(_STAMP + r"llama_context: freq_scale += +([\d.e+-]+)")
_KV_TYPES: Final = re.compile(r"K \((\w+)\): .*V \((\w+)\):")
_FLASH_ATTN: Final = re.compile(
    r"Flash Attention (enabled|disabled|was auto, set to \w+)|flash_attn += (\w+)"
)
_FLASH_WORDS: Final = {"enabled": "on", "1": "on", "disabled": "off", "0": "off"}
_OFFLOADED: Final = re.compile(r"offloaded (\d+/\d+) layers to GPU")
_PRINTED: Final = 1e-4
"""How far a figure may be off that was printed with six digits."""


def read_buffers(lines: Sequence[str]) -> Buffers:
    """The buffer lines, by kind and device, in MiB as printed; a size of 0 is printed for what is
    not there."""
    kinds: dict[str, dict[str, list[float]]] = {kind: {} for kind in _BUFFERS}
    for line in lines:
        if "buffer size" not in line:
            continue
        for kind, pattern in _BUFFERS.items():
            if match := pattern.search(line):
                kinds[kind].setdefault(match[1], []).append(float(match[2]))
                break
    return Buffers(**kinds)


def read_knobs(lines: Sequence[str]) -> dict[str, Any]:
    """The knobs of a context as llama.cpp takes them, by RunConfig's names; of what it says twice
    the last counts."""
    said = [match for line in lines if (match := _KNOB.search(line))]
    return {match[1]: knob_value(match[1], match[2]) for match in said if match[1] in _LOGGED}


def logged_knobs(lines: Sequence[str]) -> dict[str, Any]:
    """All knobs that a log tells, by RunConfig's names, as llama.cpp takes them."""
    knobs, reported = read_knobs(lines), read_reported(lines)
    for name in ("n_expert_used", "type_k", "type_v"):
        if value := getattr(reported, name):  # a dense model has 0 experts
            knobs[name] = value
    if reported.flash_attn in _FLASH_WORDS:
        knobs["flash_attn"] = _FLASH_WORDS[reported.flash_attn]
    return knobs


def read_reported(lines: Sequence[str]) -> Reported:
    """The knobs as llama.cpp reported them back; of what it says twice the last counts."""
    known = Reported.model_fields.keys()
    found = {name: value for name, value in read_knobs(lines).items() if name in known}
    for line in lines:
        for key, pattern in _NUMBERS.items():
            if match := pattern.search(line):
                found[key] = int(match[1])
        if match := _FREQ_SCALE.search(line):
            found["rope_freq_scale"] = float(match[1])
        if match := _KV_TYPES.search(line):
            found["type_k"], found["type_v"] = match[1], match[2]
        if match := _OFFLOADED.search(line):
            found["offloaded_layers"] = match[1]
        if match := _FLASH_ATTN.search(line):
            found["flash_attn"] = (match[1] or match[2]).split()[-1]
    return Reported(**found)


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
