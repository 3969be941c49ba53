"""The loop on a backend that counts words: budgets kept, the past put back, nothing lost."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.chat.budget import MESSAGE_TOKENS, Budget, Message
from oomph.chat.history import History
from oomph.chat.loop import Conversation, Memory
from oomph.errors import ConfigError

FACT = "The secret code of Marta is 4821"


class Parrot:
    """Counts words as tokens, keeps the prompts it was given, and answers with `words`."""

    def __init__(self, n_ctx: int, words: str = "so it is") -> None:
        self.n_ctx, self.words, self.prompts = n_ctx, words, list[list[Message]]()
        self.marks = ("<|im_end|>",)

    def count(self, text: str) -> int:
        return len(text.split())

    def stream(self, messages: Sequence[Message], *, n_answer: int) -> Iterator[str]:
        self.prompts.append(list(messages))
        for word in self.words.split()[:n_answer]:
            yield f"{word} "


def _size(messages: list[Message]) -> int:
    return sum(len(message.content.split()) + MESSAGE_TOKENS for message in messages)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=25),
    st.booleans(),
    st.booleans(),
)
def test_a_prompt_never_exceeds_its_budget(
    sizes: list[tuple[int, int]], recall: bool, summarise: bool
) -> None:
    backend = Parrot(512, words="note " * 500)
    with History(":memory:") as history:
        talk = Conversation(backend, history, memory=Memory(recall=recall, summarise=summarise))
        for asked, answered in sizes:
            talk.tell("word " * asked, "word " * answered)
        assert _size(talk.messages("word " * 50)) <= Budget.of(512).n_prompt
        assert all(_size(prompt) <= Budget.of(512).n_prompt for prompt in backend.prompts)


@pytest.mark.parametrize(("recall", "expected"), [(True, True), (False, False)])
def test_what_has_left_the_window_comes_back_when_it_is_asked_for(
    recall: bool, expected: bool
) -> None:
    with History(":memory:") as history:
        talk = Conversation(Parrot(400), history, memory=Memory(recall=recall))
        talk.tell(FACT, "Noted.")
        for number in range(30):
            talk.tell(f"Weather report number {number} from the coast", "It rains.")
        messages = talk.messages("What is the secret code of Marta?")
        assert any(FACT in message.content for message in messages) == expected
        assert any("number 29" in message.content for message in messages), (
            "the latest are there as well"
        )
        contents = "\n".join(message.content for message in messages)
        numbers = re.findall(r"number (\d+) ", contents)
        assert len(numbers) == len(set(numbers)), "nothing stands twice"


def test_the_model_notes_what_leaves_the_window_once() -> None:
    backend = Parrot(400, words=FACT)
    with History(":memory:") as history:
        talk = Conversation(backend, history, memory=Memory(recall=False, summarise=True))
        for number in range(30):
            talk.tell(f"Weather report number {number} from the coast", "It rains.")
        first = talk.messages("anything new?")
        assert FACT in first[0].content
        n_summaries = len(backend.prompts)
        assert n_summaries > 0
        assert "Weather report number 0" in backend.prompts[0][0].content
        talk.messages("anything new?")
        assert len(backend.prompts) == n_summaries


def test_an_exchange_longer_than_a_prompt_is_noted_from_its_beginning() -> None:
    backend = Parrot(400, words=FACT)
    with History(":memory:") as history:
        talk = Conversation(backend, history, memory=Memory(summarise=True))
        talk.tell("word " * 2000, "Noted.")
        assert FACT in talk.messages("What was that?")[0].content
        assert _size(backend.prompts[0]) <= Budget.of(400).n_prompt


def test_an_answer_that_is_stopped_in_the_middle_is_kept_as_far_as_it_came() -> None:
    with History(":memory:") as history:
        pieces = Conversation(Parrot(400, "one two three"), history).say("count")
        assert next(pieces) == "one "
        pieces.close()  # type: ignore[attr-defined]
        assert [(e.question, e.answer) for e in history.finished()] == [("count", "one")]


def test_a_question_is_on_the_disk_before_the_model_sees_it() -> None:
    class Broken(Parrot):
        def stream(self, messages: Any, *, n_answer: int) -> Any:
            raise ConfigError("the server is gone")

    with History(":memory:") as history:
        with pytest.raises(ConfigError, match="gone"):
            list(Conversation(Broken(400), history).say("are you there?"))
        assert history.unanswered() == "are you there?"


def test_a_question_longer_than_the_room_is_refused_and_not_kept() -> None:
    with History(":memory:") as history:
        with pytest.raises(ConfigError, match="shorten it"):
            list(Conversation(Parrot(400), history).say("word " * 400))
        assert history.unanswered() is None


def test_what_is_said_again_and_again_is_kept_once_and_breeds_nothing() -> None:
    with History(":memory:") as history:
        talk = Conversation(Parrot(8000, "she sat by the sea and sang a song " * 90), history)
        assert 200 <= len("".join(talk.say("tell a story"))) < 300
        (kept,) = history.finished()
        assert kept.answer == "she sat by the sea and sang a song"


def test_an_answer_ends_before_the_mark_of_its_template() -> None:
    with History(":memory:") as history:
        list(Conversation(Parrot(400, "I see. <|im_end|> <|im_start|>user"), history).say("hello"))
        assert [each.answer for each in history.finished()] == ["I see."]


def test_a_question_with_a_byte_that_is_no_text_is_kept() -> None:
    """As a terminal of another encoding sends it."""
    with History(":memory:") as history:
        talk = Conversation(Parrot(512), history)
        assert "".join(talk.say("caf\udce9?")) == "so it is "
        talk.tell("\ud800", "\udcff")
        kept = [(each.question, each.answer) for each in history.finished()]
    assert kept == [("caf\ufffd?", "so it is"), ("\ufffd", "\ufffd")]
