"""What docs/pages.md says is there: commands parse, calls exist, the example runs."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

import oomph
from oomph.cli.app import app


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "docs/pages.md").read_text(encoding="utf-8")


def test_its_commands_parse(text: str) -> None:
    lines = re.findall(r"^oomph .*", text, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        _, name, *rest = shlex.split(line, comments=True)
        typer.main.get_command(app).commands[name].make_context(name, rest)  # type: ignore[attr-defined]


def test_every_figure_is_in_it(text: str) -> None:
    named = set(re.findall(r"oomph\.(plot_\w+)", text))
    assert named == {name for name in oomph.__all__ if name.startswith("plot_")}


def test_its_example_draws(
    text: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to(repository / "results")
    exec(code, {})
    assert (tmp_path / "memory.pdf").read_bytes().startswith(b"%PDF")
