"""Files and JSON from elsewhere: read within limits, refused in one sentence.

A file may be a pipe that nobody writes to, a device without an end, or larger than memory; JSON may
be nested without end, or hold numbers that are none. Here these end in the error that the caller
names, with the file and the way out.
"""

import codecs
import json
import os
import select
import stat
import time
from math import isfinite
from pathlib import Path
from typing import Any, Final

from oomph.errors import OomphError

MAX_BYTES: Final = 256 << 20
"""What is read of one file, where its reader names no limit of its own."""
SILENCE_S: Final = 10.0
"""How long a pipe may say nothing."""
MAX_DIGITS: Final = 25
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK: Final = 1 << 20


def read_bytes(
    path: Path | str, *, error: type[OomphError], remedy: str, limit: int = MAX_BYTES
) -> bytes:
    """The content of the file, device or pipe at `path`; `error`, ending in `remedy`, where it
    cannot be read, is longer than `limit` bytes, or is a pipe that says nothing for SILENCE_S."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            is_file = stat.S_ISREG(os.fstat(file).st_mode)
            data = _read(file, limit + 1, waits=not is_file)
        finally:
            os.close(file)
    except TimeoutError:
        raise error(f"{path} says nothing for {SILENCE_S:g} s; {remedy}") from None
    except (OSError, ValueError) as found:
        why = getattr(found, "strerror", None) or found
        raise error(f"{path} cannot be read ({why}); {remedy}") from None
    if len(data) > limit:
        raise error(f"{path} is larger than {limit >> 20} MiB; {remedy}")
    return data


def _read(file: int, limit: int, *, waits: bool) -> bytes:
    parts, n_bytes = [], 0
    while n_bytes < limit:
        if waits and not select.select([file], [], [], SILENCE_S)[0]:
            raise TimeoutError
        try:
            part = os.read(file, min(_CHUNK, limit - n_bytes))
        except BlockingIOError:
            time.sleep(0.01)
            continue
        if not part:
            break
        parts.append(part)
        n_bytes += len(part)
    return b"".join(parts)


def read_text(
    path: Path | str, *, error: type[OomphError], remedy: str, limit: int = MAX_BYTES
) -> str:
    """`read_bytes` as UTF-8, a byte-order mark left out."""
    try:
        return read_bytes(path, error=error, remedy=remedy, limit=limit).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path} is no UTF-8 text; {remedy}") from None


def kept_bytes(path: Path | str, *, limit: int = MAX_BYTES) -> bytes | None:
    """What a file holds that oomph keeps for itself and can do without: None unless it is a regular
    file of at most `limit` bytes that can be read. Never an error, and nothing is waited for."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            told = os.fstat(file)
            if not stat.S_ISREG(told.st_mode) or told.st_size > limit:
                return None
            data = _read(file, limit + 1, waits=False)
        finally:
            os.close(file)
    except (OSError, ValueError):
        return None
    return data if len(data) <= limit else None


def marked_encoding(data: bytes) -> str | None:
    """The encoding that a byte-order mark at the beginning of `data` names; None without one of
    UTF-16 or UTF-32."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def parse_json(text: str | bytes) -> Any:
    """The value that `text` spells; ValueError, in a few words, for anything that is no JSON, is
    nested too deep, or holds a number that is not finite or has more than MAX_DIGITS digits."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:40]} is beyond any number")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text):,} digits")
    return int(text)
