"""`oomph --help`: panels, examples that parse, the version."""

import shlex
from collections.abc import Callable

import pytest
import typer

from oomph import __version__
from oomph.cli import PANELS, app

Oomph = Callable[..., tuple[int, str, str]]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
EXAMPLES = [text for examples in PANELS.values() for text in examples.values()]


def test_every_command_stands_in_a_panel_with_an_example_of_its_own() -> None:
    named = [name for examples in PANELS.values() for name in examples]
    assert sorted(named) == sorted(COMMANDS)
    assert all(text.split()[0] == name for each in PANELS.values() for name, text in each.items())


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_parse(text: str) -> None:
    name, *words = shlex.split(text)
    if words != ["--help"]:
        COMMANDS[name].make_context(name, words)


def test_the_root_says_its_version_and_its_panels(oomph: Oomph) -> None:
    assert oomph("--version")[:2] == (0, f"{__version__}\n")
    _, out, _ = oomph("--help")
    places = [out.index(f" {panel} ") for panel in PANELS]
    assert places == sorted(places)
    assert "--install-completion" in out


@pytest.mark.parametrize("command", ["answer", "first-card", "setup cuda"])
def test_a_narrow_terminal_shows_every_option_in_full(
    command: str, oomph: Oomph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = oomph(*command.split(), "--help")
    inner = COMMANDS[command.split()[0]]
    inner = inner.commands[command.split()[1]] if " " in command else inner
    named = [option for each in inner.params for option in (*each.opts, *each.secondary_opts)]
    assert [each for each in named if each.startswith("-") and each not in out] == []
    assert "Example: `oomph" in out or " " in command
    assert max(map(len, out.splitlines())) <= 90
