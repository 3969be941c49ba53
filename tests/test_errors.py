"""Errors that a user can mend: one family, caught in one place."""

import inspect

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
