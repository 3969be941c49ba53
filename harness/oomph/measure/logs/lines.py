r"""Lines of a log, within limits: however long it is, in whatever encoding, whatever it holds.

A log is untrusted text. Its lines are cut at LINE_CHARACTERS, so that no pattern takes long over
one; of a log that is longer than both limits together the middle is left out. Patterns take digits
as WHOLE and DECIMAL have them: ASCII, and no more of them than a number can have.
"""

import codecs
import os
import sys
from pathlib import Path
from typing import BinaryIO, Final

from oomph.errors import ConfigError
from oomph.foreign import read_bytes

LINE_CHARACTERS: Final = 2048
HEAD_BYTES: Final = 4 << 20
TAIL_BYTES: Final = 4 << 20
WHOLE: Final = r"([0-9]{1,15})(?![0-9e]|\.[0-9])"
DECIMAL: Final = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(?![0-9.])"
NAME: Final = r"(\S{1,64})"
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_REMEDY: Final = "check the path, and name a file with the program's output"


def read_lines(path: Path | str) -> list[str]:
    """The lines of the log at `path`, `-` for standard input; ConfigError where it cannot be
    read."""
    if str(path) == "-":
        return lines_of(_ends(sys.stdin.buffer))
    try:
        if Path(path).is_file() and os.path.getsize(path) > HEAD_BYTES + TAIL_BYTES:
            with open(path, "rb") as file:
                head = file.read(HEAD_BYTES)
                file.seek(-TAIL_BYTES, os.SEEK_END)
                return lines_of(head + b"\n" + file.read(TAIL_BYTES))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read ({why}); {_REMEDY}") from None
    return lines_of(read_bytes(path, error=ConfigError, remedy=_REMEDY))


def _ends(file: BinaryIO) -> bytes:
    """The beginning and the end of a stream, in bounded memory."""
    head, tail = file.read(HEAD_BYTES), b""
    while part := file.read(TAIL_BYTES):
        tail = (tail + part)[-TAIL_BYTES:]
    return head + tail


def lines_of(data: bytes) -> list[str]:
    """The lines of a log's bytes, each cut; NUL bytes are left out."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    text = data.decode(encoding, errors="replace").replace("\x00", "")
    return [line[:LINE_CHARACTERS] for line in text.splitlines()]
