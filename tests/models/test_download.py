"""Downloads from Hugging Face: what is asked for, where it lies, and every way it can fail."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from oomph.errors import ModelFileError, ToolchainError
from oomph.gguf.header import split_names
from oomph.models.download import download_model


class Hub:
    """Stands in for huggingface_hub: `folder` is the cache into which every asked file has been
    downloaded."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[tuple[str, str]]()
        self.error: Exception | None = None

    def hf_hub_download(self, repository: str, name: str) -> str:
        self.asked.append((repository, name))
        if self.error:
            raise self.error
        return str(self.folder / name)


class TransportError(Exception):
    """httpx's errors are no OSErrors."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub, library, http = Hub(tmp_path), ModuleType("huggingface_hub"), ModuleType("httpx")
    library.hf_hub_download, http.HTTPError = hub.hf_hub_download, TransportError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    monkeypatch.setitem(sys.modules, "httpx", http)
    return hub


def test_the_file_is_asked_for_by_repository_and_name(hub: Hub, tmp_path: Path) -> None:
    assert download_model("hf:owner/repo/quants/m.gguf") == tmp_path / "quants" / "m.gguf"
    assert hub.asked == [("owner/repo", "quants/m.gguf")]


def test_all_parts_of_a_split_model_come_and_the_named_one_is_the_answer(
    hub: Hub, tmp_path: Path
) -> None:
    assert (
        download_model("hf:o/r/q/m-00002-of-00003.gguf") == tmp_path / "q" / "m-00002-of-00003.gguf"
    )
    assert [name for _, name in hub.asked] == [
        f"q/{name}" for name in split_names("m-00001-of-00003.gguf")
    ]
    assert len(hub.asked) == 3


@pytest.mark.parametrize(
    "error",
    [OSError("404 not there.\nmore"), ValueError("404 not there"), TransportError("404 not there")],
)
def test_what_does_not_come_is_one_sentence(hub: Hub, error: Exception) -> None:
    hub.error = error
    with pytest.raises(
        ModelFileError,
        match=r"^hf:o/r/m\.gguf cannot be downloaded \(404 not there\); check the name",
    ):
        download_model("hf:o/r/m.gguf")


@pytest.mark.parametrize("reference", ["hf:o/m.gguf", "hf:o/r/m.bin", "https://host/m.gguf"])
def test_only_whole_references_are_downloaded(hub: Hub, reference: str) -> None:
    with pytest.raises(ModelFileError, match="write hf:owner/repository/file"):
        download_model(reference)
    assert not hub.asked


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ToolchainError, match=r"pip install 'oomph\[hf\]'"):
        download_model("hf:o/r/m.gguf")
