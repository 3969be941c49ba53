"""From what was said of files beside a model to the riders of its estimator."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oomph.architectures.projector import (
    ProjectorSpec,
    misfit,
    projector_from_gguf,
    read_projector_file,
)
from oomph.architectures.projector_catalogue import USUAL, projector_of, published_projector
from oomph.architectures.projector_shapes import PRECISIONS
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError, ModelFileError, OomphError, UnknownNameError
from oomph.estimate.build import build_of
from oomph.estimate.draft import DraftModel
from oomph.estimate.draft_pairs import draft_of, inferred_kind
from oomph.estimate.projector.rider import FIRST_CARD, Projector
from oomph.estimate.riders import Rider
from oomph.paths import expanded, is_remote
from oomph.programs.pasted import is_path
from oomph.programs.said import Said
from oomph.speculation import kinds_of
from oomph.units import mib

if TYPE_CHECKING:
    from oomph.estimate.adapters import Adapters

_FLAGS: Final = {"lora": "--lora", "draft": "--spec-draft-model", "mmproj": "--mmproj"}


def riders_of(model: ModelSpec, said: Said, build: int | None = None) -> tuple[Rider, ...]:
    """What rides along beside `model` of what was said. ConfigError for what does not go with
    it."""
    riders: list[Rider] = []
    if names := said.files.get("lora"):
        riders.append(_adapters(names, model))
    if reference := said.files.get("draft"):
        draft = model_beside(reference)
        spec_type = said.knobs.get("spec_type") or inferred_kind(draft)
        riders.append(draft_of(model, draft, kinds_of(spec_type), build_of(build)))
    if reference := said.files.get("mmproj"):
        riders.append(_projector(reference, model))
    return tuple(riders)


def without_missing(reference: str | None, said: Said) -> Said:
    """What a pasted line said of the model that `reference` names, without the files beside it that
    are not here and that nothing of the catalogue stands for; a remark names each."""
    missing = [kind for kind, file in said.files.items() if _is_missing(kind, file, reference)]
    if not missing:
        return said
    remarks = [
        f"Not in the figures: {_FLAGS[kind]} {said.files[kind]} (it is not here to be read)."
        for kind in missing
    ]
    return replace(
        said,
        files={kind: file for kind, file in said.files.items() if kind not in missing},
        remarks=(*said.remarks, *remarks),
        is_whole=False,
    )


def _is_missing(kind: str, file: str, model: str | None) -> bool:
    if kind == "lora":
        return not all(path.exists() for path in _adapter_paths(file))
    if not is_path(file) or is_remote(file) or expanded(file).exists():
        return False
    try:
        if kind == "draft":
            model_beside(file)
            return False
        return not model or projector_of(read_model(model)) is None
    except OomphError:
        return True


def _adapter_paths(names: str) -> list[Path]:
    """The files of `--lora` and `--lora-scaled`, without their scales."""
    return [expanded(re.sub(r":[-+0-9.eE]+$", "", name)) for name in filter(None, names.split(","))]


def _adapters(names: str, model: ModelSpec) -> "Adapters":
    """The adapters of `--lora` and `--lora-scaled`: files by comma, each perhaps with a scale,
    which changes no memory. Those with a scale of 0 are loaded, and then not applied."""
    from oomph.architectures.adapter import check_adapter, read_adapter_file
    from oomph.estimate.adapters import Adapters

    adapters = []
    for path in _adapter_paths(names):
        if not path.exists():
            raise ModelFileError(f"{path} does not exist; check the path of the adapter")
        adapters.append(read_adapter_file(path))
        check_adapter(adapters[-1], model)
    return Adapters(adapters, model)


def _projector(reference: str, model: ModelSpec) -> Projector:
    """The projector of `--mmproj`: a file or its address, a precision of the model's own published
    one, or a model's name whose projector it is, with a precision after a colon."""
    path, word = expanded(reference), reference.strip().lower()
    if is_remote(reference):
        from oomph.gguf.remote import read_remote_gguf

        spec = projector_from_gguf(read_remote_gguf(reference), source=reference)
    elif path.exists():
        spec = read_projector_file(path)
    elif is_path(reference):
        spec = _called_after(reference, model)
    elif word in PRECISIONS:
        spec = _own_projector(model, word)
    else:
        name, _, precision = word.partition(":")
        spec = published_projector(name, precision or USUAL)
    if why := misfit(spec, model):
        raise ConfigError(why)
    return Projector(spec)


def _own_projector(model: ModelSpec, precision: str) -> ProjectorSpec:
    found = projector_of(model, precision)
    if found is None:
        raise UnknownNameError(
            f"no published projector of {model.name} is in the catalogue; name its mmproj file"
        )
    return found


def _called_after(reference: str, model: ModelSpec) -> ProjectorSpec:
    """The published projector for a file that is not here, in the precision that its name ends in,
    and a note that says so; ModelFileError where there is none."""
    name = re.split(r"[\\/]", reference)[-1]
    words = re.split(r"[-_.]", name.lower())
    precision = next((word for word in (*words, USUAL) if word in PRECISIONS), USUAL)
    found = projector_of(model, precision)
    if found is None:
        raise ModelFileError(
            f"{reference} does not exist; check the path, or name a projector of the catalogue "
            "(--mmproj gemma-3-4b)"
        )
    note = f"{name} is not here: the published projector in {precision} stands for it"
    return replace(found, notes=(note,))


def told_of_projector(model: ModelSpec, riders: Iterable[Rider]) -> ModelSpec:
    """The model with a note on its published projector, where that does not ride along."""
    if any(isinstance(rider, Projector) for rider in riders):
        return model
    if (spec := projector_of(model)) is None:
        return model
    from oomph.estimate.projector.memory import ProjectorMemory

    memory = ProjectorMemory(spec, FIRST_CARD)
    weights, loaded = memory.weight_bytes[FIRST_CARD], memory.at_load().bytes[FIRST_CARD]
    note = (
        f"it sees images with a projector, which is not counted: {mib(weights)} of weights and "
        f"{mib(loaded)} to compute in (--mmproj {USUAL})"
    )
    return replace(model, notes=(*model.notes, note))


def inferred(said: Said, riders: Iterable[Rider]) -> Said:
    """What was said, with the kind of speculation that llama.cpp takes of the draft's file where
    none was."""
    drafts = (inferred_kind(rider.model) for rider in riders if isinstance(rider, DraftModel))
    kind = next(drafts, None)
    return said.or_else(spec_type=kind) if kind else said


def model_beside(reference: str) -> ModelSpec:
    """The model of a file, or of what a file that is not here is called after; or by name."""
    path = expanded(reference)
    if not is_path(reference) or path.exists():
        return read_model(str(path) if path.exists() else reference)
    name = re.split(r"[\\/]", reference)[-1]
    try:
        found = read_model(name)
    except OomphError:
        raise ModelFileError(
            f"{reference} does not exist; check the path, or name the model that stands behind it "
            "(--spec-draft-model qwen3-0.6b:Q8_0)"
        ) from None
    return replace(found, notes=())
