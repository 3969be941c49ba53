"""What of a conversation goes into a prompt of so many tokens.

Stands apart from the loop so that the promise (a prompt never exceeds its budget) can be tested
without a model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from oomph.errors import ConfigError
from oomph.frozen import frozen

MESSAGE_TOKENS: Final = 12
"""What a chat template puts around a message, at most, in the templates of models of today."""
LEAST_ANSWER: Final = 16
LEAST_QUESTION: Final = 64
"""A context in which nothing of a question would fit is refused."""


@frozen
class Exchange:
    """A question and its answer, None while it is not finished; `n_tokens` of both with what
    surrounds them."""

    id: int
    question: str
    answer: str | None
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt, under the role that chat templates know."""

    role: str
    content: str


@frozen
class Budget:
    """Tokens of a context of `n_ctx`, shared out: `n_answer` for the answer, at most so many for
    each part before."""

    n_ctx: int
    n_answer: int

    def __post_init__(self) -> None:
        if self.n_answer < LEAST_ANSWER or self.n_prompt < LEAST_QUESTION + 2 * MESSAGE_TOKENS:
            raise ConfigError(
                f"n_ctx is {self.n_ctx} and the answer takes up to {self.n_answer} of it: no room "
                "to talk; give a larger --n-ctx"
            )

    @classmethod
    def of(cls, n_ctx: int) -> "Budget":
        """A quarter of the context for the answer, 1,024 tokens at most."""
        return cls(n_ctx=n_ctx, n_answer=min(n_ctx // 4, 1024))

    @property
    def n_prompt(self) -> int:
        """All that is before the answer."""
        return self.n_ctx - self.n_answer

    @property
    def n_memory(self) -> int:
        """The running memory and the notes put back beside it."""
        return self.n_prompt // 6

    @property
    def n_recalled(self) -> int:
        """Earlier exchanges that are put back."""
        return self.n_prompt // 3


def latest(exchanges: Sequence[Exchange], n_tokens: int) -> list[Exchange]:
    """The last exchanges that fit together, in their order."""
    kept: list[Exchange] = []
    for exchange in reversed(exchanges):
        n_tokens -= exchange.n_tokens
        if n_tokens < 0:
            break
        kept.append(exchange)
    return kept[::-1]


def fitting(ranked: Iterable[Exchange], n_tokens: int) -> list[Exchange]:
    """Of exchanges by falling relevance those that fit, each where there is still room for it; in
    their order."""
    kept: list[Exchange] = []
    for exchange in ranked:
        if exchange.n_tokens <= n_tokens:
            kept.append(exchange)
            n_tokens -= exchange.n_tokens
    return sorted(kept, key=lambda exchange: exchange.id)


def assemble(
    *,
    instruction: str,
    memory: str,
    notes: Sequence[str],
    recalled: Sequence[Exchange],
    recent: Sequence[Exchange],
    question: str,
) -> list[Message]:
    """The prompt: instruction and memory, the latest exchanges, the question with earlier exchanges
    before it.

    What is put back stands in the question's own message: quoted, since a small model that sees its
    own earlier answer as a turn repeats it, and last, since what comes before then stays the same
    from question to question and its cells need no second prefill. Roles alternate strictly, as
    some chat templates demand: only finished exchanges come in.
    """
    system = (
        f"{instruction}\n\nWhat was said earlier, in short:\n{memory}" if memory else instruction
    )
    messages = [Message("system", system)]
    for exchange in recent:
        messages += [
            Message("user", exchange.question),
            Message("assistant", exchange.answer or ""),
        ]
    earlier = [
        *notes,
        *(f"I said: {exchange.question}\nYou said: {exchange.answer}" for exchange in recalled),
    ]
    if earlier:
        question = "Earlier in this conversation:\n" + "\n".join(earlier) + f"\n\n{question}"
    return [*messages, Message("user", question)]
