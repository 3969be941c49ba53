"""Sparse stand-ins for published models, kept in the cache."""

from pathlib import Path

import pytest

from oomph.architectures.source import read_model
from oomph.errors import UnknownNameError
from oomph.models.sparse import model_path


def test_a_published_name_becomes_a_file_of_its_shape_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path))
    path = model_path("qwen3-30b-a3b:Q4_K_M")
    assert path.is_relative_to(tmp_path)
    assert path.stat().st_size > 18e9
    assert path.stat().st_blocks * 512 < 20e6
    wanted, written = read_model("qwen3-30b-a3b:Q4_K_M"), read_model(path)
    assert {t.name: t.ne for t in written.tensors.values()} == {
        t.name: t.ne for t in wanted.tensors.values()
    }
    changed = path.stat().st_mtime_ns
    assert model_path("qwen3-30b-a3b:Q4_K_M") == path
    assert path.stat().st_mtime_ns == changed
    assert model_path("qwen3-30b-a3b:Q8_0") != path


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert model_path(str(tmp_path / "m.gguf")) == tmp_path / "m.gguf"


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        model_path("no-such-model:Q4_K_M")
