"""Published projectors without a file: the model's name and a precision are enough.

Which shapes they have is in `projectors.toml`, each with its source; the result is what reading the
header of such a file gives.
"""

from functools import cache
from typing import Any, Final

from oomph.architectures.catalogue import (
    ALIGNMENT,
    Tables,
    catalogue_model,
    flat_keys,
    merged_tables,
)
from oomph.architectures.projector import CLIP, ProjectorSpec
from oomph.architectures.projector_shapes import PRECISIONS, projector_tensors, tensor_type
from oomph.architectures.spec import ModelSpec
from oomph.errors import UnknownNameError
from oomph.gguf.header import TensorInfo, Value

USUAL: Final = "f16"
"""What most published projectors are in."""

_OWN: Final = ("source", "kind", "like", "deepstack", "n_embd_out")
_MEAN: Final = (0.5, 0.5, 0.5)


@cache
def _entries() -> Tables:
    return Tables("projectors.toml")


def projector_names() -> tuple[str, ...]:
    """The models whose published projector is known, in the order of the file."""
    return tuple(_entries())


def _whole(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with what it has of the one that it is like."""
    return merged_tables(_whole(_entries()[entry["like"]]), entry) if "like" in entry else entry


def published_projector(model: str, precision: str = USUAL) -> ProjectorSpec:
    """The projector of the catalogue's `model` in f32, f16, bf16 or q8_0; UnknownNameError where
    none is known, or it is not published in that."""
    name = model.strip().lower()
    if name not in _entries():
        raise UnknownNameError(
            f"no projector of {model!r} is in the catalogue; name its mmproj file, or one of "
            f"{', '.join(projector_names())}"
        )
    if precision not in PRECISIONS:
        raise UnknownNameError(
            f"projectors are in {', '.join(PRECISIONS)}, not in {precision!r}; name the file"
        )
    entry = _whole(_entries()[name])
    kind, n_layer = entry["kind"], entry["vision"]["block_count"]
    metadata: dict[str, Value] = {
        "general.architecture": CLIP,
        "general.type": "mmproj",
        "general.name": f"{name} projector",
        "clip.has_vision_encoder": True,
        "clip.projector_type": kind,
        "clip.vision.projection_dim": entry.get("n_embd_out")
        or catalogue_model(name, "Q4_K_M").n_embd,
        "clip.vision.image_mean": _MEAN,
        "clip.vision.image_std": _MEAN,
    }
    metadata |= flat_keys({key: entry[key] for key in entry if key not in _OWN}, CLIP)
    if kind == "qwen3vl_merger":
        deep = entry["deepstack"]
        metadata["clip.vision.is_deepstack_layers"] = tuple(il in deep for il in range(n_layer))
    tensors: dict[str, TensorInfo] = {}
    offset = 0
    for tensor, ne in projector_tensors(kind, metadata):
        quant = tensor_type(kind, tensor, ne, precision)
        tensors[tensor] = TensorInfo(name=tensor, ne=ne, quant=quant, offset=offset)
        offset += -(-tensors[tensor].n_bytes // ALIGNMENT) * ALIGNMENT
    return ProjectorSpec(
        name=f"{name} projector",
        arch=CLIP,
        metadata=metadata,
        tensors=tensors,
        source=f"{name}:mmproj-{precision}",
    )


def projector_of(model: ModelSpec, precision: str = USUAL) -> ProjectorSpec | None:
    """The published projector of a model of the catalogue; None where none is known."""
    for name in (model.source.partition(":")[0].strip().lower(), model.name.strip().lower()):
        name = name.removesuffix("-mtp")  # the same model, its head in the file
        if name in _entries():
            return published_projector(name, precision)
    return None
