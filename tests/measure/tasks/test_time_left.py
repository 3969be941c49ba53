"""The asking ends in time, whatever an item's length costs; played against a clock of its own."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oomph.measure.worker.tasks as worker
from oomph.measure.tasks.items import asked_items, tasks_asked
from oomph.measure.workload import TaskTest


class Played:
    """A model whose items take `per_token` seconds a token and `per_square` a token squared."""

    def __init__(self, per_token: float, per_square: float) -> None:
        self.now, self._per_token, self._per_square = 0.0, per_token, per_square
        self._n_tokens = 0
        self.said: list[Any] = []

    def prompt(self, item: Any) -> Any:
        self._n_tokens = item["n_tokens"]
        return None if self._n_tokens < 200 else {"tokens": [1, 2], "item": "x"}

    def generate(self, *_: Any, **__: Any) -> str:
        self.now += self._per_token * self._n_tokens + self._per_square * self._n_tokens**2
        return "answer"

    def ask(self, test: TaskTest, seconds: float) -> str | None:
        items = asked_items(test, seed=1, n_ctx=10_000)
        context: Any = SimpleNamespace(api=None, n_ctx_seq=10_000, clear=lambda: None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "layout_of", lambda *_: self)
            patch.setattr(worker, "feed", lambda *_: None)
            patch.setattr(worker, "generate", self.generate)
            patch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: self.now))
            return worker.ask_tasks(
                context,
                None,
                tasks_asked(items, seconds=seconds),
                lambda _, task_item: self.said.append(task_item),
            )


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0, 0.01),
    st.floats(0, 1e-6),
    st.floats(0, 500),
    st.lists(st.integers(200, 9000), min_size=1, max_size=4, unique=True),
)
def test_no_item_ends_after_the_time_and_cells_stay_equal(
    per_token: float, per_square: float, seconds: float, lengths: list[int]
) -> None:
    played = Played(per_token, per_square)
    test = TaskTest(lengths=tuple(lengths), n_items=5, families=("two_hop", "niah_single"))
    missing = played.ask(test, seconds)
    n_asked = len(played.said)
    first = min(lengths)
    assert n_asked <= 1 or played.now <= seconds + 1e-6
    assert n_asked == 0 or seconds >= 0
    if n_asked == 10 * len(lengths):
        assert missing is None
    else:
        assert missing == f"the time was up: {n_asked} of {10 * len(lengths)} items asked"
    cells = Counter((item["task"], item["n_tokens"]) for item in played.said)
    assert not cells or max(cells.values()) - min(cells[t, first] for t in test.families) <= 1


def test_lengths_that_hold_no_item_are_named_with_what_the_time_left_out() -> None:
    test = TaskTest(lengths=(150, 1000), n_items=2, families=("two_hop",))
    assert Played(0.001, 0).ask(test, 100) == ("two_hop: 150 tokens are too few for what is told")
    assert Played(0.001, 0).ask(test, 1.5) == (
        "two_hop: 150 tokens are too few for what is told; the time was up: 1 of 4 items asked"
    )
