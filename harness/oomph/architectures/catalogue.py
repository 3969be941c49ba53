"""Published models without a file: `qwen3-30b-a3b` and a quantization are enough.

Stands apart from `shapes` and `quantize`, which know families and types but no model: this is where
a name becomes metadata (`catalogue.toml`, each entry with its source), tensors and types. The
result is what reading the header of such a file gives, so nothing further on asks where a spec came
from.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from oomph.architectures.file_size import fitted_to_file, with_file_size
from oomph.architectures.quantize import Quantizer
from oomph.architectures.shapes import tensor_shapes
from oomph.architectures.spec import TOKEN_TYPES, ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.errors import UnknownNameError
from oomph.frozen import frozen
from oomph.gguf.file_types import FILE_TYPES
from oomph.gguf.ggml_types import QUANTS
from oomph.gguf.header import STRING, SkippedArray, TensorInfo, Value
from oomph.gguf.published_types import Quantization, read_quantization
from oomph.patterns import late_pattern
from oomph.units import size

ALIGNMENT: Final = 32
"""Bytes to which GGUF aligns a tensor's data (general.alignment where a file says nothing)."""

OLLAMA_USUAL: Final = "Q4_K_M"
"""What most of Ollama's tags are quantized in that name no quantization."""

WITH_HEAD: Final = "-mtp"
"""What a name ends in that means the file with the multi-token-prediction (MTP) head in it."""

_TABLE: Final = late_pattern(r'^\["([^"\n]+)"\]$', re.MULTILINE)
"""How an entry begins; it has no tables within it."""
_HEADING: Final = late_pattern(r"^(?:\[.+\]|(?:also|arch|like|ollama|source) = .+)$", re.MULTILINE)
"""The lines of an entry that `Entry` is made of."""
_OWN_KEYS: Final = (
    "also",
    "arch",
    "extras",
    "heads",
    "kept_types",
    "like",
    "ollama",
    "source",
    "token_types",
)


class Tables(Mapping[str, dict[str, Any]]):
    """The tables of a catalogue beside this module, by name, each parsed when it is asked for: most
    questions are of one model."""

    def __init__(self, file_name: str) -> None:
        self._text = Path(__file__).with_name(file_name).read_text(encoding="utf-8")
        _, *rest = _TABLE.split(self._text)
        self._tables = dict(zip(rest[::2], rest[1::2], strict=True))
        self._parsed: dict[str, dict[str, Any]] = {}

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name not in self._parsed:
            self._parsed[name] = tomllib.loads(self._tables[name])
        return self._parsed[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    def headings(self) -> dict[str, dict[str, Any]]:
        """What names are told apart by, of every table."""
        return tomllib.loads("\n".join(_HEADING.findall(self._text)))


@cache
def _entries() -> Tables:
    return Tables("catalogue.toml")


def catalogue_names() -> tuple[str, ...]:
    """Every model of the catalogue, sorted."""
    return tuple(sorted(_entries()))


def has_head(name: str) -> bool:
    """Whether the model of that name is published with an MTP head that its usual file lacks."""
    return name in _entries() and bool(_entry(_entries(), name).get("heads"))


def counts_head(name: str) -> bool:
    """Whether the usual file of the catalogue's model has its MTP head in it."""
    return bool(_entry(_entries(), name).get("nextn_predict_layers"))


def usual_quantization(name: str) -> str:
    """The quantization to propose for the catalogue's model: that of the types it is published in
    whatever else is quantized, where there are any."""
    bare = name if name in _entries() else name.removesuffix(WITH_HEAD)
    return next(iter(_entry(_entries(), bare).get("kept_types", {}).values()), OLLAMA_USUAL)


def is_catalogued(name: str) -> bool:
    """Whether a model of the catalogue has this very name, or with its head does."""
    return name in _entries() or has_head(name.removesuffix(WITH_HEAD))


@frozen
class Entry:
    """A model of the catalogue before it is quantized: `also` are its other names, `ollama` the
    quantization of Ollama's tag where that is not the usual one."""

    name: str
    arch: str
    page: str
    also: tuple[str, ...]
    ollama: str


def catalogue_entries() -> tuple[Entry, ...]:
    """Every model in the order of the file, families together."""
    entries = _entries().headings()
    return tuple(
        Entry(
            name=name,
            arch=_entry(entries, name)["arch"],
            page=own["source"].partition("/blob/")[0],
            also=tuple(own.get("also", ())),
            ollama=own.get("ollama", OLLAMA_USUAL),
        )
        for name, own in entries.items()
    )


def _entry(entries: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The entry of that name, with what it inherits from the entry that it is `like`."""
    if name not in entries:
        raise UnknownNameError(
            f"no model of the catalogue is called {name!r}; the nearest are "
            f"{', '.join(_nearest(entries, name))}; quantizations are {', '.join(FILE_TYPES)}"
        )
    entry = entries[name]
    return entry if "like" not in entry else merged_tables(_entry(entries, entry["like"]), entry)


def _nearest(names: Collection[str], name: str) -> list[str]:
    """Names that begin so, else names that are spelt alike, else all."""
    longer = sorted(known for known in names if name and known.startswith(name))
    return longer or difflib.get_close_matches(name, names, n=6, cutoff=0.4) or sorted(names)


def merged_tables(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A TOML table with the changes of another, tables within it merged too."""
    merged = dict(base)
    for key, value in changes.items():
        merged[key] = (
            merged_tables(merged.get(key, {}), value) if isinstance(value, dict) else value
        )
    return merged


def flat_keys(table: Mapping[str, Any], prefix: str) -> dict[str, Value]:
    """A TOML table as GGUF keys: dotted, arrays as tuples."""
    found: dict[str, Value] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= flat_keys(value, f"{prefix}.{key}")
        else:
            found[f"{prefix}.{key}"] = _array(value) if isinstance(value, list) else value
    return found


def _array(values: list[Any]) -> Value:
    """As the header's reader has it, which steps over strings."""
    is_text = any(isinstance(value, str) for value in values)
    return SkippedArray(element_type=STRING, count=len(values)) if is_text else tuple(values)


class Unquantized:
    """The model that `metadata` describes, to be quantized: its tensors' names and shapes are made
    once, when they are first asked for.

    `metadata` has GGUF's full keys, `source` is what the user named. `extras` as in
    `tensor_shapes`. `kept_types` names types that tensors have whatever the quantization, by a part
    of their name (gpt-oss publishes its experts in MXFP4 only).
    """

    def __init__(
        self,
        name: str,
        arch: str,
        metadata: Mapping[str, Value],
        *,
        source: str,
        extras: Collection[str] = (),
        kept_types: Mapping[str, str] | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.name, self.arch, self.metadata, self.notes = name, arch, metadata, notes
        self._source = source
        self._extras, self._kept_types = extras, kept_types or {}

    @cached_property
    def _bare(self) -> ModelSpec:
        return ModelSpec(
            name=self.name,
            arch=self.arch,
            metadata=self.metadata,
            tensors={},
            source=self._source,
        )

    @cached_property
    def _shapes(self) -> tuple[Tensor, ...]:
        return tensor_shapes(self._bare, extras=self._extras)

    @cached_property
    def _quantizer(self) -> Quantizer:
        return Quantizer(self._bare, self._shapes)

    def quantized(self, quantization: str, *, source: str | None = None) -> ModelSpec:
        """The spec of a file that llama-quantize would write, from another `source` where one is
        named. UnknownNameError for a quantization whose recipe is not published."""
        kind = read_quantization(quantization)
        if kind.foreign:
            raise UnknownNameError(_unsized(self.name, kind))
        types = self._quantizer.types(kind.base, ends=kind.ends)
        for mark, kept in self._kept_types.items():
            for tensor in types:
                if mark in tensor and tensor.endswith("weight"):
                    types[tensor] = QUANTS[kept]
        tensors: dict[str, TensorInfo] = {}
        offset, known = 0, dict[object, int]()
        for tensor, ne in self._shapes:
            info = TensorInfo(name=tensor, ne=ne, quant=types[tensor], offset=offset)
            tensors[tensor] = info
            key = info.quant.name, ne
            if key not in known:
                known[key] = -(-info.n_bytes // ALIGNMENT) * ALIGNMENT
            offset += known[key]
        general: dict[str, Value] = {
            "general.architecture": self.arch,
            "general.name": self.name,
            "general.file_type": FILE_TYPES[kind.base][0],
            "general.quantization_version": 2,
        }
        return ModelSpec(
            name=self.name,
            arch=self.arch,
            metadata=general | dict(self.metadata),
            tensors=tensors,
            source=source or self._source,
            notes=self.notes,
        )


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
    """The spec of one file that llama-quantize would write: `Unquantized.quantized`."""
    model = Unquantized(
        name,
        arch,
        metadata,
        source=source,
        extras=extras,
        kept_types=kept_types,
        notes=notes,
    )
    return model.quantized(quantization)


def catalogue_model(
    name: str,
    quantization: str,
    *,
    file_bytes: int | None = None,
    changes: Mapping[str, Value] | None = None,
    called: str | None = None,
) -> ModelSpec:
    """The published model `name` (Hugging Face base name, any case) quantized as llama-quantize
    does, or as a mix whose recipe is published.

    A name that ends in `-mtp` is the file that has the model's MTP head, where one is published
    apart. With `file_bytes`, the size of the file that is meant, the weights are fitted to it.
    `changes` are keys of its architecture with other values, for a model that was never published,
    `called` so. UnknownNameError, listing the nearest names and the quantizations, where the
    catalogue lacks one of the two, or where only the file's size can size it.
    """
    model = _published(name, changes, called)
    kind = read_quantization(quantization)
    if kind.foreign and file_bytes is None:
        raise UnknownNameError(_unsized(model.name, kind))
    spec = model.quantized(
        kind.name if kind.ends else kind.base, source=f"{model.name}:{kind.name}"
    )
    return spec if file_bytes is None else _of_file(spec, kind, file_bytes)


def catalogue_models(name: str, quantizations: Iterable[str]) -> Iterator[ModelSpec]:
    """`catalogue_model` in each of the quantizations, with what they share made once."""
    model = _published(name, None, None)
    for quantization in quantizations:
        kind = read_quantization(quantization)
        yield model.quantized(quantization, source=f"{model.name}:{kind.name}")


def _published(name: str, changes: Mapping[str, Value] | None, called: str | None) -> Unquantized:
    """The catalogue's model of that name."""
    name = name.strip().lower()
    bare = name.removesuffix(WITH_HEAD) if is_catalogued(name) else name
    entry = _entry(_entries(), name if name in _entries() else bare)
    arch, kept = entry["arch"], entry.get("kept_types", {})
    hparams = {key: value for key, value in entry.items() if key not in _OWN_KEYS}
    if bare != name:
        hparams |= {
            "block_count": hparams["block_count"] + entry["heads"],
            "nextn_predict_layers": entry["heads"],
        }
    metadata = flat_keys(hparams, arch) | {
        f"{arch}.{key}": value for key, value in (changes or {}).items()
    }
    if "token_types" in entry:
        metadata[TOKEN_TYPES] = entry["token_types"]
    return Unquantized(
        called or name,
        arch,
        metadata,
        source=called or name,
        extras=entry.get("extras", ()),
        kept_types=kept,
        notes=tuple(f"{mark} tensors stay in {kept[mark]}, as published" for mark in kept),
    )


def _unsized(called: str, kind: Quantization) -> str:
    """Why a name alone does not say what a file takes, and what does."""
    return (
        f"{called}:{kind.name} is {kind.foreign}; give the size of the file "
        "(--file-size 18.2GiB, as its repository lists it), or name it as "
        "hf:owner/repo/FILE.gguf, whose header says all (the nearest that needs neither is "
        f"{called}:{kind.base})"
    )


def _of_file(spec: ModelSpec, kind: Quantization, file_bytes: int) -> ModelSpec:
    """The spec with its weights fitted to the size of a file, which is said."""
    what = f"{kind.name} is {kind.foreign}: the" if kind.foreign else "the"
    note = (
        f"{what} weights are those of {kind.base} fitted to a file of {size(file_bytes)}; which "
        "tensor has which type is not known, and speed and what several cards hold rest on it"
    )
    fitted = fitted_to_file(spec, file_bytes)
    source = with_file_size(spec.source, file_bytes)
    return replace(fitted, source=source, notes=(*spec.notes, note))
