"""The command line as a user calls it, in this process."""

from collections.abc import Callable

import pytest

from oomph import cli

Oomph = Callable[..., tuple[int, str, str]]


@pytest.fixture
def oomph(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Oomph:
    """Call `oomph ARGS`: exit code, standard output, standard error."""

    def run(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["oomph", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run
