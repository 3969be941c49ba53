"""`oomph --help`: panels, examples that parse, the version."""

import shlex
from collections.abc import Callable

import pytest
import typer

from oomph import __version__
from oomph.cli.app import app, load
from oomph.cli.commands import PANELS, SUMMARIES
from oomph.cli.front import front_page

Oomph = Callable[..., tuple[int, str, str]]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
EXAMPLES = [text for examples in PANELS.values() for text in examples.values()]


def test_every_command_stands_in_a_panel_with_an_example_of_its_own() -> None:
    named = [name for examples in PANELS.values() for name in examples]
    assert sorted(named) == sorted(COMMANDS)
    assert all(text.split()[0] == name for each in PANELS.values() for name, text in each.items())


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_list_says_what_each_command_says_of_itself(name: str) -> None:
    command = load(name)
    first = " ".join(command.help.split("\n\n")[0].split())
    assert (command.name, first) == (name, SUMMARIES[name])
    assert command.epilog.startswith(f"Example: oomph {name}")


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_parse(text: str) -> None:
    name, *words = shlex.split(text)
    if words != ["--help"]:
        COMMANDS[name].make_context(name, words)


def test_the_root_says_its_version_and_its_panels(oomph: Oomph) -> None:
    assert oomph("--version")[:2] == (0, f"{__version__}\n")
    _, out, _ = oomph("--help")
    places = [out.index(f"{panel}:\n") for panel in PANELS]
    assert places == sorted(places)
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_the_page_names_the_options_that_typer_gives_the_root() -> None:
    root = typer.main.get_command(app)
    context = root.make_context("oomph", ["models"])
    options = {name for param in root.get_params(context) for name in param.opts}
    assert options == {"--version", "--install-completion", "--show-completion", "--help"}
    assert all(f"\n  {name} " in front_page() for name in options)


@pytest.mark.parametrize("columns", [30, 60, 1000])
def test_the_page_is_as_wide_as_the_terminal_but_no_wider_than_reads_well(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, front_page().splitlines())) <= min(max(columns, 40), 100)


def test_a_command_of_a_group_and_of_none_show_their_help(oomph: Oomph) -> None:
    code, out, _ = oomph("records")
    assert (code, "schema" in out) == (2, True)
    assert "Usage: oomph [OPTIONS]" in oomph()[1]
    assert oomph("--help", "models")[1] == oomph("--help")[1]
    assert "--n-ctx" in oomph("estimate", "--help")[1]


@pytest.mark.parametrize(
    ("words", "found"),
    [("e", {"estimate", "explain", "export"}), ("records s", {"schema"}), ("gpus --j", {"--json"})],
)
def test_words_are_completed(
    monkeypatch: pytest.MonkeyPatch, oomph: Oomph, words: str, found: set[str]
) -> None:
    monkeypatch.setenv("_OOMPH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"oomph {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    assert set(oomph()[1].split()) == found


@pytest.mark.parametrize("command", ["answer", "first-card", "setup cuda"])
def test_a_narrow_terminal_shows_every_option_in_full(
    command: str, oomph: Oomph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = oomph(*command.split(), "--help")
    inner = load(command.split()[0])
    inner = inner.commands[command.split()[1]] if " " in command else inner
    named = [option for each in inner.params for option in (*each.opts, *each.secondary_opts)]
    assert [each for each in named if each.startswith("-") and each not in out] == []
    assert "Example: oomph" in out or " " in command
    assert max(map(len, out.splitlines())) <= 90
