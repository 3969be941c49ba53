"""The one way to the terminal: what a command says goes through here and is made inert.

On a terminal tables are set by rich and a bar shows how far it is; a pipe or a file gets aligned
plain text, every cell in full. A test holds that no other module prints.
"""

import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oomph.foreign_text import visible, without_password

if TYPE_CHECKING:
    from oomph.architectures.spec import ModelSpec
    from oomph.views.table import Table


def say(*lines: object, err: bool = False) -> None:
    """Print each of `lines` on a line of its own. A line break inside one is foreign, and shown."""
    for line in lines:
        _write(visible(without_password(str(line))) + "\n", err=err)


def tell(line: str) -> None:
    """Say how far a command is, on standard error."""
    say(f"oomph: {line}", err=True)


def say_text(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print a text of several lines: line breaks and tabs in it are meant."""
    _write(visible(without_password(text), keep="\n\t") + end, err=err)


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value as JSON, in ASCII: what does not print is escaped, as JSON does it."""
    _write(json.dumps(value, indent=indent) + "\n")


def say_pieces(pieces: Iterable[str]) -> None:
    """Print a long text in ASCII as it comes, such as a list in JSON."""
    for piece in pieces:
        if sys.stdout is not None:
            sys.stdout.write(piece)
    _write("")


def _write(text: str, *, err: bool = False) -> None:
    """Write at once: the other end may wait for it."""
    stream = sys.stderr if err else sys.stdout
    if stream is not None:  # as where a window started it
        stream.write(text)
        stream.flush()


def print_table(table: "Table") -> None:
    """Print `table` as the other end of standard output can show it."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.measure import Measurement

        from oomph.views.table import render_rich

        rich = render_rich(table)
        wide = Console(width=10_000)
        needed = Measurement.get(wide, wide.options, rich).maximum  # no figure is cut
        Console(width=max(Console().width, needed)).print(rich)
    else:
        say_text(render_plain(table))


def render_plain(table: "Table") -> str:
    """Caption, columns and rows as aligned text, numbers flush right, without the columns that say
    nothing."""
    from oomph.views.table import trim

    shown = trim(table)
    heads = tuple(visible(name) for name in shown.columns)
    cells = [heads, *(tuple(visible(cell.text) for cell in row) for row in shown.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    right = [shown.is_numeric(column) for column in range(len(heads))]
    return "\n".join([visible(shown.caption), *(_line(row, widths, right) for row in cells), ""])


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        text.rjust(width) if flush else text.ljust(width)
        for text, width, flush in zip(row, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


class ProgressLines:
    """Lines under a bar, which only a terminal shows."""

    def __init__(self, console: Any, progress: Any, task: Any) -> None:
        self._console, self._progress, self._task = console, progress, task

    def say(self, line: str) -> None:
        """Print a line over the bar."""
        shown = visible(without_password(line))
        self._console.print(shown, markup=False, soft_wrap=True, emoji=False)

    def reach(self, done: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done)


@contextmanager
def progress(what: str, total: int) -> Iterator[ProgressLines]:
    """A bar for `total` of `what` until the block ends."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeColumn

    console = Console(file=sys.stdout, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield ProgressLines(console, bar, bar.add_task(what, total=total))


def guard() -> None:
    """Let Python's own warnings and the traceback of a bug come this way too, and let no character
    be one that the terminal's encoding lacks. A stream that whoever started the program has closed
    leads nowhere, so that no file which is opened takes its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the program
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    warnings.showwarning = _warn
    sys.excepthook = _tell_bug


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    say(f"oomph: {category.__name__}: {message} ({filename}:{lineno})", err=True)


def _tell_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    say_text("".join(traceback.format_exception(kind, error, trace)), err=True, end="")


def print_notes(model: "ModelSpec") -> None:
    """What was made of a model's name, and what else is to be known of its figures."""
    say(*(f"note: {note}" for note in model.notes))
