"""The items of a sweep's tasks for one context, in the order in which they are asked."""

from collections.abc import Sequence

from oomph.measure.tasks.draws import Draws
from oomph.measure.tasks.families import FAMILIES
from oomph.measure.tasks.words import pools
from oomph.measure.worker.protocol import TaskAsked, TasksAsked
from oomph.measure.workload import TaskTest


def asked_items(test: TaskTest, *, seed: int, n_ctx: int) -> list[TaskAsked]:
    """The items that a sequence of `n_ctx` tokens holds: the first of every family and length, the
    shortest first, then the second of each, so that whatever ends the asking leaves cells of equal
    size."""
    return [
        item_of(
            family,
            n_tokens,
            index,
            seed=seed,
            depth=test.depths[index % len(test.depths)],
            n_answer=test.n_answer,
        )
        for index in range(test.n_items)
        for n_tokens in test.lengths_within(n_ctx)
        for family in test.families
    ]


def item_of(
    family: str, n_tokens: int, index: int, *, seed: int, depth: float, n_answer: int | None = None
) -> TaskAsked:
    """One item, decided by the seed, its family, length and number; `depth` is for families that
    have one, `n_answer` the room for an answer where it is not the family's own."""
    kind, identity = FAMILIES[family], (seed, family, n_tokens, index)
    told = kind.make(Draws(*identity), depth, n_tokens)
    return {
        "task": family,
        "n_tokens": n_tokens,
        "n_answer": n_answer or kind.n_answer,
        "depth": told.depth,
        "head": told.head,
        "told": list(told.sentences),
        "pool": told.pool,
        "n_pool": 1 << 20 if told.n_pool is None else told.n_pool,
        "without": list(told.without),
        "order": "/".join(map(str, ("order", *identity))),
        "tail": told.tail,
        "expected": list(told.expected),
    }


def tasks_asked(items: Sequence[TaskAsked], *, seconds: float) -> TasksAsked:
    """What a worker is sent."""
    return {"pools": pools(), "items": list(items), "seconds": seconds}
