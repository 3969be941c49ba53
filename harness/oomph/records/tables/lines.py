"""A file's lines as its writer saw them: decoded, without colours, tags and quote marks.

A line keeps its number. What stood before a row (a prompt, a log's prefix) stays: a table knows how
many cells it has.
"""

import re
from typing import Final

from oomph.foreign import marked_encoding

_SAMPLE: Final = 4096
_ENDS: Final = re.compile(r"\r\n|\n|\r")
_COLOURS: Final = re.compile(
    r"\x1b(?:\[[0-9;?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,512}\x07?|[()][A-Z0-9])"
)
_TAGS: Final = re.compile(r"</?(?:pre|code|p|br|div|details|summary)\s{0,4}/?>", re.IGNORECASE)
_QUOTE: Final = re.compile(r"[ \t]{0,8}(?:>[ \t]?){1,8}")
_UNSEEN: Final = {"\u00a0": " ", "\u200b": "", "\ufeff": "", "\x00": ""}


def decoded(data: bytes) -> str:
    """The text of a file in whatever encoding; bytes that are none become U+FFFD."""
    encoding = marked_encoding(data)
    if encoding is None:
        head = data[:_SAMPLE]
        odd, even = head[1::2].count(0), head[::2].count(0)
        is_wide = max(odd, even) > len(head) // 4
        encoding = ("utf-16-le" if odd > even else "utf-16-be") if is_wide else "utf-8-sig"
    return data.decode(encoding, errors="replace")


def clean_lines(data: bytes) -> list[str]:
    """The lines of a file's bytes; the last is empty where the file ends with a line's end."""
    text = decoded(data)
    for unseen, instead in _UNSEEN.items():
        if unseen in text:
            text = text.replace(unseen, instead)
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "</" in text or "<br" in text:
        text = _TAGS.sub("", text)
    lines = _ENDS.split(text)
    return [_without_quote(line) if ">" in line[:16] else line for line in lines]


def _without_quote(line: str) -> str:
    """The line without the marks of a quoted mail or comment."""
    match = _QUOTE.match(line)
    return line[match.end() :] if match else line
