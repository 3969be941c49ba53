"""Every document is tested: links and anchors, commands, options, and outputs as they are printed.

A block that begins with ```console holds commands (`$ oomph …`) and what they print; a line `…`
stands for lines that are left out. After a change that is meant `WRITE_GOLDEN=1` writes them anew;
read the diff.
"""

import difflib
import os
import re
import runpy
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from oomph.cli.app import load
from oomph.cli.commands import SUMMARIES
from oomph.programs.flags import by_spelling

Oomph = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LEFT_OUT = "…"


class Shown(NamedTuple):
    """A command of a page and what the page says that it prints."""

    page: str
    command: str
    output: list[str]


def command_lines(text: str) -> Iterator[str]:
    """Every line of a block that calls oomph; a backslash at its end joins the next."""
    for kind, block in BLOCK.findall(text):
        if kind in ("", "console", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                bare = line.removeprefix("$ ").strip()
                if bare.removeprefix(".venv/bin/").startswith("oomph "):
                    yield bare.removeprefix(".venv/bin/")


def sessions(page: Path) -> Iterator[Shown]:
    for kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind == "console":
            for part in re.split(r"^\$ ", block.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
                command, *output = part.rstrip("\n").split("\n")
                yield Shown(str(page.relative_to(ROOT)), command, output)


SESSIONS = [shown for page in PAGES for shown in sessions(page)]
PRINTED: dict[tuple[str, ...], list[str]] = {}
COMMANDS = sorted({line for page in PAGES for line in command_lines(page.read_text("utf-8"))})


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_parses(line: str) -> None:
    words = re.split(r"\s[|>&]", line)[0]
    rest = shlex.split(words, comments=True)[1:]
    if rest[0].startswith("-"):
        return
    command, rest = load(rest[0]), rest[1:]
    while hasattr(command, "commands") and rest[:1] != ["--help"]:
        command, rest = command.commands[rest[0]], rest[1:]
    if "--help" not in rest and "--version" not in rest:
        command.make_context("oomph", rest)


@pytest.mark.parametrize("name", NAMES)
def test_every_link_and_its_anchor_resolve(name: str) -> None:
    text = BLOCK.sub("", (ROOT / name).read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = (ROOT / name).parent / place if place else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("name", ["docs/commands.md", "docs/api.md"])
def test_a_page_made_of_the_code_says_what_the_code_says(name: str) -> None:
    made = runpy.run_path(str(ROOT / "scripts" / "reference"))["PAGES"][name]()
    assert (ROOT / name).read_text(encoding="utf-8") == made, "run scripts/reference"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = (page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md"))
    assert [page for page in pages if f"({page}" not in index] == ["index.md"]


def anchors(page: Path) -> set[str]:
    """Headings as GitHub makes fragments of them."""
    heads = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def options() -> set[str]:
    """Every option of every command."""
    found, waiting = {"--help", "--version"}, [load(name) for name in SUMMARIES]
    while waiting:
        command = waiting.pop()
        waiting += getattr(command, "commands", {}).values()
        for each in command.params:
            found |= {*each.opts, *each.secondary_opts}
    return found


ELSEWHERE = {
    "docs/launching.md": {"--extra-flags"},
    "docs/quality.md": {"--log_samples"},
}
"""Options of our scripts and of other programs, by the page that speaks of them."""


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_one_of_oomph_or_of_llama_cpp(name: str) -> None:
    text = BLOCK.sub("", (ROOT / name).read_text(encoding="utf-8"))
    said = {
        option
        for code in re.findall(r"`([^`\n]+)`", text)
        if not re.match(r"(\S*/)?(scripts|pip|npm|docker|git|bench|python)\b", code)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", code)
    }
    assert said <= options() | {*by_spelling()} | ELSEWHERE.get(name, set())


@pytest.mark.parametrize("shown", SESSIONS, ids=lambda each: f"{each.page}: {each.command[:50]}")
def test_a_command_prints_what_the_page_says(
    shown: Shown, oomph: Oomph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    words = tuple(shlex.split(shown.command))
    if words not in PRINTED:  # pages show the same answer from several sides
        _, said, told = oomph(*words[1:])
        PRINTED[words] = [line.rstrip() for line in (said + told).rstrip("\n").splitlines()]
    lines = PRINTED[words]
    if os.environ.get("WRITE_GOLDEN"):
        rewrite(shown, lines)
    elif not stands_in(shown.output, lines):
        assert "\n".join(shown.output) == "\n".join(lines)


def chunks(output: list[str]) -> list[list[str]]:
    """The runs of lines between what is left out."""
    parts: list[list[str]] = [[]]
    for line in output:
        if line == LEFT_OUT:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def stands_in(output: list[str], lines: list[str]) -> bool:
    """Whether the chunks stand in the lines in their order, the first at the beginning and the last
    at the end."""
    parts, place = chunks(output), 0
    for number, part in enumerate(parts):
        starts = range(place, len(lines) - len(part) + 1)
        if number == 0:
            starts = range(1)
        if number == len(parts) - 1 and (number or part):
            starts = range(len(lines) - len(part), len(lines) - len(part) + 1)
        found = next((at for at in starts if lines[at : at + len(part)] == part), None)
        if found is None or found < place:
            return False
        place = found + len(part)
    return len(parts) > 1 or place == len(lines)


def rewrite(shown: Shown, lines: list[str]) -> None:
    """Put what is printed into the page, as many lines of each chunk as there were."""
    anew: list[str] = []
    for number, part in enumerate(chunks(shown.output)):
        if number:
            anew.append(LEFT_OUT)
        if part:
            close = difflib.get_close_matches(part[0], lines, n=1, cutoff=0.0)
            at = lines.index(close[0]) if number else 0
            anew += lines[at : at + len(part)]
    page = ROOT / shown.page
    text = page.read_text(encoding="utf-8")
    old, new = ("\n".join(each) for each in (shown.output, anew if LEFT_OUT in anew else lines))
    page.write_text(text.replace(old, new), encoding="utf-8")


def test_what_stands_in_a_block_is_held_line_by_line() -> None:
    lines = ["a", "b", "c", "d"]
    assert stands_in(lines, lines)
    assert stands_in(["a", LEFT_OUT, "c", "d"], lines)
    assert stands_in(["a", LEFT_OUT, "c", LEFT_OUT], lines)
    assert not stands_in(["a", "b"], lines)
    assert not stands_in(["a", LEFT_OUT, "c"], lines)
    assert not stands_in([LEFT_OUT, "c", LEFT_OUT, "b", LEFT_OUT], lines)
    assert not stands_in(["a", "x", LEFT_OUT], lines)
