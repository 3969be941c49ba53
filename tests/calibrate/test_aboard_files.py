"""What was said of files beside a model, made its riders."""

from pathlib import Path

import pytest

from oomph.architectures.projector_catalogue import published_projector
from oomph.architectures.source import read_model
from oomph.calibrate.aboard import riders_of, told_of_projector
from oomph.errors import ConfigError, ModelFileError, UnknownNameError
from oomph.estimate.adapters import Adapters
from oomph.estimate.projector.rider import Projector
from oomph.models.lora import lora_for, write_lora
from oomph.models.synth import write_synthetic
from oomph.programs.said import Said

GEMMA = read_model("gemma-3-4b:Q4_K_M")


def projector_said(reference: str) -> Projector:
    (rider,) = riders_of(GEMMA, Said(files={"mmproj": reference}))
    assert isinstance(rider, Projector)
    return rider


@pytest.mark.parametrize(
    ("reference", "source"),
    [
        ("f16", "gemma-3-4b:mmproj-f16"),
        ("BF16", "gemma-3-4b:mmproj-bf16"),
        ("gemma-3-4b", "gemma-3-4b:mmproj-f16"),
        ("gemma-3-4b:q8_0", "gemma-3-4b:mmproj-q8_0"),
    ],
)
def test_projector_is_named_by_precision_or_by_its_model(reference: str, source: str) -> None:
    assert projector_said(reference).spec.source == source


def test_projector_is_read_from_its_file(tmp_path: Path) -> None:
    path = write_synthetic(published_projector("gemma-3-4b", "q8_0"), tmp_path / "mmproj.gguf")
    assert projector_said(str(path)).spec.source == str(path)


def test_published_projector_stands_for_a_file_that_is_not_here_and_that_is_said() -> None:
    spec = projector_said("/models/gemma/mmproj-BF16.gguf").spec
    assert spec.source == "gemma-3-4b:mmproj-bf16"
    assert spec.notes == (
        "mmproj-BF16.gguf is not here: the published projector in bf16 stands for it",
    )


def test_projector_that_is_none_or_anothers_is_refused_in_a_sentence() -> None:
    blind = read_model("qwen3-8b:Q4_K_M")
    with pytest.raises(UnknownNameError, match="no published projector of qwen3-8b"):
        riders_of(blind, Said(files={"mmproj": "f16"}))
    with pytest.raises(ModelFileError, match=r"x\.gguf does not exist"):
        riders_of(blind, Said(files={"mmproj": "/models/x.gguf"}))
    with pytest.raises(ConfigError, match="it is another model's projector"):
        riders_of(blind, Said(files={"mmproj": "gemma-3-4b"}))


def test_adapters_are_read_with_and_without_a_scale(tmp_path: Path) -> None:
    small, large = (
        write_lora(lora_for(GEMMA, rank), tmp_path / f"r{rank}.gguf") for rank in (4, 64)
    )
    (rider,) = riders_of(GEMMA, Said(files={"lora": f"{small},{large}:0.5"}))
    assert isinstance(rider, Adapters)
    assert [adapter.rank for adapter in rider.adapters] == [4, 64]
    assert rider.is_exact


def test_adapter_of_another_architecture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = write_lora(lora_for(read_model("qwen3-8b:Q4_K_M"), 4), tmp_path / "lora.gguf")
    with pytest.raises(ConfigError, match="'qwen3', and gemma-3-4b is 'gemma3'"):
        riders_of(GEMMA, Said(files={"lora": str(path)}))


def test_what_its_projector_would_take_is_said_of_a_model_that_could_see() -> None:
    (note,) = (each for each in told_of_projector(GEMMA, ()).notes if "projector" in each)
    assert "812 MiB of weights and 121 MiB to compute in (--mmproj f16)" in note
    riders = riders_of(GEMMA, Said(files={"mmproj": "f16"}))
    assert told_of_projector(GEMMA, riders) is GEMMA
    blind = read_model("qwen3-8b:Q4_K_M")
    assert told_of_projector(blind, ()) is blind
