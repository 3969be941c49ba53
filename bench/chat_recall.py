"""Recall of facts told N tokens ago in a conversation, with and without the memory loop, at the
same n_ctx.

    python bench/chat_recall.py [MODEL [N_CTX]]

Codes of names are told, one an exchange, then the conversation goes on about other things for N
tokens, then each code is asked for; nothing of the asking stays in the conversation. MODEL is the
demo model without one. A window of the latest exchanges, the same with exchanges found by BM25 put
back, and with the model's own running memory beside it.
"""

import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from oomph.chat.backends import LocalBackend
from oomph.chat.budget import Budget
from oomph.chat.history import History
from oomph.chat.loop import Conversation, Memory
from oomph.measure.needles import facts, filler
from oomph.measure.workload import NeedleTest
from oomph.models.demo import demo_model

DISTANCES: Final = (100, 1000, 2500)
"""Tokens said since the last of the facts."""
N_FACTS: Final = 8
MEMORIES: Final = {
    "the latest exchanges only": Memory(recall=False),
    "and those found by BM25": Memory(),
    "and the model's own memory": Memory(summarise=True),
}
N_ANSWER: Final = 32


def small_talk(seed: int) -> list[tuple[str, str]]:
    """Exchanges about other things, from our own sentences, without a digit in them."""
    sentences = filler()
    random.Random(seed).shuffle(sentences)
    pairs = zip(sentences[::2], sentences[1::2], strict=False)
    return [(f"Listen: {first}", f"I see. {second}") for first, second in pairs]


def converse(
    backend: LocalBackend, memory: Memory, folder: Path
) -> dict[int, tuple[int, int, float]]:
    """By tokens since the facts: how many were found, the longest prompt, seconds for each
    question."""
    told: Sequence[dict[str, Any]] = facts(NeedleTest(depths=(0.0,) * N_FACTS, n_texts=1), seed=7)[
        0
    ]
    talk, since, found = iter(small_talk(7) * 3), 0, {}
    with History(folder / f"{memory.recall}-{memory.summarise}.sqlite") as history:
        conversation = Conversation(backend, history, memory=memory)
        for fact in told:
            conversation.tell(f"Please remember: {fact['sentence']}", "Thank you.")
        for distance in DISTANCES:
            while since < distance:
                conversation.tell(*next(talk))
                since += history.finished()[-1].n_tokens
            found[distance] = ask(backend, conversation, told)
    return found


def ask(
    backend: LocalBackend, conversation: Conversation, told: Sequence[dict[str, Any]]
) -> tuple[int, int, float]:
    """Ask for each of the facts; nothing of it is kept."""
    n_found, longest, started = 0, 0, time.monotonic()
    for fact in told:
        messages = conversation.messages(fact["question"])
        answer = "".join(backend.stream(messages, n_answer=N_ANSWER))
        n_found += re.search(rf"\b{fact['answer']}\b", answer) is not None
        longest = max(longest, sum(backend.count(message.content) for message in messages))
    return n_found, longest, (time.monotonic() - started) / len(told)


def main(model: Path, n_ctx: int) -> None:
    """Print the table."""
    backend = LocalBackend(model, n_ctx=n_ctx, temperature=0.0, n_threads=1)
    print(
        f"{model.name}, n_ctx {n_ctx}, {Budget.of(n_ctx).n_prompt} of them for the prompt; "
        f"{N_FACTS} facts\n"
    )
    print(f"{'tokens since the facts':34}" + "".join(f"{distance:>12,}" for distance in DISTANCES))
    with tempfile.TemporaryDirectory() as folder:
        for name, memory in MEMORIES.items():
            found = converse(backend, memory, Path(folder))
            print(
                f"{name:34}" + "".join(f"{found[d][0]:>6} of {N_FACTS}" for d in DISTANCES),
                flush=True,
            )
            print(
                f"{'   seconds a question':34}"
                + "".join(f"{found[d][2]:>12.1f}" for d in DISTANCES),
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) > 3:
        sys.exit(__doc__)
    main(
        Path(sys.argv[1]) if len(sys.argv) > 1 else demo_model(),
        int(sys.argv[2]) if len(sys.argv) > 2 else 768,
    )
