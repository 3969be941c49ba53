"""Compiled templates are kept where that is safe, and nothing fails where it is not."""

import os
from collections.abc import Callable
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


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: b"",
        lambda kept: b"j2",
        lambda kept: bytes(range(256)),
        lambda kept: kept[:20],
        lambda kept: kept[:-7],
        lambda kept: kept[:25] + b"\xff" + kept[26:],
        lambda kept: kept[:-60] + b"\xff" + kept[-59:],
        lambda kept: kept + b"more",
    ],
    ids=["empty", "short", "noise", "a beginning", "cut", "sum", "code", "longer"],
)
def test_what_is_broken_is_made_anew(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    text = listed()
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(spoil(whole))
    assert listed() == text
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "place",
    [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
    ],
    ids=["folder", "fifo", "endless", "loop"],
)
@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_read(folder: Path, place: Callable[[Path], object]) -> None:
    text = listed()
    (file,) = folder.iterdir()
    file.unlink()
    place(file)
    assert listed() == text


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
