"""A model file for whatever names a model, without a download.

A sparse file takes a few MB whatever the model's size; it is made once, kept in the cache folder
under a name that its contents decide, and stands for the published model on a card that only counts
memory.
"""

import hashlib
from pathlib import Path

from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.paths import cache_folder, expanded


def model_path(reference: str) -> Path:
    """The GGUF file that `reference` names, or a sparse one of its shape where it names a published
    model.

    Raises what `oomph.architectures.source.read_model` raises.
    """
    path = expanded(reference)
    if path.is_file() and path.suffix == ".gguf":
        return path
    return sparse_file(read_model(reference))


def sparse_file(spec: ModelSpec) -> Path:
    """The sparse file of that shape in the cache folder, written if it is not there."""
    path = cache_folder() / "sparse" / file_name(spec)
    if not path.exists():
        # numpy and gguf take a quarter of a second to load, and most runs write no file
        from oomph.models.synth import write_synthetic

        path.parent.mkdir(parents=True, exist_ok=True)
        write_synthetic(spec, path)
    return path


def file_name(spec: ModelSpec) -> str:
    """A name for a synthetic file of that shape, which two shapes never share."""
    return f"{spec.name.replace('/', '-')}-{_fingerprint(spec)}.gguf"


def _fingerprint(spec: ModelSpec) -> str:
    """Eight hex digits of all that the file's header says."""
    facts = [sorted(spec.metadata.items(), key=lambda item: item[0])]
    tensors = [(tensor.name, tensor.ne, tensor.quant.name) for tensor in spec.tensors.values()]
    return hashlib.sha256(repr((spec.arch, facts, tensors)).encode()).hexdigest()[:8]
