"""Published models without a file: `qwen3-30b-a3b` and a quantization are enough.

Stands apart from `shapes` and `quantize`, which know families and types but no model: this is where
a name becomes metadata (`catalogue.toml`, each entry with its source), tensors and types. The
result is what reading the header of such a file gives, so nothing further on asks where a spec came
from.
"""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from oomph.architectures.quantize import tensor_types
from oomph.architectures.shapes import tensor_shapes
from oomph.architectures.spec import ModelSpec
from oomph.errors import UnknownNameError
from oomph.gguf.file_types import FILE_TYPES, canonical_quantization
from oomph.gguf.ggml_types import QUANTS
from oomph.gguf.header import TensorInfo, Value

ALIGNMENT: Final = 32
"""Bytes to which GGUF aligns a tensor's data (general.alignment where a file says nothing)."""

_OWN_KEYS: Final = ("arch", "extras", "kept_types", "like", "source")


@cache
def _entries() -> dict[str, dict[str, Any]]:
    return tomllib.loads(
        files("oomph.architectures").joinpath("catalogue.toml").read_text(encoding="utf-8")
    )


def catalogue_names() -> tuple[str, ...]:
    """Every model of the catalogue, sorted."""
    return tuple(sorted(_entries()))


def _entry(entries: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The entry of that name, with what it inherits from the entry that it is `like`."""
    if name not in entries:
        raise UnknownNameError(
            f"no model of the catalogue is called {name!r}; the nearest are "
            f"{', '.join(_nearest(entries, name))}; quantizations are {', '.join(FILE_TYPES)}"
        )
    entry = entries[name]
    return entry if "like" not in entry else _merged(_entry(entries, entry["like"]), entry)


def _nearest(names: Collection[str], name: str) -> list[str]:
    """Names that begin so, else names that are spelt alike, else all."""
    longer = sorted(known for known in names if name and known.startswith(name))
    return longer or difflib.get_close_matches(name, names, n=6, cutoff=0.4) or sorted(names)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = _merged(merged.get(key, {}), value) if isinstance(value, dict) else value
    return merged


def _flat(table: Mapping[str, Any], prefix: str) -> dict[str, Value]:
    """A TOML table as GGUF keys: dotted, arrays as tuples."""
    found: dict[str, Value] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}.{key}")
        else:
            found[f"{prefix}.{key}"] = tuple(value) if isinstance(value, list) else value
    return found


def build_model(
    name: str,
    arch: str,
    metadata: Mapping[str, Value],
    quantization: str,
    *,
    source: str,
    extras: Collection[str] = (),
    kept_types: Mapping[str, str] | None = None,
    notes: tuple[str, ...] = (),
) -> ModelSpec:
    """The spec of a file that llama-quantize would write of the model that `metadata` describes.

    `metadata` has GGUF's full keys. `extras` as in `tensor_shapes`. `kept_types` names types that
    tensors have whatever the quantization, by a part of their name (gpt-oss publishes its experts
    in MXFP4 only).
    """
    kind = canonical_quantization(quantization)
    bare = ModelSpec(name=name, arch=arch, metadata=metadata, tensors={}, source=source)
    shapes = tensor_shapes(bare, extras=extras)
    types = tensor_types(bare, shapes, kind)
    for mark, kept in (kept_types or {}).items():
        types |= {
            tensor: QUANTS[kept] for tensor in types if mark in tensor and tensor.endswith("weight")
        }
    tensors: dict[str, TensorInfo] = {}
    offset = 0
    for tensor, ne in shapes:
        tensors[tensor] = TensorInfo(name=tensor, ne=ne, quant=types[tensor], offset=offset)
        offset += -(-tensors[tensor].n_bytes // ALIGNMENT) * ALIGNMENT
    general: dict[str, Value] = {
        "general.architecture": arch,
        "general.name": name,
        "general.file_type": FILE_TYPES[kind][0],
        "general.quantization_version": 2,
    }
    return ModelSpec(
        name=name,
        arch=arch,
        metadata=general | dict(metadata),
        tensors=tensors,
        source=source,
        notes=notes,
    )


def catalogue_model(
    name: str,
    quantization: str,
    *,
    changes: Mapping[str, Value] | None = None,
    called: str | None = None,
) -> ModelSpec:
    """The published model `name` (Hugging Face base name, any case) quantized as llama-quantize
    does.

    `changes` are keys of its architecture with other values, for a model that was never published,
    `called` so. UnknownNameError, listing the nearest names and the quantizations, where the
    catalogue lacks one of the two.
    """
    entry = _entry(_entries(), name.strip().lower())
    arch, kept = entry["arch"], entry.get("kept_types", {})
    hparams = {key: value for key, value in entry.items() if key not in _OWN_KEYS}
    notes = tuple(f"{mark} tensors stay in {kind}, as published" for mark, kind in kept.items())
    metadata = _flat(hparams, arch) | {
        f"{arch}.{key}": value for key, value in (changes or {}).items()
    }
    return build_model(
        called or name.strip().lower(),
        arch,
        metadata,
        quantization,
        source=f"{called or name}:{quantization}",
        extras=entry.get("extras", ()),
        kept_types=kept,
        notes=notes,
    )
