"""What `oomph --help` shows: every command by what it is for, and one line about it.

Written without typer, whose import alone takes six times what Python takes to start.
"""

import os
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Final

from oomph.cli.commands import PANELS, SUMMARIES

ABOUT: Final = (
    "Will this GGUF model, with this context and this many experts, fit on this card, and how fast?"
)
_OPTIONS: Final[Mapping[str, str]] = {
    "--version": "Print oomph's version.",
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Show completion for the current shell, to copy it or to change it.",
    "--help": "Show this message; after a command, what that command takes.",
}
_WIDEST: Final = 100
_COLUMN: Final = max(map(len, SUMMARIES))
"""Every panel's lines begin in one column."""


def front_page() -> str:
    """The page as text, as wide as the terminal is, a hundred columns at most."""
    width = min(_columns(), _WIDEST)
    texts = ("Usage: oomph [OPTIONS] COMMAND [ARGS]...", ABOUT)
    lines = [line for text in texts for line in (*wrap(text, width), "")]
    for panel, examples in PANELS.items():
        lines += _section(panel, {name: SUMMARIES[name] for name in examples}, width)
    lines += _section("Options", _OPTIONS, width)
    return "\n".join(lines)


def _section(title: str, entries: Mapping[str, str], width: int) -> Iterator[str]:
    yield f"{title}:"
    column = max(*map(len, entries), _COLUMN) + 4
    blank = " " * column
    for name, text in entries.items():
        said = wrap(text, width - column, break_on_hyphens=False)
        yield from (
            f"  {name}".ljust(column) + said[0],
            *(blank + line for line in said[1:]),
        )
    yield ""


def _columns() -> int:
    """The terminal's width, or what COLUMNS says; 80 where there is neither."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return max(int(said), 40)
    try:
        return max(os.get_terminal_size().columns, 40)
    except OSError:
        return 80
