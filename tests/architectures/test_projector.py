"""Projectors: published shapes against what published files say of themselves, and bad input."""

from dataclasses import replace
from pathlib import Path

import pytest

from oomph.architectures.catalogue import catalogue_model, is_catalogued
from oomph.architectures.projector import ProjectorSpec, misfit, read_projector_file
from oomph.architectures.projector_catalogue import (
    projector_names,
    projector_of,
    published_projector,
)
from oomph.architectures.projector_shapes import SHAPES
from oomph.architectures.source import read_model
from oomph.errors import ModelFileError, UnknownNameError
from oomph.models.synth import write_synthetic
from oomph.units import MIB


def in_mib(spec: ProjectorSpec) -> float:
    return round(sum(tensor.n_bytes for tensor in spec.tensors.values()) / MIB, 2)


@pytest.mark.parametrize(
    ("model", "precision", "n_tensors", "mib"),
    [
        ("qwen3-vl-30b-a3b", "f16", 352, 1033.29),  # as clip.cpp printed of published files
        ("qwen3.5-4b", "bf16", 298, 644.26),
    ],
)
def test_published_projector_has_the_size_that_was_printed(
    model: str, precision: str, n_tensors: int, mib: float
) -> None:
    spec = published_projector(model, precision)
    assert (len(spec.tensors), in_mib(spec)) == (n_tensors, mib)


def test_gemma_4_has_the_parameters_of_its_vision_tower() -> None:
    spec = published_projector("gemma-4-31b", "f32")
    own = [tensor for name, tensor in spec.tensors.items() if name.startswith("v.")]
    assert sum(tensor.n_bytes // 4 for tensor in own) == 569_550_384


@pytest.mark.parametrize("name", projector_names())
def test_every_projector_of_the_catalogue_is_whole(name: str) -> None:
    spec = published_projector(name)
    assert spec.vision_kind in SHAPES
    assert spec.has_vision
    assert not spec.has_audio
    assert spec.metadata["clip.vision.projection_dim"]


@pytest.mark.parametrize("name", [name for name in projector_names() if is_catalogued(name)])
def test_a_models_own_projector_goes_with_it(name: str) -> None:
    model = catalogue_model(name, "Q4_K_M")
    own = projector_of(model)
    assert own is not None
    assert misfit(own, model) is None


def test_another_models_projector_is_told_by_its_width() -> None:
    why = misfit(published_projector("gemma-3-27b"), catalogue_model("gemma-3-12b", "Q4_K_M"))
    assert why is not None
    assert "width 5376, and gemma-3-12b reads 3840" in why


def test_projector_of_a_kind_that_is_not_known_is_not_held_against_a_model() -> None:
    spec = published_projector("gemma-3-4b")
    strange = replace(spec, metadata={**spec.metadata, "clip.projector_type": "never-seen"})
    assert strange.n_embd_out is None
    assert misfit(strange, catalogue_model("gemma-3-27b", "Q4_K_M")) is None


def test_written_projector_reads_back_as_it_was(tmp_path: Path) -> None:
    spec = published_projector("qwen3-vl-8b")
    read = read_projector_file(write_synthetic(spec, tmp_path / "mmproj.gguf"))
    assert {name: (t.ne, t.quant) for name, t in read.tensors.items()} == {
        name: (t.ne, t.quant) for name, t in spec.tensors.items()
    }
    assert (read.vision_kind, read.n_embd_out) == (spec.vision_kind, 4 * 4096)
    assert read.deepstack_layers == (8, 16, 24)
    assert "tokenizer.ggml.tokens" not in read.metadata


def test_text_model_is_refused_as_a_projector(tmp_path: Path) -> None:
    path = write_synthetic(read_model("smollm2-135m:Q8_0"), tmp_path / "text.gguf")
    with pytest.raises(ModelFileError, match=r"no projector but a text model .*'llama'"):
        read_projector_file(path)


def test_projector_without_a_kind_is_refused(tmp_path: Path) -> None:
    spec = published_projector("gemma-3-4b")
    bare = {k: v for k, v in spec.metadata.items() if k != "clip.projector_type"}
    path = write_synthetic(replace(spec, metadata=bare), tmp_path / "mmproj.gguf")
    with pytest.raises(ModelFileError, match=r"clip\.projector_type is missing"):
        read_projector_file(path)


def test_what_is_not_published_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no projector of 'qwen3-8b' is in the catalogue"):
        published_projector("qwen3-8b")
    with pytest.raises(UnknownNameError, match="f32, f16, bf16, q8_0, not in 'q4_k_m'"):
        published_projector("gemma-3-4b", "q4_k_m")
