"""Regular expressions: compiled when first used, and whether a foreign one may take long."""

import re
from typing import Any, Final, cast


class _LatePattern:
    """Compiles when it is first asked for a method; each is then found in the object itself."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._asked = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        compiled = re.compile(*self._asked)
        for each in ("findall", "finditer", "fullmatch", "match", "search", "split", "sub"):
            setattr(self, each, getattr(compiled, each))
        return getattr(compiled, name)


def late_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """As `re.compile`, for a pattern of a module that most starts import and few use: to compile
    one takes as long as to import a module. The functions of `re` don't take it, its methods do."""
    return cast("re.Pattern[str]", _LatePattern(pattern, flags))


MAX_CHARACTERS: Final = 1024
MAX_REPEATS: Final = 3
"""Open repeats (`*`, `+`, `{2,}`) of one pattern: each multiplies the ways to match."""
MAX_GROUPS: Final = 128
"""Groups may lie within each other, and whoever reads a pattern goes into each."""
_TOKEN: Final = late_pattern(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[*+?]|\{[0-9]*,?[0-9]*\}|[()|]|.", re.DOTALL
)


def unbounded(patterns: str) -> str | None:
    """What makes one of the patterns, separated by commas, take long; None where none does.

    A repeat of a group that itself repeats or has a choice takes time exponential in a name, and
    many repeats after each other a high power of its length.
    """
    if too_much := _too_much(patterns):
        return too_much
    for pattern in patterns.split(","):
        open_groups, n_repeats, closed = [False], 0, False
        for token in _TOKEN.findall(pattern):
            repeats = token in ("*", "+") or (token.startswith("{") and token != "{")
            if repeats and closed:
                return "that repeats a group of repeats or choices"
            if repeats:
                n_repeats += 1
            if repeats or token == "|":
                open_groups[-1] = True
            closed = False
            if token == "(":
                open_groups.append(False)
            elif token == ")" and len(open_groups) > 1:
                closed = open_groups.pop()
                open_groups[-1] = open_groups[-1] or closed
        if n_repeats > MAX_REPEATS:
            return f"with {n_repeats} open repeats"
    return None


def _too_much(patterns: str) -> str | None:
    if len(patterns) > MAX_CHARACTERS * MAX_REPEATS:
        return f"of more than {MAX_CHARACTERS * MAX_REPEATS:,} characters"
    return f"of more than {MAX_GROUPS} groups" if patterns.count("(") > MAX_GROUPS else None
