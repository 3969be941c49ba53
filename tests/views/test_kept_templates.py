"""Compiled templates are kept where that is safe, and nothing fails where it is not."""

from pathlib import Path

import pytest

from oomph.views import language
from oomph.views.kept_templates import kept_templates
from oomph.views.language import render_text


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    language._environment.cache_clear()
    return tmp_path / "cache" / "texts"


def listed() -> str:
    language._environment.cache_clear()
    return render_text("explain/topics", "en")


def test_a_template_is_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = listed()
    assert list(folder.iterdir())

    def never(*_: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr("jinja2.Environment.compile", never)
    assert listed() == text


@pytest.mark.parametrize("junk", [b"", b"j2", bytes(range(256))])
def test_what_is_broken_is_made_anew(folder: Path, junk: bytes) -> None:
    text = listed()
    (file,) = folder.iterdir()
    file.write_bytes(junk)
    assert listed() == text
    assert file.read_bytes() != junk


def test_a_folder_that_others_can_write_is_not_used(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert kept_templates() is None
    assert listed()
    assert not list(folder.iterdir())


def test_where_nothing_can_be_kept_the_text_is_the_same(folder: Path) -> None:
    text = listed()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("a file is in its place")
    assert kept_templates() is None
    assert listed() == text
