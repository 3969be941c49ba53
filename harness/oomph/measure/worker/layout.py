"""A task's item laid out to an exact number of tokens: what it tells, within a filler.

Pure, and of any kind of token: the model's numbers, or pieces of text where there is no model.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from oomph.measure.worker.protocol import TaskAsked

T = TypeVar("T")
TokensOf = Callable[[str], Sequence[T]]


class Pools(Generic[T]):
    """The fillers by name, each entry as its tokens, taken once."""

    def __init__(self, pools: dict[str, list[str]], tokens_of: TokensOf[T]) -> None:
        self._texts = pools
        self._tokens: dict[str, list[Sequence[T]]] = {
            name: [tokens_of(entry) for entry in entries] for name, entries in pools.items()
        }

    def entries(self, item: TaskAsked) -> Iterator[Sequence[T]]:
        """The item's filler without end: its entries in an order of its own, then in another.

        Only `random()` of a generator seeded by a text is used, which is the same in every version
        of Python.
        """
        drawn, barred = random.Random(item["order"]), frozenset(item["without"])
        texts, tokens = self._texts[item["pool"]], self._tokens[item["pool"]]
        chosen = [at for at in _shuffled(range(len(texts)), drawn) if texts[at] not in barred]
        chosen = chosen[: item["n_pool"]]
        while any(tokens[at] for at in chosen):
            yield from (tokens[at] for at in chosen)
            chosen = _shuffled(chosen, drawn)


def _shuffled(numbers: Sequence[int], drawn: random.Random) -> list[int]:
    return sorted(numbers, key=lambda _: drawn.random())


def lay_out(
    item: TaskAsked, pools: Pools[T], tokens_of: TokensOf[T], *, n_around: int
) -> list[T] | None:
    """The tokens of the user's words: with the `n_around` tokens of the chat template and the
    `n_answer` of the answer they are `n_tokens`, exactly. None where that is too few for what the
    item tells.

    The filler begins in the middle of an entry where that makes it exact, as an excerpt would.
    """
    head, tail = tokens_of(item["head"]), tokens_of(item["tail"])
    told = [(depth, tokens_of(text)) for depth, text in item["told"]]
    room = item["n_tokens"] - item["n_answer"] - n_around - len(head) - len(tail)
    n_filler = room - sum(len(tokens) for _, tokens in told)
    if n_filler < 0:
        return None
    fitting, n_filled = list[Sequence[T]](), 0
    fragment: Sequence[T] = ()
    for entry in pools.entries(item):
        if n_filled + len(entry) > n_filler:
            fragment = entry[len(entry) - (n_filler - n_filled) :]
            break
        fitting.append(entry)
        n_filled += len(entry)
    if n_filled + len(fragment) < n_filler:  # a tokenizer that makes nothing of the filler
        return None
    return [*head, *fragment, *_between(fitting, told, n_filled), *tail]


def _between(
    entries: Sequence[Sequence[T]], told: Sequence[tuple[float, Sequence[T]]], n_entries: int
) -> list[T]:
    """The entries, `n_entries` tokens, with what is told between them at its depths (ascending
    fractions)."""
    text: list[T] = []
    waiting, n_before = list(reversed(told)), 0
    for entry in entries:
        while waiting and waiting[-1][0] * n_entries <= n_before:
            text.extend(waiting.pop()[1])
        text.extend(entry)
        n_before += len(entry)
    for _, tokens in reversed(waiting):
        text.extend(tokens)
    return text


def item_name(tokens: Sequence[int] | Sequence[str], expected: Sequence[str]) -> str:
    """Sixteen hex digits that say "asked the same": of the whole prompt's tokens, the template's
    among them, and of what is expected."""
    said = json.dumps([list(tokens), list(expected)])
    return hashlib.sha256(said.encode()).hexdigest()[:16]
