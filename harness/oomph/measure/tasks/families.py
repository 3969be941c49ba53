"""The families of tasks after RULER (arXiv 2404.06654): what one item tells and asks.

Pure and seeded. An item is decided by the seed, its family, its length and its number alone, so
that more items, another length or another family leave it as it was.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from oomph.frozen import frozen
from oomph.measure.tasks.draws import Draws
from oomph.measure.tasks.words import LIST, PROSE, entry_of, read_words, variables

N_DISTRACTORS: Final = 3
"""Keys of the same form as the one that is asked for, with other values (RULER's niah_multikey_1
has as many)."""
N_VALUES: Final = 4
"""Values of one key, of RULER's niah_multivalue."""
N_HOPS: Final = 3
"""Assignments after the first, in each of two chains."""
N_COMMON: Final = 3
"""Words that come most often."""
LEAST_OTHERS: Final = 24
LEAST_COMMON: Final = 8
"""Times that each of the most frequent words comes at least."""
MORE_OFTEN: Final = 3
"""So many times as often as any other word they come at least."""


@frozen
class Told:
    """What one item tells and asks: `sentences` by ascending depth; `depth` is where the one that
    counts stands, None where several do. The filler is `n_pool` entries of `pool` (None: all)
    without those of `without`."""

    head: str
    sentences: Sequence[tuple[float, str]]
    tail: str
    expected: Sequence[str]
    depth: float | None = None
    pool: str = PROSE
    n_pool: int | None = None
    without: Sequence[str] = ()


def niah_single(drawn: Draws, depth: float, n_tokens: int) -> Told:
    """One code of one person in a long text."""
    name, code = drawn.one(read_words().names), drawn.codes(1)[0]
    return Told(
        head="Somewhere in the text below the secret code of a person is told. Remember it.\n\n",
        sentences=[(depth, f" The secret code of {name} is {code}.")],
        tail=f"\n\nWhat is the secret code of {name}? Answer with the code only.",
        expected=[code],
        depth=depth,
    )


def niah_multikey(drawn: Draws, depth: float, n_tokens: int) -> Told:
    """One person's number among those of others, all told in the same words."""
    names, codes = drawn.some(read_words().names, 1 + N_DISTRACTORS), drawn.codes(1 + N_DISTRACTORS)
    places = [depth, *drawn.depths(N_DISTRACTORS)]
    return Told(
        head="Somewhere in the text below the locker numbers of several people are told. Remember "
        "them.\n\n",
        sentences=_by_depth(
            (place, f" The locker number of {name} is {code}.")
            for place, name, code in zip(places, names, codes, strict=True)
        ),
        tail=f"\n\nWhat is the locker number of {names[0]}? Answer with the number only.",
        expected=codes[:1],
        depth=depth,
    )


def niah_multivalue(drawn: Draws, depth: float, n_tokens: int) -> Told:
    """All numbers of one person, told in as many places."""
    name, codes = drawn.one(read_words().names), drawn.codes(N_VALUES)
    return Told(
        head=f"Somewhere in the text below several ticket numbers of {name} are told. Remember all "
        "of them.\n\n",
        sentences=[
            (place, f" One of the ticket numbers of {name} is {code}.")
            for place, code in zip(drawn.depths(N_VALUES), codes, strict=True)
        ],
        tail=f"\n\nWhat are all {N_VALUES} ticket numbers of {name} that the text tells? Answer "
        "with the numbers only.",
        expected=codes,
    )


def variable_tracking(drawn: Draws, depth: float, n_tokens: int) -> Told:
    """All names that hold a value, through a chain of assignments, beside a chain with another."""
    names, codes = variables(drawn, 2 * (1 + N_HOPS)), drawn.codes(2)
    chains = names[: 1 + N_HOPS], names[1 + N_HOPS :]
    sentences = [
        (place, text)
        for chain, code in zip(chains, codes, strict=True)
        for place, text in zip(drawn.depths(1 + N_HOPS), _assignments(chain, code), strict=True)
    ]
    return Told(
        head="Between the sentences of the text below names are set to values. Keep track of "
        "them.\n\n",
        sentences=_by_depth(sentences),
        tail=f"\n\nWhich names have the value {codes[0]} in the end? There are {1 + N_HOPS}. "
        "Answer with the names only.",
        expected=chains[0],
    )


def _assignments(chain: Sequence[str], code: str) -> list[str]:
    first = f" Set {chain[0]} to {code}."
    return [first, *(f" Set {b} to the value of {a}." for a, b in zip(chain, chain[1:]))]  # noqa: B905, RUF007


def common_words(drawn: Draws, depth: float, n_tokens: int) -> Told:
    """The words that come most often in a list: no other comes a third as often.

    An entry takes two tokens at least, so that `n_tokens` bound how often the others can come.
    """
    plain = read_words().plain
    common = drawn.some(plain, N_COMMON)
    n_others = max(LEAST_OTHERS, min(n_tokens // 8, len(plain) - N_COMMON))
    n_times = max(LEAST_COMMON, MORE_OFTEN * -(-n_tokens // (2 * n_others)))
    return Told(
        head="Below is a list of words. Some of them come far more often than the others.\n\n",
        sentences=_by_depth(
            (place, entry_of(word)) for word in common for place in drawn.depths(n_times)
        ),
        tail=f"\n\nWhich {N_COMMON} words come most often in the list? Answer with the words only.",
        expected=common,
        pool=LIST,
        n_pool=n_others,
        without=[entry_of(word) for word in common],
    )


def two_hop(drawn: Draws, depth: float, n_tokens: int) -> Told:
    """A fact names a town, another has the town's code; other people live in other towns."""
    n, words = 1 + N_DISTRACTORS, read_words()
    names, towns, codes = drawn.some(words.names, n), drawn.some(words.towns, n), drawn.codes(n)
    facts = [f" {name} lives in {town}." for name, town in zip(names, towns, strict=True)]
    facts += [
        f" The area code of {town} is {code}." for town, code in zip(towns, codes, strict=True)
    ]
    return Told(
        head="Somewhere in the text below it is told where people live and which area codes towns "
        "have. Remember it.\n\n",
        sentences=_by_depth((drawn.fraction(), fact) for fact in facts),
        tail=f"\n\nWhat is the area code of the town in which {names[0]} lives? Answer with the "
        "code only.",
        expected=codes[:1],
    )


def _by_depth(sentences: Iterable[tuple[float, str]]) -> list[tuple[float, str]]:
    return sorted(sentences, key=lambda each: each[0])


@frozen
class Family:
    """A way to make items; `n_answer` tokens are room for the answer. With `has_depth` what counts
    stands in one place, which goes through the depths that are asked for."""

    make: Callable[[Draws, float, int], Told]
    n_answer: int
    has_depth: bool = False


FAMILIES: Final[Mapping[str, Family]] = {
    "niah_single": Family(make=niah_single, n_answer=32, has_depth=True),
    "niah_multikey": Family(make=niah_multikey, n_answer=32, has_depth=True),
    "niah_multivalue": Family(make=niah_multivalue, n_answer=64),
    "variable_tracking": Family(make=variable_tracking, n_answer=64),
    "common_words": Family(make=common_words, n_answer=32),
    "two_hop": Family(make=two_hop, n_answer=32),
}
