"""Whether two builds of ggml agree in what a backend that is a plug-in shares with its host.

ggml's own check at load compares GGML_BACKEND_API_VERSION, which has stayed 2 while the signature
of a backend's `graph_optimize` changed. So more is held against each other, of the libggml-base
that the backend was built with and of the one that it will meet: the numbers of operations,
activations, gated activations and tensor types, the sizes of a tensor and of a graph, and every
symbol that the backend imports.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from oomph.cuda.elf import read_elf
from oomph.errors import ToolchainError
from oomph.frozen import frozen

_ASK: Final = r"""
import ctypes, json, re, sys
library = ctypes.CDLL(sys.argv[1])
maps = [line.split()[0] for line in open("/proc/self/maps") if "libggml-base" in line]
ranges = [[int(end, 16) for end in span.split("-")] for span in maps]
def ask(function, kind, *arguments):
    call = getattr(library, function)
    call.restype, call.argtypes = kind, [ctypes.c_int] * len(arguments)
    return call(*arguments)
def names(function, most=512):
    # ggml exports no counts and reads its tables unchecked: a name that is none, or that was
    # there, is past the end
    found = []
    while len(found) < most:
        at = ask(function, ctypes.c_void_p, len(found))
        if not at or not any(first <= at < last for first, last in ranges):
            break
        name = ctypes.string_at(at)
        was_there = name.decode() in found and name != b"DEPRECATED"
        if was_there or not re.fullmatch(rb"[A-Za-z][\w ,-]*", name):
            break
        found.append(name.decode())
    return found
types = names("ggml_type_name")
print(json.dumps({
    "version": ask("ggml_version", ctypes.c_char_p).decode(),
    "operation": names("ggml_op_name"),
    "activation": names("ggml_unary_op_name"),
    "gated activation": names("ggml_glu_op_name"),
    "tensor type": [
        f"{name} ({ask('ggml_type_size', ctypes.c_size_t, i)} bytes for "
        f"{ask('ggml_blck_size', ctypes.c_int64, i)})"
        for i, name in enumerate(types)
    ],
    "tensor_bytes": ask("ggml_tensor_overhead", ctypes.c_size_t),
    "graph_bytes": ask("ggml_graph_overhead", ctypes.c_size_t),
}))
"""
_LISTS: Final = ("operation", "activation", "gated activation", "tensor type")
_SIZES: Final = {"tensor_bytes": "a tensor", "graph_bytes": "a graph"}


@frozen
class Interface:
    """What a libggml-base says of itself: names by their numbers, and sizes in bytes."""

    version: str
    names: dict[str, tuple[str, ...]]
    sizes: dict[str, int]


def read_interface(base: Path) -> Interface:
    """Ask a libggml-base, in a process of its own; ToolchainError where it does not answer."""
    done = subprocess.run(
        [sys.executable, "-c", _ASK, str(base)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ToolchainError(
            f"{base} does not tell what it is ({last}); take a newer build of llama.cpp"
        )
    told = json.loads(done.stdout)
    names = {kind: tuple(told[kind]) for kind in _LISTS}
    return Interface(version=told["version"], names=names, sizes={key: told[key] for key in _SIZES})


def differences(backend: Interface, host: Interface) -> list[str]:
    """In what the two disagree, a clause each; what the host alone knows, at the end of a list,
    does no harm."""
    found = []
    for kind in _LISTS:
        ours, theirs = backend.names[kind], host.names[kind]
        if len(theirs) < len(ours):
            found.append(f"the backend knows {len(ours)} {kind}s and llama.cpp {len(theirs)}")
        for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            if one != other:
                found.append(f"{kind} {number} is {one} to the backend and {other} to llama.cpp")
                break  # what follows is shifted
    for key, what in _SIZES.items():
        if backend.sizes[key] != host.sizes[key]:
            found.append(
                f"{what} takes {backend.sizes[key]} bytes for the backend and {host.sizes[key]} "
                "for llama.cpp"
            )
    return found


def missing_symbols(library: Path, providers: list[Path], prefixes: tuple[str, ...]) -> list[str]:
    """The symbols beginning so that `library` imports and none of the `providers` exports,
    sorted."""
    exported = frozenset[str]().union(*(read_elf(provider).exports for provider in providers))
    return sorted(
        name for name in read_elf(library).imports - exported if name.startswith(prefixes)
    )
