"""The rule that grades an answer: the share of what is expected that stands in it as words."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_THOUGHT: Final = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_THOUGHT_END: Final = "</think>"
_GROUPED: Final = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w]|,\d|\.\d)")


def grade(answer: str, expected: Sequence[str]) -> float:
    """Share of `expected` that `answer` holds, 0 to 1, in any order and case.

    A text counts where no letter or digit touches it, so that 4821 is neither in 48210 nor in
    4821.5 nor in A4821; digits in groups (12,345) are one number. What stands in <think> blocks,
    closed or not, is no answer. An answer that tells everything is right, as in RULER.
    """
    said = _plain(without_thoughts(answer))
    found = [_stands_in(_plain(each), said) for each in expected]
    return sum(found) / len(found)


def without_thoughts(answer: str) -> str:
    """The answer without what it thinks aloud; a template may have opened the block already."""
    return _THOUGHT.sub("", answer).rpartition(_THOUGHT_END)[2]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _GROUPED.sub(lambda number: number[0].replace(",", ""), folded)


def _stands_in(expected: str, said: str) -> bool:
    words = re.escape(expected)
    return re.search(rf"(?<![^\W_])(?<!\d\.){words}(?![^\W_])(?!\.\d)", said) is not None
