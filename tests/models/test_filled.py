"""Files of random weights: where they go, that they are sound whoever writes them, and a model's
small likeness."""

from pathlib import Path

import numpy as np
import pytest

import gguf
from oomph.architectures.from_gguf import read_model_file
from oomph.errors import ConfigError, ModelFileError, UnknownNameError
from oomph.models import filled, synth
from oomph.models.filled import filled_file, is_filled
from oomph.models.likeness import likeness
from oomph.models.synth import write_synthetic

MODELS = ["qwen3-30b-a3b:Q4_K_M", "qwen3-8b:Q4_K_M", "gemma-3-4b:Q4_K_M", "qwen3-30b-a3b:F16"]


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a folder that stands for the machine's memory."""
    memory = tmp_path / "memory"
    memory.mkdir()
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(filled, "MEMORY", memory)
    return tmp_path / "cache"


@pytest.mark.parametrize("reference", MODELS)
def test_a_likeness_is_small_and_of_the_same_kind(reference: str, empty_cache: Path) -> None:
    spec = likeness(reference)
    made = filled_file(spec)
    back = read_model_file(made.path)
    assert made.path.stat().st_size < 40e6
    assert (back.arch, back.n_layer, back.n_vocab) == (spec.arch, 2, 2048)
    assert not spec.is_moe or (back.n_expert, back.n_expert_used) == (16, 8)
    assert made.path.is_relative_to(empty_cache)
    assert filled_file(spec).seconds == 0


@pytest.mark.parametrize("reference", ["model.gguf", "qwen3-30b-a3b", "hf:owner/repo:Q4_K_M"])
def test_what_is_no_published_name_has_no_likeness(reference: str) -> None:
    with pytest.raises(ConfigError, match="a likeness is made of a name"):
        likeness(reference)


def test_a_likeness_of_nobody_is_one_sentence() -> None:
    with pytest.raises(UnknownNameError):
        likeness("qwen9-1b:Q4_K_M")


def test_every_weight_is_finite_and_has_its_spread(empty_cache: Path) -> None:
    reader = gguf.GGUFReader(filled_file(likeness(MODELS[0])).path)
    for tensor in reader.tensors:
        weights = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.isfinite(weights).all(), tensor.name
        if "norm" not in tensor.name:
            assert float(weights.std()) == pytest.approx(tensor.shape[0] ** -0.5, rel=0.1), (
                tensor.name
            )


def test_several_writers_write_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = likeness(MODELS[0])
    one = write_synthetic(spec, tmp_path / "one.gguf", weights="random").read_bytes()
    monkeypatch.setattr(synth, "SHARED_BYTES", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    assert write_synthetic(spec, tmp_path / "three.gguf", weights="random").read_bytes() == one


def test_a_slow_disk_gives_way_to_memory(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filled, "TRIED_BYTES", 1 << 22)
    monkeypatch.setattr(filled, "FAST_BYTES_PER_S", 1e15)
    made = filled_file(likeness(MODELS[1]))
    assert made.in_memory
    assert made.path.is_relative_to(filled.MEMORY)
    assert is_filled(likeness(MODELS[1]))


def test_a_fast_disk_is_taken(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filled, "TRIED_BYTES", 1 << 22)
    monkeypatch.setattr(filled, "FAST_BYTES_PER_S", 1.0)
    assert not filled_file(likeness(MODELS[1])).in_memory


def test_without_room_anywhere_it_is_one_sentence(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda path: Full)
    with pytest.raises(
        ModelFileError, match=r"random has 0\.00 GiB free.*set OOMPH_CACHE to a larger disk"
    ):
        filled_file(likeness(MODELS[1]))
    assert not any(empty_cache.rglob("*.gguf"))
