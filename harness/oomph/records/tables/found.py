"""What a reader of tables gives: whole rows with what stood around them, and what was no row."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from oomph.frozen import frozen

MAX_ROWS: Final = 300_000
SHOWN_CHARACTERS: Final = 72
"""As much of a line is quoted where it is named."""

Values = Mapping[str, Any]
"""A row's cells by the names that the tool's JSON has for them."""


@frozen
class Around:
    """What the lines above a row say of where it ran.

    `devices` are the cards by ggml's backend in small letters, as the backends listed them, `used`
    those that the model was put on, where a line says so. `build` is commit and number, `knobs`
    what llama-batched-bench and sweep-bench print of their context before a table. `is_remote`
    says that the command line named other machines with `--rpc`.
    """

    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    used: tuple[tuple[str, str], ...] = ()
    build: tuple[str, int] | None = None
    knobs: Values = field(default_factory=dict)
    is_remote: bool = False


NOTHING: Final = Around()


PIECE: Final = -1


@frozen
class Row:
    """One whole row. `line` is its number in the file, from 1, 0 where the file has no lines;
    `table` is the same for rows under one header, 0 for rows that bring their own names, PIECE for
    what may be a part of a row that is cut."""

    values: Values
    line: int
    table: int = 0
    around: Around = NOTHING


@frozen
class Problem:
    """A line that is no row though it looks like one, and why."""

    line: int
    why: str

    def at(self, path: Path) -> str:
        """The problem as editors find it: `bench.md:12: a row that is cut …`."""
        return f"{path}:{self.line}: {self.why}" if self.line else f"{path}: {self.why}"


@frozen
class Found:
    """The rows of a file in its order, and what was none."""

    rows: Sequence[Row]
    problems: Sequence[Problem]


def quoted(text: str) -> str:
    """So much of a line as tells which it is."""
    short = " ".join(text[: 4 * SHOWN_CHARACTERS].split())
    return short if len(short) <= SHOWN_CHARACTERS else f"{short[:SHOWN_CHARACTERS]}…"
