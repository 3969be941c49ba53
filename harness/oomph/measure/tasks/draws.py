"""Seeded draws that are the same in every version of Python: of `random()` alone."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """Draws that are decided by `seed`, which may be any plain values."""

    def __init__(self, *seed: object) -> None:
        self._random = random.Random("/".join(map(str, seed)))

    def fraction(self) -> float:
        """From 0 to 1, to six digits."""
        return round(self._random.random(), 6)

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        return int(self._random.random() * n)

    def one(self, of: Sequence[T]) -> T:
        """One of them."""
        return of[self.below(len(of))]

    def some(self, of: Sequence[T], n: int) -> list[T]:
        """`n` different ones of them, in any order."""
        return sorted(of, key=lambda _: self._random.random())[:n]

    def codes(self, n: int) -> list[str]:
        """`n` different codes of four digits: guessing finds one in nine thousand."""
        return [str(1000 + number) for number in self.some(range(9000), n)]

    def depths(self, n: int) -> list[float]:
        """`n` places in a text, ascending."""
        return sorted(self.fraction() for _ in range(n))
