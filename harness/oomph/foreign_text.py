"""Makes foreign text inert: what would steer a terminal or a spreadsheet is shown as text.

Names, paths, logs and what a server says are foreign. A control character, a mark that turns the
direction of writing, a line break in the middle of a line, a byte of a file name that is no UTF-8:
each is written as the escape that Python has for it, so that a reader sees that it was there.
"""

import re
from typing import Final

from oomph.patterns import late_pattern

_PASSWORD: Final = late_pattern(r"(://)[^/?#\s]*@")
_SECRET: Final = late_pattern(
    r"([?&][\w.-]*(?:token|password|secret|signature|sig|credential|key)=)[^&#\s'\"]+",
    re.IGNORECASE,
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula."""


def visible(text: str, *, keep: str = "") -> str:
    r"""`text` with an escape for each character that does not print, but for those of `keep`:
    `visible("a\x1b[2J")` is `'a\\x1b[2J'`. Blanks of every width print."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep or _is_blank(each) else _escape(each)
        for each in text
    )


def _is_blank(character: str) -> bool:
    """A blank that is no line break: a no-break space is in our own texts."""
    return character.isspace() and character > "\x9f" and character not in "\u2028\u2029"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def without_password(text: str) -> str:
    """`text` without what an address in it keeps secret: user and password, and the values of
    tokens and signatures. `https://me:secret@host/x?token=abc` is `'https://host/x?token=…'`."""
    if "://" not in text:
        return text
    return _SECRET.sub(r"\1…", _PASSWORD.sub(r"\1", text))


def spreadsheet_cell(text: str) -> str:
    """`text` as a cell that no spreadsheet computes: an apostrophe stands before what would be a
    formula."""
    shown = visible(text)
    return f"'{shown}" if text.startswith(_FORMULA) else shown


def whole(text: str) -> str:
    """The text as UTF-8 can hold it: two halves of a character are the character, and half a one,
    or a byte that was no UTF-8, is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
