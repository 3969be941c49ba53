"""Tables of phrases that are searched for in every line of a log.

A pattern takes a microsecond or two at every line, and there are hundreds; most lines hold none. So
each alternative of a phrase is tried only where the line holds the longest text that it must
contain, which costs a fraction.
"""

import re
from collections.abc import Iterable
from typing import Final

_SHORTEST: Final = 3
_MASKED: Final = re.compile(
    r"\\[A-Za-z0-9]|\\[()\[\]{}?*+|^$.](?=[?*{])|(?<!\\)\[\^?\]?(?:\\.|[^\]])*\]"
)
"""Classes of characters, and a single sign that may be left out."""
_GROUP: Final = re.compile(r"(?<!\\)\((?:\\.|[^()])*(?<!\\)\)")
_OPTIONAL: Final = re.compile(r"[^\0\\](?:[?*]|\{[0-9,]{1,9}\})|\0*(?:[?*]|\{[0-9,]{1,9}\})")
_ESCAPED: Final = re.compile(r"\\(.)")


class Phrases:
    """Patterns of which a line may hold any."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._tried = [
            (needed(alternative), re.compile(alternative))
            for pattern in patterns
            for alternative in alternatives(pattern)
        ]

    def found_in(self, line: str) -> bool:
        """Whether the line holds one of them."""
        for text, pattern in self._tried:  # noqa: SIM110 - any() takes three times as long
            if text in line and pattern.search(line):
                return True
        return False


def alternatives(pattern: str) -> list[str]:
    """What stands between the bars of a pattern that are in no group; the pattern itself where a
    flag or a named group makes parts of it depend on each other."""
    if "(?i" in pattern or "(?P" in pattern:
        return [pattern]
    found, start, depth, is_set, at = [], 0, 0, False, 0
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            at += 1
        elif is_set:
            is_set = sign != "]" or pattern[at - 1] == "["
        elif sign == "[":
            is_set = True
        elif sign in "()":
            depth += 1 if sign == "(" else -1
        elif sign == "|" and depth == 0:
            found.append(pattern[start:at])
            start = at + 1
        at += 1
    return [*found, pattern[start:]]


def needed(alternative: str) -> str:
    """The longest text that every line which the pattern matches contains; empty where that is too
    short to tell lines apart. The pattern has no bar outside of its groups."""
    if "(?i" in alternative:
        return ""
    plain = _MASKED.sub(lambda match: "\0" * len(match[0]), alternative)
    while (inner := _GROUP.sub(lambda match: "\0" * len(match[0]), plain)) != plain:
        plain = inner
    plain = _OPTIONAL.sub("\0", plain)
    plain = _ESCAPED.sub(r"\1", plain)
    longest = max(re.split(r"[\0.^$+]", plain), key=len)
    return longest if len(longest) >= _SHORTEST else ""
