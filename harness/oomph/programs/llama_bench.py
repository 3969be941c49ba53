"""llama-bench's words as knobs: of its tests, the one that takes the most memory."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from oomph.architectures.names import HF_USUAL
from oomph.config import KINDS, KNOBS, knob_value
from oomph.errors import ConfigError
from oomph.programs.flags import ON, by_spelling, knob_names
from oomph.programs.llama import normalized
from oomph.programs.pasted import WHERE, Collected, named_devices, shortened

_TESTS: Final = {
    "-p": "n_prompt",
    "--n-prompt": "n_prompt",
    "-n": "n_gen",
    "--n-gen": "n_gen",
    "-pg": "pair",
    "-d": "n_depth",
    "--n-depth": "n_depth",
}
_SWITCHES: Final = ("--progress", "--no-warmup", "-v", "--verbose", "--list-devices", "--offline")
_VALUED: Final = {
    "-r": "", "--repetitions": "", "-o": "", "--output": "", "-oe": "", "--output-err": "",
    "--delay": "", "--prio": "", "--numa": "",
    "-mmp": "mmap", "--mmap": "mmap", "-dio": "direct-io", "--direct-io": "direct-io",
    "-rpc": "rpc", "--no-host": "no-host", "--repack": "repack",
}  # fmt: skip
"""Flags that take a value here, each with llama-server's name of it where that has an effect."""
_ZERO_OR_ONE: Final = {
    "-nkvo": "offload_kqv",
    "--no-kv-offload": "offload_kqv",
    "-nopo": "op_offload",
    "--no-op-offload": "op_offload",
}
_EMBEDDINGS: Final = ("-embd", "--embeddings")
_RANGE: Final = re.compile(r"(\d+)-(\d+)(?:([+*])(\d+))?")
_MOST: Final = 4096


def read_llama_bench(words: Sequence[str], environment: Mapping[str, str], into: Collected) -> None:
    """Put what the words of llama-bench say into `into`; it reads no LLAMA_ARG_ variables."""
    tests, rest = dict[str, list[int]](), list(words)
    while rest:
        name, equals, glued = rest.pop(0).partition("=")
        name = normalized(name)
        if name in _SWITCHES:
            into.idle.append(name)
        elif not name.startswith("-"):
            into.add_unknown(name)
        else:
            value = glued if equals else rest.pop(0) if rest else ""
            _read(name, value, tests, into)
    n_depth = max(tests.get("n_depth", [0]))
    prompts, answers = tests.get("n_prompt", [512]), tests.get("n_gen", [128])
    longest = max([*prompts, *answers, *tests.get("pair", [])])
    if tests:
        into.take("n_ctx", max(longest, 1) + n_depth, "-p, -n, -pg, -d")
        into.take("n_depth", n_depth, "-d")


def _read(name: str, value: str, tests: dict[str, list[int]], into: Collected) -> None:
    flag, _ = by_spelling().get(name, (None, True))
    if test := _TESTS.get(name):
        found = [sum(_numbers(name, value))] if test == "pair" else _numbers(name, value)
        tests.setdefault(test, []).extend(found)
    elif knob := _ZERO_OR_ONE.get(name):
        into.take(knob, value.split(",")[0] in ("0", "off", "false"), name)
    elif name in _EMBEDDINGS:
        into.take("embeddings", any(each in ON for each in value.split(",")), name)
    elif name in _VALUED:
        effects = {each.name: each for each, _ in by_spelling().values()}
        other = effects.get(_VALUED[name])
        if other is None or value in ("0", "") or (_VALUED[name], value) == ("repack", "1"):
            into.idle.append(name)
        else:
            into.add_unmodelled(f"{name} {value}", other.effect)
    elif flag is None:
        into.add_unknown(f"{name} {value}".strip(), [*_TESTS, *_VALUED, *by_spelling()])
    elif flag.name in ("model", "hf-repo", "hf-file", "device"):
        _read_place(flag.name, value, into)
    elif (knob := knob_names().get(flag.name, "")) in _BENCHED:
        into.take(knob, _one(knob, name, value, into), name)
    elif flag.effect and value not in flag.idle:
        into.add_unmodelled(f"{name} {value}", flag.effect)
    else:
        into.idle.append(name)


_BENCHED: Final = tuple(name for name, knob in KNOBS.items() if knob.bench)


def _read_place(name: str, value: str, into: Collected) -> None:
    """The model, or the devices."""
    if name == "device":
        into.take("n_devices", 0 if value == "none" else len(value.split("/")), "-dev")
        into.devices = named_devices(value.split("/"))
        return
    first = value.split(",")[0]
    if name == "hf-file" and into.model:
        first = f"hf:{into.model.partition(':')[0]}/{first}"
    elif name == "hf-repo" and ":" not in first:
        first = f"{first}:{HF_USUAL}"
    into.model = first


def _one(knob: str, flag: str, value: str, into: Collected) -> Any:
    """Of several values the one that takes the most memory on the card, where that can be told."""
    if knob == "override_tensor":
        return value.split(",")[0].replace(";", ",")
    if knob == "tensor_split":
        return value.split(",")[0].replace("/", ",")
    parts = value.split(",")
    if KINDS[knob].startswith("int") and not {"-1", "all"} & set(parts):
        numbers = _numbers(flag, value)
        chosen: Any = min(numbers) if knob == "n_cpu_moe" else max(numbers)
        several = len(numbers) > 1
    else:
        values = [knob_value(knob, part) for part in parts]
        chosen, several = -1 if -1 in values else values[0], len(parts) > 1
    if several:
        into.notes.append(f"Of {flag} {shortened(value)} the answer is of {chosen}.")
    return chosen


def _numbers(flag: str, value: str) -> list[int]:
    """The numbers of a list with ranges such as 512, 1-8+1 or 256-4096*2 (parse_int_range)."""
    found = list[int]()
    for part in value.split(","):
        if match := _RANGE.fullmatch(part):
            low, last = int(match[1]), int(match[2])
            step = int(match[4] or 1)
            while low <= last and len(found) < _MOST:
                found.append(low)
                following = low * step if match[3] == "*" else low + step
                low = following if following > low else last + 1
        elif part.strip().isdecimal() and len(part) < 12:
            found.append(int(part))
        else:
            raise ConfigError(
                f"{WHERE}: {flag} {shortened(value)}: it takes whole numbers, such as 512,1024"
            )
    return found
