"""Where an answer ends: by itself, at a limit, at a template's mark, at repetition.

A small model may go on for ever: it says the same again, or writes the mark that ends its turn as
text and then the user's next turn as well. Both would go into the history, and from there into the
next prompts.
"""

import re
from collections.abc import Generator, Iterable
from typing import Final, Literal

Why = Literal["end", "limit", "repetition", "template"]
Pieces = Generator[str, None, Why]
"""An answer piece by piece; what the generator returns says why it ended."""

LEAST_REPEATED: Final = 200
"""Characters that are one unit over and over: a rule of a table is shorter."""
LEAST_TIMES: Final = 4
LONGEST_UNIT: Final = 400
LOOK_EVERY: Final = 40
"""Characters between two looks for repetition."""
LONGEST_MARK: Final = 64
MARK: Final = re.compile(
    r"<[|｜][^<>|｜\s]{1,48}[|｜]>|</?(?:start|end)_of_turn>|\[/?(?:INST|SYSTEM_PROMPT)\]|</s>"
)
"""What surrounds turns in the templates of models of today: ChatML's, Llama's, Gemma's, Mistral's,
DeepSeek's."""


def template_marks(*texts: object) -> tuple[str, ...]:
    """The marks that stand in a chat template or are a token of its end, in their order."""
    found = (mark for text in texts if isinstance(text, str) for mark in MARK.findall(text))
    return tuple(dict.fromkeys(mark for mark in found if len(mark) <= LONGEST_MARK))


def until_end(pieces: Iterable[str], *, marks: tuple[str, ...], n_answer: int) -> Pieces:
    """The pieces up to the first mark, `n_answer` pieces at most (a token each, or more), and no
    further than the same has been said LEAST_TIMES times over LEAST_REPEATED characters."""
    source, said, shown, looked = iter(pieces), "", 0, 0
    for _ in range(n_answer):
        try:
            piece = next(source)
        except StopIteration as ended:
            yield said[shown:]
            return ended.value or "end"
        said += piece
        if (mark := _first(said, marks, shown)) is not None:
            yield said[shown:mark]
            return "template"
        sure = len(said) - _held_back(said, marks)
        if sure > shown:
            yield said[shown:sure]
            shown = sure
        if len(said) - looked >= LOOK_EVERY:
            looked = len(said)
            if repeated_unit(said):
                return "repetition"
    yield said[shown:]
    return "limit"


def _first(said: str, marks: tuple[str, ...], start: int) -> int | None:
    places = [place for mark in marks if (place := said.find(mark, start)) >= 0]
    return min(places, default=None)


def _held_back(said: str, marks: tuple[str, ...]) -> int:
    """How many of the last characters may yet become a mark."""
    longest = max(map(len, marks), default=1) - 1
    for length in range(min(longest, len(said)), 0, -1):
        if any(mark.startswith(said[-length:]) for mark in marks):
            return length
    return 0


def repeated_unit(said: str) -> int:
    """The length of what the text says again and again at its end; 0 where it does not."""
    for length in range(1, min(LONGEST_UNIT, len(said) // LEAST_TIMES) + 1):
        span = max(LEAST_TIMES * length, LEAST_REPEATED)
        tail = said[-span:]
        if len(tail) == span and tail[length:] == tail[:-length]:
            return length
    return 0


def without_repetition(said: str) -> str:
    """The text with what is repeated at its end said once."""
    length = repeated_unit(said)
    if not length:
        return said
    start = len(said) - length
    while start > 0 and said[start - 1] == said[start - 1 + length]:
        start -= 1
    return said[: start + length]
