r"""Lines of a log, within limits: however long it is, in whatever encoding, whatever it holds.

A log is untrusted text. Its lines are cut at LINE_CHARACTERS, so that no pattern takes long over
one; what stands before them is taken off here, once for all readers. Of a log that is longer than
its two ends together the middle is searched for the lines that tell something. Patterns take digits
as WHOLE and DECIMAL have them: ASCII, and no more of them than a number can have.
"""

import codecs
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from oomph.errors import ConfigError
from oomph.foreign import marked_encoding, read_bytes
from oomph.measure.logs.prefixes import Line, without_prefix

LINE_CHARACTERS: Final = 2048
END_CHARACTERS: Final = 4 << 20
"""How much of either end of a long log is read whole …"""
MIDDLE_LINES: Final = 5_000
"""… and how many telling lines are kept from its middle, the first and the last of them."""
_TELLING: Final = (
    "rror", "RROR", "ailed", "ailure", " memory", "MEMORY", "OOM", "oom", "illed", "bort", "BORT",
    "ASSERT", "xit", "LOST", "lost", "Xid", "ignal", "fault", "xception", "erminate", "anic:",
    "imed out", "buffer size", "listening", "in function", "loaded meta data", "using device",
    "llama_context: n_",
)  # fmt: skip
"""What stands in a line that says how a run went, or what it allocated; each is found by itself,
since a pattern of them all takes a hundred times as long."""
WHOLE: Final = r"([0-9]{1,15})(?![0-9e]|\.[0-9])"
DECIMAL: Final = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(?![0-9.])"
NAME: Final = r"(\S{1,64})"
_REMEDY: Final = "check the path, and name a file with the program's output"


def read_lines(path: Path | str) -> list[Line]:
    """The lines of the log at `path`, `-` for standard input, without what stands before them;
    ConfigError where it cannot be read."""
    return _read(path, _long)


def read_head(path: Path | str) -> list[Line]:
    """The same of its first END_CHARACTERS alone."""
    return _read(path, lambda file: next(_chunks(file), "").splitlines())


def _read(path: Path | str, reader: Callable[[BinaryIO], Iterable[str]]) -> list[Line]:
    try:
        if str(path) == "-":
            return as_lines(reader(sys.stdin.buffer))
        if stat.S_ISREG(os.stat(path).st_mode):
            with open(path, "rb") as file:
                return as_lines(reader(file))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read ({why}); {_REMEDY}") from None
    return lines_of(read_bytes(path, error=ConfigError, remedy=_REMEDY))


def lines_of(data: bytes) -> list[Line]:
    """The lines of a log's bytes, each cut; NUL bytes are left out."""
    return as_lines(_text(data, _decoder(data), is_last=True).splitlines())


def as_lines(texts: Iterable[str]) -> list[Line]:
    """The lines of a log that are not empty, each without what stands before it."""
    return [
        text if isinstance(text, Line) else without_prefix(text[:LINE_CHARACTERS])
        for text in texts
        if text and not text.isspace()
    ]


def _decoder(data: bytes) -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder(marked_encoding(data) or "utf-8")(errors="replace")


def _text(data: bytes, decoder: codecs.IncrementalDecoder, *, is_last: bool) -> str:
    return decoder.decode(data, is_last).replace("\x00", "")


def _long(file: BinaryIO) -> Iterator[str]:
    """The lines of a file or pipe of any length, in bounded memory: both its ends, and of what lies
    between the lines that tell something."""
    chunks = _chunks(file)
    n_characters = 0
    for chunk in chunks:
        n_characters += len(chunk)
        yield from chunk.splitlines()
        if n_characters >= END_CHARACTERS:
            break
    first: list[str] = []
    last: deque[str] = deque(maxlen=MIDDLE_LINES)
    ends: deque[str] = deque()
    for chunk in chunks:
        ends.append(chunk)
        if sum(map(len, ends)) - len(ends[0]) >= END_CHARACTERS:
            telling = _telling(ends.popleft())
            n_first = max(MIDDLE_LINES - len(first), 0)
            first += telling[:n_first]
            last.extend(telling[n_first:])
    yield from chain(first, last, *(chunk.splitlines() for chunk in ends))


def _chunks(file: BinaryIO) -> Iterator[str]:
    """The text of a file in pieces that end where a line does, or that have no end of line."""
    data = file.read(END_CHARACTERS)
    decoder, rest = _decoder(data), ""
    while data:
        following = file.read(END_CHARACTERS)
        text = rest + _text(data, decoder, is_last=not following)
        end = text.rfind("\n") + 1 or len(text)
        rest = text[end:] if following else ""
        yield text[:end] if following else text
        data = following


def _telling(chunk: str) -> list[str]:
    """The lines of `chunk` that hold one of _TELLING, in order."""
    if chunk.count("\n") * LINE_CHARACTERS < len(chunk):  # of a long line its beginning counts
        chunk = "\n".join(line[:LINE_CHARACTERS] for line in chunk.split("\n"))
    spans: dict[int, int] = {}
    for word in _TELLING:
        at = chunk.find(word)
        while at >= 0 and len(spans) < 2 * MIDDLE_LINES:
            start = chunk.rfind("\n", 0, at) + 1
            end = chunk.find("\n", at)
            end = len(chunk) if end < 0 else end
            spans[start] = min(end, start + LINE_CHARACTERS)
            at = chunk.find(word, end)
    return [chunk[start:end] for start, end in sorted(spans.items())]
