"""Errors that a user can mend: one family, caught in one place."""

import errno
import inspect
import os
from pathlib import Path

import pytest

from oomph import cli, errors


def test_all_errors_are_one_family() -> None:
    classes = [value for _, value in inspect.getmembers(errors, inspect.isclass)]
    assert len(classes) > 5
    assert all(issubclass(found, errors.OomphError) for found in classes)


def test_command_line_prints_the_sentence_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise errors.ConfigError("n_ctx is 0; it must be at least 1")

    monkeypatch.setattr("oomph.cli.app.app", refuse)
    monkeypatch.setattr("sys.argv", ["oomph", "estimate"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "oomph: n_ctx is 0; it must be at least 1\n")


def test_bug_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("oomph.cli.app.app", fail)
    monkeypatch.setattr("sys.argv", ["oomph", "estimate"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


@pytest.mark.parametrize("place", ["oomph.cli._run", "oomph.cli._keep_replays", "oomph.cli.guard"])
def test_ctrl_c_anywhere_is_an_exit(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """While modules are imported, too, or a second one while the first ends a command."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, interrupted)
    monkeypatch.setattr("sys.argv", ["oomph", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_what_is_closed_to_a_user_is_a_sentence(code: int) -> None:
    """Which nobody sees who is root."""
    sentence = errors.machine_sentence(OSError(code, os.strerror(code), "/srv/models/x.gguf"))
    assert sentence is not None
    assert sentence.startswith("/srv/models/x.gguf is closed to this user")
    assert errors.machine_sentence(OSError(code, os.strerror(code))) is None


@pytest.mark.parametrize("name", ["a" * 300, "b/" * 40_000, "c" * 1_000_000, "hf:" + "d/" * 9000])
@pytest.mark.parametrize("command", ["answer", "models", "gpus", "inspect"])
def test_a_name_of_any_length_is_one_short_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    monkeypatch.setattr("sys.argv", ["oomph", command, name])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert len(said) < 4300
    assert said.startswith("oomph: ")
    assert said.count("\n") == 1


def test_a_cache_that_is_closed_is_one_without_anything(
    oomph_closed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer needs none."""
    monkeypatch.setenv("OOMPH_CACHE", str(oomph_closed))
    monkeypatch.setattr(
        "sys.argv", ["oomph", "answer", "qwen3-0.6b:Q4_K_M", "--gpu", "RTX 4090", "-c", "4096"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("Yes")


@pytest.fixture
def oomph_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that this user may not enter: whatever is asked of what lies in it is refused, as
    the kernel does it to everybody but root."""
    closed, real = tmp_path / "closed", {name: getattr(os, name) for name in ("stat", "open")}

    def refusing(name: str) -> None:
        def asked(path: object, *more: object, **extra: object) -> object:
            if not isinstance(path, int) and str(closed) in os.fsdecode(path):  # type: ignore[arg-type]
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real[name](path, *more, **extra)

        monkeypatch.setattr(os, name, asked)

    for name in real:
        refusing(name)
    return closed
