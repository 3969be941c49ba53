"""The conversation itself: what of the past goes with a question, and what is kept.

The latest exchanges are in the prompt as they were. Of earlier ones those that share words with the
question are put back, quoted before it; with `summarise` the model also keeps a running memory,
rewritten whenever exchanges leave the window, whose lines are found again as notes.
"""

from collections.abc import Sequence
from typing import Final, cast

from oomph.chat.backends import ChatBackend
from oomph.chat.budget import MESSAGE_TOKENS, Budget, Exchange, Message, assemble, fitting, latest
from oomph.chat.ending import Pieces, Why, until_end, without_repetition
from oomph.chat.history import History
from oomph.errors import ConfigError
from oomph.foreign_text import whole
from oomph.frozen import frozen

INSTRUCTION: Final = "You are a helpful assistant."
_SUMMARISE: Final = (
    "Here are notes on a conversation, and what was said since. Write the notes anew, one fact a "
    "line: keep every name, number and decision, leave out greetings and small "
    "talk.\n\nNotes:\n{memory}\n\nSaid since:\n{said}"
)


@frozen
class Memory:
    """What of the past beyond the window goes into a prompt: exchanges found again, and the model's
    own summary."""

    recall: bool = True
    summarise: bool = False


class Conversation:
    """A conversation with `backend`, all of it in `history`."""

    def __init__(
        self,
        backend: ChatBackend,
        history: History,
        *,
        memory: Memory | None = None,
        instruction: str = INSTRUCTION,
    ) -> None:
        self._backend, self._history, self._memory = backend, history, memory or Memory()
        self._budget, self._instruction = Budget.of(backend.n_ctx), instruction

    @property
    def n_answer(self) -> int:
        """Tokens that an answer has at most."""
        return self._budget.n_answer

    def say(self, question: str) -> Pieces:
        """The answer, piece by piece; what the generator returns says why it ended. What was
        streamed is kept, even if the caller ends it in the middle, and what it says again and again
        is kept once."""
        question = whole(question)
        self._check_length(question)
        number, said = self._history.ask(question), list[str]()
        try:
            pieces = self._stream(self.messages(question), self._budget.n_answer)
            try:
                while True:
                    said.append(next(pieces))
                    yield said[-1]
            except StopIteration as ended:
                return cast(Why, ended.value)
        finally:
            if answer := without_repetition("".join(said)).strip():
                self._history.answer(number, answer, n_tokens=self._size(question, answer))

    def _stream(self, messages: Sequence[Message], n_answer: int) -> Pieces:
        pieces = self._backend.stream(messages, n_answer=n_answer)
        return until_end(pieces, marks=self._backend.marks, n_answer=n_answer)

    def tell(self, question: str, answer: str) -> None:
        """Put an exchange into the history as if it had been said."""
        question, answer = whole(question), whole(answer)
        self._history.answer(
            self._history.ask(question), answer, n_tokens=self._size(question, answer)
        )

    def messages(self, question: str) -> list[Message]:
        """The prompt for a question, within the budget; summarises first what has left the
        window."""
        exchanges, budget = self._history.finished(), self._budget
        room = budget.n_prompt - self._alone(self._instruction) - self._alone(question)
        if sum(exchange.n_tokens for exchange in exchanges) <= room:
            return self._assemble(question, recent=exchanges)
        room -= budget.n_memory * self._memory.summarise + budget.n_recalled * self._memory.recall
        recent = latest(exchanges, room)
        first = recent[0].id if recent else exchanges[-1].id + 1
        summary, notes = self._remembered(question, first) if self._memory.summarise else ("", [])
        found = self._history.relevant(question, before=first) if self._memory.recall else []
        recalled = fitting(found, budget.n_recalled)
        return self._assemble(
            question, recent=recent, recalled=recalled, memory=summary, notes=notes
        )

    def _assemble(
        self,
        question: str,
        *,
        recent: Sequence[Exchange],
        recalled: Sequence[Exchange] = (),
        memory: str = "",
        notes: Sequence[str] = (),
    ) -> list[Message]:
        return assemble(
            instruction=self._instruction,
            memory=memory,
            notes=notes,
            recalled=recalled,
            recent=recent,
            question=question,
        )

    def _remembered(self, question: str, first: int) -> tuple[str, list[str]]:
        """The running memory with all that came before `first` in it, and relevant notes that it no
        longer holds."""
        self._summarise(first)
        _, summary = self._history.memory
        room = self._budget.n_memory - self._alone(summary)
        notes = []
        for note in self._history.relevant_notes(question):
            if note not in summary and (size := self._backend.count(note) + 2) <= room:
                notes.append(note)
                room -= size
        return summary, notes

    def _summarise(self, first: int) -> None:
        """Let the model take into its notes what has left the window since it last did, as much at
        once as fits."""
        upto, summary = self._history.memory
        gone = [exchange for exchange in self._history.finished(after=upto) if exchange.id < first]
        n_notes = self._budget.n_memory - 2 * MESSAGE_TOKENS
        while gone:
            room = self._budget.n_prompt - self._alone(_SUMMARISE + summary)
            batch = latest(gone[::-1], room)[::-1] or gone[:1]
            gone = gone[len(batch) :]
            said = self._cut(
                "\n".join(f"User: {e.question}\nAssistant: {e.answer}" for e in batch), room
            )
            asked = Message("user", _SUMMARISE.format(memory=summary or "none yet", said=said))
            summary = without_repetition("".join(self._stream([asked], n_notes))).strip()
            self._history.remember(summary, upto=batch[-1].id)

    def _cut(self, text: str, room: int) -> str:
        """The beginning of the text that fits, for an exchange that is longer than what can be read
        at once."""
        while (n_tokens := self._backend.count(text)) > room:
            text = text[: len(text) * room // n_tokens - 1]
        return text

    def _check_length(self, question: str) -> None:
        room = self._budget.n_prompt - self._alone(self._instruction)
        if self._alone(question) > room:
            raise ConfigError(
                f"that is longer than the {room} tokens there are for a question; shorten it"
            )

    def _alone(self, text: str) -> int:
        return self._backend.count(text) + MESSAGE_TOKENS

    def _size(self, question: str, answer: str) -> int:
        return self._alone(question) + self._alone(answer)
