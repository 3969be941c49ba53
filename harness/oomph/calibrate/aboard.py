"""From what was said of files beside a model to the riders of its estimator."""

import re
from collections.abc import Iterable
from dataclasses import replace

from oomph.architectures.layers import n_decoding
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError, OomphError
from oomph.estimate.build import build_of
from oomph.estimate.draft import DraftModel, draft_of
from oomph.estimate.riders import Rider
from oomph.paths import expanded
from oomph.programs.pasted import is_path
from oomph.programs.said import Said
from oomph.speculation import MTP, kinds_of


def riders_of(model: ModelSpec, said: Said, build: int | None = None) -> tuple[Rider, ...]:
    """What rides along beside `model` of what was said. ConfigError for what does not go with
    it."""
    if (reference := said.files.get("draft")) is None:
        return ()
    draft = model_beside(reference)
    spec_type = said.knobs.get("spec_type") or (MTP if _is_head(draft) else None)
    return (draft_of(model, draft, kinds_of(spec_type), build_of(build)),)


def inferred(said: Said, riders: Iterable[Rider]) -> Said:
    """What was said, with the kind of speculation that llama.cpp takes of the draft's file where
    none was."""
    drafts = any(isinstance(rider, DraftModel) and rider.is_head for rider in riders)
    return said.or_else(spec_type=MTP) if drafts else said


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


def _is_head(draft: ModelSpec) -> bool:
    """Whether llama.cpp takes the file for an MTP head (common_speculative_types_from_gguf)."""
    last = f"blk.{draft.n_layer - 1}.nextn.eh_proj.weight"
    return last in draft.tensors and n_decoding(draft) < draft.n_layer
