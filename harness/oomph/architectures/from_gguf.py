"""A model's facts from a GGUF header, refused where llama.cpp would refuse the file."""

from pathlib import Path

from oomph.architectures.file_checks import nonsense, refusal
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.gguf.header import GGUFFile, read_gguf
from oomph.gguf.other_files import kind_of_header


def spec_from_gguf(file: GGUFFile, *, source: str | None = None) -> ModelSpec:
    """The facts of a header.

    ModelFileError where it names no architecture, and where llama.cpp would refuse the file: then
    the sentence says so, and why.
    """
    if kind := kind_of_header(file.metadata):
        raise ModelFileError(f"{file.name} is {kind}")
    arch = file.metadata.get("general.architecture")
    if not isinstance(arch, str) or not arch:
        raise ModelFileError(
            f"{file.name}: metadata key general.architecture is missing; is this a model and not "
            "a LoRA or vocabulary?"
        )
    name = file.metadata.get("general.name")
    spec = ModelSpec(
        name=name if isinstance(name, str) and name else Path(file.name).stem,
        arch=arch,
        metadata=file.metadata,
        tensors={tensor.name: tensor for tensor in file.tensors},
        source=source or file.name,
        file_bytes=file.file_bytes,
    )
    if why := refusal(spec, file):
        raise ModelFileError(
            f"{file.name}: llama.cpp would refuse this file: {why}; download or convert it again"
        )
    if why := nonsense(spec):
        raise ModelFileError(f"{file.name}: {why}; download or convert it again")
    return spec


def read_model_file(path: Path | str) -> ModelSpec:
    """The facts of the GGUF file at `path`, from its header alone; ModelFileError says what is
    wrong with it."""
    return spec_from_gguf(read_gguf(path), source=str(path))
