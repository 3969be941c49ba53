"""What a probability of fitting is called: yes, probably, doubtful or no."""

from typing import Final, Literal

SURE: Final = 0.9
"""The probability of fitting from which a configuration is offered."""
EVEN: Final = 0.5
POSSIBLE: Final = 0.1

Verdict = Literal["yes", "probably", "doubtful", "no", "refused"]
"""Fits with 90 % or more, even odds or more, 10 % or more, less; or llama.cpp refuses it whatever
the card."""


def verdict_of(probability: float) -> Verdict:
    """The word for a probability of fitting."""
    if probability >= SURE:
        return "yes"
    return "probably" if probability >= EVEN else "doubtful" if probability >= POSSIBLE else "no"
