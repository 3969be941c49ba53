"""What a projector (mmproj) is: a model's eyes or ears, in a GGUF file of their own.

A projector's file has the architecture `clip`, whatever encoder it holds, and names its kind by
`clip.projector_type`; one of several modalities names a kind for each.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.frozen import frozen
from oomph.gguf.header import GGUFFile, TensorInfo, read_gguf
from oomph.gguf.other_files import kind_of_header

CLIP: Final = "clip"
"""general.architecture of every projector."""

_OUTPUT_ROWS: Final = {
    "qwen2vl_merger": "mm.2.weight",
    "qwen2.5vl_merger": "mm.2.weight",
    "qwen3vl_merger": "mm.2.weight",
    "gemma4v": "mm.input_projection.weight",
    "gemma4uv": "mm.input_projection.weight",
    "mlp": "mm.2.weight",
    "pixtral": "mm.2.weight",
    "kimivl": "mm.2.weight",
    "llama4": "mm.model.fc.weight",
    "internvl": "mm.model.mlp.3.weight",
    "glm4v": "mm.down.weight",
}
"""The matrix whose rows are the width that the projector writes (clip_n_mmproj_embd)."""


@frozen
class ProjectorSpec(ModelSpec):
    """A projector's facts. `metadata` has clip's keys (`clip.vision.block_count`), `tensors` all
    of the file."""

    @property
    def has_vision(self) -> bool:
        """Whether it sees images."""
        return bool(self.metadata.get("clip.has_vision_encoder"))

    @property
    def has_audio(self) -> bool:
        """Whether it hears."""
        return bool(self.metadata.get("clip.has_audio_encoder"))

    @property
    def vision_kind(self) -> str:
        """The projector's kind as clip.cpp names it ("qwen3vl_merger"); "" where it does not
        see."""
        return self._kind("vision", "qwen2.5vl_merger") if self.has_vision else ""

    @property
    def audio_kind(self) -> str:
        """The kind of its ear, "" where it has none."""
        return self._kind("audio", "qwen2a") if self.has_audio else ""

    def _kind(self, modality: str, of_omni: str) -> str:
        kind = self.metadata.get("clip.projector_type") or self.metadata.get(
            f"clip.{modality}.projector_type"
        )
        return of_omni if kind == "qwen2.5o" else str(kind or "")

    @property
    def n_embd_out(self) -> int | None:
        """Width of what it writes into the model's input (clip_n_mmproj_embd), the deepstack parts
        counted; None where its kind is not known here."""
        if self.vision_kind == "gemma3":
            matrix = self.tensors.get("mm.input_projection.weight")
            return matrix.ne[0] if matrix else None
        matrix = self.tensors.get(_OUTPUT_ROWS.get(self.vision_kind, ""))
        return matrix.ne[1] * (1 + len(self.deepstack_layers)) if matrix else None

    @property
    def deepstack_layers(self) -> tuple[int, ...]:
        """Layers whose output is handed to the model's first layers too (Qwen3-VL)."""
        mark = "v.deepstack."
        found = {int(name.split(".")[2]) for name in self.tensors if name.startswith(mark)}
        return tuple(sorted(found))

    def renamed(self, source: str) -> Self:
        """The same projector under the words that somebody named it with."""
        return replace(self, source=source)


def projector_from_gguf(file: GGUFFile, *, source: str | None = None) -> ProjectorSpec:
    """The facts of a projector's header; ModelFileError for a file that is none, with what it
    is."""
    if file.metadata.get("general.architecture") != CLIP:
        arch = file.metadata.get("general.architecture")
        what = kind_of_header(file.metadata) or f"a text model (architecture {arch!r})"
        raise ModelFileError(
            f"{file.name} is no projector but {what.partition(',')[0]}; --mmproj takes the "
            "mmproj-….gguf beside the model"
        )
    tensors: dict[str, TensorInfo] = {tensor.name: tensor for tensor in file.tensors}
    name = file.metadata.get("general.name")
    spec = ProjectorSpec(
        name=name if isinstance(name, str) and name else Path(file.name).stem,
        arch=CLIP,
        metadata=file.metadata,
        tensors=tensors,
        source=source or file.name,
        file_bytes=file.file_bytes,
    )
    if not (spec.vision_kind or spec.audio_kind):
        raise ModelFileError(
            f"{file.name}: clip.projector_type is missing, so nothing says what this projector is; "
            "download or convert it again"
        )
    return spec


def read_projector_file(path: Path | str) -> ProjectorSpec:
    """The facts of the projector at `path`, from its header alone."""
    return projector_from_gguf(read_gguf(path), source=str(path))


def misfit(projector: ProjectorSpec, model: ModelSpec) -> str | None:
    """Why mtmd would refuse the projector for this model, one sentence; None where it would not,
    or where the projector's kind does not tell its width (mtmd_context)."""
    width = projector.n_embd_out
    if width is None:
        return None
    own = model.n_embd * (1 + model.integer("n_deepstack_layers", 0))
    if width == own:
        return None
    return (
        f"{projector.source} writes embeddings of width {width}, and {model.name} reads {own}: it "
        "is another model's projector"
    )
