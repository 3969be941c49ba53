"""A llama.cpp other than the installed one: its library, and the structures of its header.

The C header says how the structures of that build are laid out, which changes from one build to
the next; what is made of it has the names of llama-cpp-python's own low-level API.
"""

import ctypes
import re
from types import SimpleNamespace
from typing import Any

from oomph.measure.worker.loading import StageError

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRUCT = re.compile(r"struct (\w+) \{([^{}]*)\};", re.DOTALL)
_FIELD = re.compile(r"(?:const )?(?:struct |enum )?(\w+)\s*(\*?)\s*(\w+)(?:\[(\d+)\])?$")
_TYPES: dict[str, Any] = {
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "size_t": ctypes.c_size_t,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "bool": ctypes.c_bool,
    "char": ctypes.c_char,
    "int": ctypes.c_int,
}
WANTED = ("llama_model_params", "llama_context_params")
_HANDLES = ("llama_model_load_from_file", "llama_init_from_model")


def read_structures(header: str) -> dict[str, Any]:
    """The structures of a llama.h that a load needs, by name; StageError where one is missing or
    has a field of a kind that is not known."""
    text = _COMMENT.sub("", header)
    bodies = {match[1]: match[2] for match in _STRUCT.finditer(text)}
    enums = frozenset(re.findall(r"enum (\w+)", text))
    found = {}
    for name in WANTED:
        if name not in bodies:
            raise StageError("library", f"the header has no struct {name}")
        lines = (" ".join(line.split()) for line in bodies[name].split(";"))
        fields = tuple(_field(line, enums) for line in lines if line)
        found[name] = type(name, (ctypes.Structure,), {"_fields_": fields})
    return found


def _field(line: str, enums: frozenset[str]) -> tuple[str, Any]:
    match = _FIELD.match(line)
    if match is None:
        raise StageError("library", f"the header's field {line!r} is of no known kind")
    kind, pointer, name, _ = match.groups()
    if pointer or kind.endswith("_callback"):
        return name, ctypes.c_void_p
    if kind in enums:
        return name, ctypes.c_int
    if kind not in _TYPES:
        raise StageError("library", f"the header's field {line!r} is of no known kind")
    return name, _TYPES[kind]


def open_build(library: str, header: str) -> Any:
    """The functions of llama.h that a dry run calls, of the library at this path."""
    structures = read_structures(header)
    try:
        raw = ctypes.CDLL(library)
        for name in _HANDLES:
            getattr(raw, name).restype = ctypes.c_void_p
        raw.llama_model_default_params.restype = structures["llama_model_params"]
        raw.llama_context_default_params.restype = structures["llama_context_params"]
        raw.llama_max_devices.restype = ctypes.c_size_t
        raw.llama_free.argtypes = [ctypes.c_void_p]
        raw.llama_free.restype = raw.llama_log_set.restype = raw.llama_backend_init.restype = None
    except (OSError, AttributeError) as error:
        raise StageError("library", f"llama.cpp's library does not load: {error}") from None
    raw.llama_model_load_from_file.argtypes = [
        ctypes.c_char_p,
        structures["llama_model_params"],
    ]
    raw.llama_init_from_model.argtypes = [ctypes.c_void_p, structures["llama_context_params"]]
    names = ("llama_model_default_params", "llama_context_default_params", "llama_max_devices")
    others = ("llama_log_set", "llama_backend_init", "llama_free")
    functions = {name: getattr(raw, name) for name in (*names, *others, *_HANDLES)}
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    return SimpleNamespace(**functions, **structures, llama_log_callback=callback, raw=raw)
