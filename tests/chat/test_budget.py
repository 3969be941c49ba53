"""What goes into a prompt: never more than the budget, never out of order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.chat.budget import Budget, Exchange, assemble, fitting, latest
from oomph.errors import ConfigError

EXCHANGES = st.lists(st.integers(1, 200), max_size=30).map(
    lambda sizes: [
        Exchange(id=i, question=f"q{i}", answer=f"a{i}", n_tokens=n) for i, n in enumerate(sizes)
    ]
)


@given(EXCHANGES, st.integers(0, 1000))
def test_the_latest_are_a_suffix_that_fits_and_cannot_be_longer(
    exchanges: list[Exchange], room: int
) -> None:
    kept = latest(exchanges, room)
    assert kept == exchanges[len(exchanges) - len(kept) :]
    assert sum(e.n_tokens for e in kept) <= room
    if len(kept) < len(exchanges):
        assert sum(e.n_tokens for e in exchanges[-len(kept) - 1 :]) > room


@given(EXCHANGES, st.integers(0, 1000), st.randoms())
def test_the_relevant_fit_stand_in_their_order_and_the_best_goes_first(
    exchanges, room, random
) -> None:  # type: ignore[no-untyped-def]
    ranked = random.sample(exchanges, len(exchanges))
    kept = fitting(ranked, room)
    assert sum(e.n_tokens for e in kept) <= room
    assert [e.id for e in kept] == sorted(e.id for e in kept)
    best = next((e for e in ranked if e.n_tokens <= room), None)
    assert best is None or best in kept


@given(st.integers(128, 40_000))
def test_the_shares_leave_a_window_for_the_latest(n_ctx: int) -> None:
    budget = Budget.of(n_ctx)
    assert budget.n_prompt + budget.n_answer == n_ctx
    assert budget.n_memory + budget.n_recalled <= budget.n_prompt / 2


def test_a_prompt_is_instruction_and_memory_then_turns_that_alternate() -> None:
    old, new = (Exchange(id=i, question=f"q{i}", answer=f"a{i}", n_tokens=1) for i in (1, 9))
    messages = assemble(
        instruction="Be brief.",
        memory="Marta: 1234",
        notes=["Tomas: 5"],
        recalled=[old],
        recent=[new],
        question="and?",
    )
    assert [m.role for m in messages] == ["system", "user", "assistant", "user"]
    assert messages[0].content == "Be brief.\n\nWhat was said earlier, in short:\nMarta: 1234"
    assert [m.content for m in messages[1:3]] == ["q9", "a9"]
    assert (
        messages[3].content
        == "Earlier in this conversation:\nTomas: 5\nI said: q1\nYou said: a1\n\nand?"
    )


def test_with_nothing_put_back_the_question_stands_alone() -> None:
    messages = assemble(
        instruction="Be brief.", memory="", notes=[], recalled=[], recent=[], question="and?"
    )
    assert [(m.role, m.content) for m in messages] == [("system", "Be brief."), ("user", "and?")]


@pytest.mark.parametrize("n_ctx", [0, 64, 100])
def test_a_context_without_room_to_talk_is_refused(n_ctx: int) -> None:
    with pytest.raises(ConfigError, match="give a larger --n-ctx"):
        Budget.of(n_ctx)
