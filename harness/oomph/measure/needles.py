"""Facts to hide in a long text, each with its question: seeded, and in words of ours.

A fact is a code of four digits that belongs to a name: guessing finds one in nine thousand, and a
model of 135 million weights can answer it at a short distance, which a question that takes a
thought would not tell from forgetting.
"""

import random
import re
from typing import Final

from oomph.measure.worker.protocol import Fact
from oomph.measure.workload import NeedleTest
from oomph.models.demo import ranking_text

_NAMES: Final = (
    "Marta", "Tomas", "Ingrid", "Pavel", "Leila", "Oscar", "Nadia", "Hugo", "Sofia", "Emil",
    "Greta", "Ivan",
    "Clara", "Felix", "Irina", "Bruno", "Helena", "Viktor", "Amara", "Jonas", "Renata", "Kofi",
    "Lucia", "Anton",
)  # fmt: skip


def facts(test: NeedleTest, *, seed: int) -> list[list[Fact]]:
    """For each text its facts by ascending depth: sentence, question, answer."""
    drawn = random.Random(seed)
    texts = []
    for _ in range(test.n_texts):
        names = drawn.sample(_NAMES, len(test.depths))
        codes = drawn.sample(range(1000, 10_000), len(test.depths))
        texts.append([_fact(*of) for of in zip(sorted(test.depths), names, codes, strict=True)])
    return texts


def _fact(depth: float, name: str, code: int) -> Fact:
    return {
        "depth": depth,
        "sentence": f"The secret code of {name} is {code}.",
        "question": f"What is the secret code of {name}? Answer briefly.",
        "answer": str(code),
    }


def filler() -> list[str]:
    """The sentences that facts are hidden among: those of the text that comes with oomph, which
    holds no digits."""
    return re.split(r"(?<=[.!?])\s+", ranking_text().strip())
