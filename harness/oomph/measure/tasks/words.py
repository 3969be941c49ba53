"""The words that tasks are made of (`words.toml`), and the fillers around what is told."""

import tomllib
from pathlib import Path
from typing import Final

from oomph.frozen import frozen
from oomph.measure.tasks.draws import Draws

PROSE, LIST = "prose", "list"
"""The pools of filler: sentences, and entries of a list of words."""
N_SENTENCES: Final = 1000


@frozen
class Words:
    """People's first names, towns that are invented, plain words for lists; subjects, actions,
    places and times, one of each to a sentence of the filler."""

    names: list[str]
    towns: list[str]
    plain: list[str]
    subjects: list[str]
    actions: list[str]
    places: list[str]
    times: list[str]


def read_words() -> Words:
    """The words of `words.toml`."""
    text = Path(__file__).with_name("words.toml").read_text(encoding="utf-8")
    return Words(**tomllib.loads(text))


def pools() -> dict[str, list[str]]:
    """The fillers by name, each entry with the blank that parts it from what stands before."""
    words, drawn = read_words(), Draws("prose")
    parts = (words.subjects, words.actions, words.places, words.times)
    sentences = (f" {' '.join(map(drawn.one, parts))}." for _ in range(N_SENTENCES))
    return {PROSE: list(dict.fromkeys(sentences)), LIST: [entry_of(word) for word in words.plain]}


def entry_of(word: str) -> str:
    """A word as an entry of the list: two tokens at least, since no tokenizer joins a word with the
    comma behind it."""
    return f" {word},"


def variables(drawn: Draws, n: int) -> list[str]:
    """`n` different names that are no words, as KOVAZ: no two begin with the same two letters."""
    heads = drawn.some([c + v for c in "BDFGKLMNPRTV" for v in "AEIOU"], n)
    return [head + drawn.one("BDGKLMNRTV") + drawn.one("AEIOU") + drawn.one("XZ") for head in heads]
