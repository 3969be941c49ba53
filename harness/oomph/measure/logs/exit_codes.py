"""Exit codes as POSIX shells, Windows, Docker, systemd and JavaScript write them, in words.

A signal is -n from Python, 128 + n from a shell. Windows ends a process with an NTSTATUS of 32
bits, which is printed as hexadecimal, unsigned, negative, widened to 64 bits, and by programs that
hold numbers as doubles rounded to a multiple of 2,048.
"""

import re
import signal
from typing import Final, Literal, NamedTuple

from oomph.errors import ConfigError

Kind = Literal["done", "ended", "killed", "crash", "missing"]
"""It ended as it should; somebody ended it; SIGKILL; it died of a fault; it could not start."""


class Ending(NamedTuple):
    """What an exit code says; `text` is how it is shown."""

    kind: Kind
    text: str


_SIGNALS: Final[dict[int, Kind]] = {
    1: "ended", 2: "ended", 15: "ended", 9: "killed", 4: "crash", 6: "crash", 7: "crash",
    8: "crash", 11: "crash",
}  # fmt: skip
_WINDOWS: Final[dict[int, tuple[Kind, str]]] = {
    0xC0000005: ("crash", "an access violation: memory was touched that is not there"),
    0xC0000409: ("crash", "an abort: what abort() and failed checks end with on Windows"),
    0xC0000374: ("crash", "a corrupted heap"),
    0xC000001D: ("crash", "an illegal instruction"),
    0xC0000094: ("crash", "a division by zero"),
    0xC00000FD: ("crash", "a stack overflow"),
    0xC0000017: ("crash", "no memory: Windows could commit no more of it"),
    0xC000012D: ("crash", "the commit limit: the paging file is too small"),
    0xC0000135: ("missing", "a DLL was not found"),
    0xC0000139: ("missing", "a DLL has not the function that is called"),
    0xC0000142: ("missing", "a DLL could not start"),
    0xC000007B: ("missing", "a DLL is for another processor"),
    0xC000013A: ("ended", "Ctrl-C, or a closed window"),
    0x40010004: ("ended", "a closed console"),
    0xE06D7363: ("crash", "a C++ exception that nothing caught"),
}
_NO_MEMORY: Final = frozenset({0xC0000017, 0xC000012D})
_DOUBLE: Final = 1 << 53
_IN_LOG: Final = re.compile(
    r"(?:[Ee]xit(?:ed)?(?: with)?(?: status| code)?|exitCode|returned|(?:terminated|ended|died)"
    r"(?: with)?(?: exit)?(?: code| status)?)[ =:(]{1,4}"
    r"(-?(?:0[xX][0-9a-fA-F]{1,16}|[1-9][0-9]{0,19}|0))(?!\w|\.[0-9])"
)
_CODE: Final = re.compile(r"-?(?:0[xX][0-9a-fA-F]{1,16}|[1-9][0-9]{0,19}|0)")
_SYSTEMD: Final = re.compile(r"code=(exited|killed|dumped), status=([0-9]{1,3})/")


def read_exit_code(text: str) -> int:
    """The code that `text` spells, decimal or hexadecimal; ConfigError for what is none."""
    if not _CODE.fullmatch(text.strip()):
        raise ConfigError(f"an exit code is a whole number, as 134, -6 or 0xC0000409, not {text!r}")
    return int(text, 0)


def ending_of(code: int) -> Ending | None:
    """What an exit code says, None where it is a program's own and says only that it failed."""
    if code == 0:
        return Ending("done", "exit code 0")
    number = -code if -64 <= code < 0 else code - 128 if 128 < code < 160 else None
    if number in _SIGNALS:
        return Ending(_SIGNALS[number], f"exit code {code}: {signal.Signals(number).name}")
    status = _status(code)
    if status is None:
        return None
    kind, text = _WINDOWS[status]
    return Ending(kind, f"exit code {code}, which is 0x{status:08X}: {text}")


def is_no_memory(code: int) -> bool:
    """Whether Windows ended the process because its memory, not the card's, was exhausted."""
    return _status(code) in _NO_MEMORY


def logged_ending(line: str) -> int | None:
    """The exit code that the line tells of, a signal as 128 + n; None where it tells none."""
    if match := _SYSTEMD.search(line):
        return int(match[2]) + (0 if match[1] == "exited" else 128)
    match = _IN_LOG.search(line)
    return int(match[1], 0) if match else None


def _status(code: int) -> int | None:
    """The known NTSTATUS that `code` spells."""
    if abs(code) < _DOUBLE:
        return code % (1 << 32) if code % (1 << 32) in _WINDOWS else None
    widened = {status | 0xFFFFFFFF00000000: status for status in _WINDOWS}
    rounded = (status for wide, status in widened.items() if float(wide) == float(code))
    return widened.get(code) or next(rounded, None)
