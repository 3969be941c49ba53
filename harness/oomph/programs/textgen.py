"""text-generation-webui's words as knobs: of its command line, or of CMD_FLAGS.txt."""

from collections.abc import Mapping, Sequence
from typing import Final

from oomph.programs.flags import by_spelling
from oomph.programs.llama import normalized, read_llama
from oomph.programs.pasted import Collected
from oomph.programs.shell import read_commands

_OWN: Final[Mapping[str, str]] = {
    "--n-ctx": "--ctx-size",
    "--max-seq-len": "--ctx-size",
    "--draft-max": "--spec-draft-n-max",
    "--gpu-layers-draft": "--spec-draft-ngl",
}
"""Its names of llama-server's flags, where it has others (modules/shared.py)."""
_SWITCHES: Final = (
    "--streaming-llm", "--no-mmap", "--mlock", "--cpu-moe", "--no-kv-offload", "--listen", "--api",
    "--verbose", "--auto-launch", "--nowebui", "--trust-remote-code", "--ik", "--multi-user",
    "--share", "--row-split", "--cpu", "--portable",
)  # fmt: skip
_IDLE: Final = (
    "--loader", "--settings", "--listen-host", "--listen-port", "--api-port", "--api-key",
    "--admin-key", "--lora-dir", "--user-data-dir", "--extensions", "--gradio-auth",
    "--chat-buttons", "--character", "--subpath", "--api-enable-ipv6", "--idle-timeout",
    "--compute-dtype", "--ssl-keyfile", "--ssl-certfile", "--model-menu",
)  # fmt: skip
_KEPT: Final = ("--model-dir", "--model", "--cache-type")
_UNSET: Final = (("--ctx-size", "0"), ("--threads", "0"), ("--threads-batch", "0"))
"""What it leaves out when it starts llama-server."""
_CONTEXT: Final = 8192
"""Its context where layers are counted and nothing is said (modules/llama_cpp_server.py)."""
_MARKS: Final = ("--loader", "--model-dir", "--extra-flags", "--cache-type", "--streaming-llm")
"""Flags that only it has, by which its file of flags is known."""


def is_textgen(words: Sequence[str]) -> bool:
    """Whether these flags, of a program that nobody named, are its."""
    return any(normalized(word.partition("=")[0]) in _MARKS for word in words)


def read_textgen(words: Sequence[str], environment: Mapping[str, str], into: Collected) -> None:
    """Put what its flags say into `into`; what it hands on to llama-server is read as that."""
    rest, handed, own = list(words), list[str](), dict[str, str]()
    while rest:
        name, equals, glued = rest.pop(0).partition("=")
        name = normalized(name)
        name = _OWN.get(name, name)
        if name in _SWITCHES:
            handed += _switched(name, into)
            continue
        has_value = bool(rest) and (name == "--extra-flags" or not _is_flag(rest[0]))
        value = glued if equals else rest.pop(0) if has_value else ""
        if name in _KEPT:
            own[name] = value
        elif name == "--extra-flags":
            handed += _extra(value)
        elif name in by_spelling() and (name, value) not in _UNSET:
            handed += [name, value] if by_spelling()[name][0].value else [name]
        elif name in _IDLE:
            into.idle.append(name)
        else:
            into.add_unknown(f"{name} {value}".strip(), [*_OWN, *_SWITCHES, *_IDLE, *by_spelling()])
    _take(own, into)
    read_llama(handed, environment, into)
    if into.knobs.get("n_gpu_layers", -1) >= 0:
        into.knobs.setdefault("n_ctx", _CONTEXT)


def _take(own: Mapping[str, str], into: Collected) -> None:
    folder, model = own.get("--model-dir", ""), own.get("--model")
    if model:
        into.model = f"{folder.rstrip('/')}/{model}" if folder else model
    for knob in ("type_k", "type_v") if "--cache-type" in own else ():
        into.take(knob, own["--cache-type"], "--cache-type")


def _is_flag(word: str) -> bool:
    return word.startswith("--") or (word.startswith("-") and not word[1:2].isdigit())


def _switched(name: str, into: Collected) -> list[str]:
    """What a switch hands on."""
    match name:
        case "--streaming-llm":
            return ["--swa-full"]
        case "--row-split":
            return ["--split-mode", "row"]
        case "--cpu":
            return ["--device", "none"]
        case "--ik":
            into.add_unmodelled(name, "ik_llama.cpp, whose buffers differ")
            return []
        case "--cpu-moe" | "--no-kv-offload" | "--no-mmap" | "--mlock":
            return [name]
    into.idle.append(name)
    return []


def _extra(value: str) -> list[str]:
    """--extra-flags: as a command line, or in its older way `flag=value,flag2`."""
    if value.lstrip().startswith("-"):
        return [word for command in read_commands(value) for word in command.words]
    words = list[str]()
    for part in value.split(","):
        name, equals, given = part.partition("=")
        words += [f"--{name.strip()}", *([given] if equals else [])] if name.strip() else []
    return words
