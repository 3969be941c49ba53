"""The coefficients that a fit varies, as a bounded vector, and their slopes on observations.


The formulas of `estimate` take numpy arrays for coefficients, so one evaluation with one entry per
varied coefficient gives a whole row of the Jacobian. What was asked many times is computed once.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

import numpy as np

from oomph.calibrate.least_squares import Array
from oomph.calibrate.observations import SpeedObservation
from oomph.estimate.coefficients import OWN, Definition, definitions

STEP: Final = 1e-5
"""Step of the differences, on the logarithm of a coefficient (on itself where it is linear)."""


class Parameters:
    """Which coefficients a fit varies: shared ones, and own effects of each card; logarithms unless
    linear.

    A fit's vector holds the shared ones first, then the own ones card by card.
    """

    def __init__(
        self, base: Mapping[str, float], shared: Sequence[str], cards: Sequence[str] = ()
    ) -> None:
        self.base = dict(base)
        self.shared = tuple(shared)
        self.cards = tuple(cards)
        known = definitions()
        self.definitions: tuple[Definition, ...] = tuple(known[name] for name in self.shared)
        self.own_definitions: tuple[Definition, ...] = (
            tuple(known[name] for name in OWN) if cards else ()
        )

    @property
    def all_definitions(self) -> tuple[Definition, ...]:
        """One definition for each entry of the vector."""
        return self.definitions + self.own_definitions * len(self.cards)

    def start(self, own: Mapping[str, Mapping[str, float]] | None = None) -> Array:
        """The base values as a vector; own effects from `own`, 1 where it has none."""
        shared = [_to_vector(d, self.base[d.name]) for d in self.definitions]
        effects = [
            _to_vector(d, (own or {}).get(card, {}).get(d.name, 1.0))
            for card in self.cards
            for d in self.own_definitions
        ]
        return np.array(shared + effects)

    def column(self, attribute: Callable[[Definition], float]) -> Array:
        """`attribute` of each definition on the vector's scale."""
        return np.array([attribute(d) for d in self.all_definitions])

    def lower(self) -> Array:
        """Lower bounds on the vector's scale."""
        return self.column(lambda d: _to_vector(d, d.lower))

    def upper(self) -> Array:
        """Upper bounds on the vector's scale."""
        return self.column(lambda d: _to_vector(d, d.upper))

    def values(self, x: Array) -> dict[str, float]:
        """All coefficients with the shared ones of the vector."""
        return self.base | {
            d.name: _from_vector(d, v) for d, v in zip(self.definitions, x, strict=False)
        }

    def own(self, x: Array) -> dict[str, dict[str, float]]:
        """The own effects of each card."""
        offset, size = len(self.shared), len(self.own_definitions)
        return {
            card: {
                d.name: _from_vector(d, x[offset + i * size + j])
                for j, d in enumerate(self.own_definitions)
            }
            for i, card in enumerate(self.cards)
        }

    def evaluate(self, observations: Sequence[SpeedObservation], x: Array) -> tuple[Array, Array]:
        """ln(predicted / measured) of each observation and its derivatives by the vector's
        entries."""
        n_shared, n_own = len(self.shared), len(self.own_definitions)
        width = n_shared + n_own + 1
        varied: dict[str, Array | float] = dict(self.base)
        for i, d in enumerate(self.definitions):
            varied[d.name] = _varied(d, x[i], i + 1, width)
        offsets = {card: n_shared + n_own * i for i, card in enumerate(self.cards)}
        own: dict[str, dict[str, Array]] = {
            card: {
                d.name: _varied(d, x[offset + j], n_shared + j + 1, width)
                for j, d in enumerate(self.own_definitions)
            }
            for card, offset in offsets.items()
        }
        seconds: list[Array] = []
        number_of: dict[Hashable, int] = {}
        for o in observations:
            if number_of.setdefault((o.asked, o.card), len(seconds)) == len(seconds):
                values = varied | own.get(o.card, {})
                found = np.asarray(o.seconds_per_token(values))  # type: ignore[arg-type]
                seconds.append(np.broadcast_to(found, (width,)))
        which = [number_of[o.asked, o.card] for o in observations]
        rates = np.array([o.tokens_per_s for o in observations])
        errors = -np.log(np.array(seconds).reshape(-1, width)[which] * rates[:, None])
        slopes = (errors[:, 1:] - errors[:, :1]) / STEP
        jacobian = np.zeros((len(observations), len(x)))
        jacobian[:, :n_shared] = slopes[:, :n_shared]
        for card, at in offsets.items():
            rows = [row for row, o in enumerate(observations) if o.card == card]
            jacobian[rows, at : at + n_own] = slopes[rows, n_shared:]
        return errors[:, 0], jacobian


def _to_vector(definition: Definition, value: float) -> float:
    return value if definition.linear else float(np.log(value))


def _from_vector(definition: Definition, value: float) -> float:
    return float(value) if definition.linear else float(np.exp(value))


def _varied(definition: Definition, value: float, at: int, width: int) -> Array:
    """The coefficient `width` times over, the entry `at` a step further."""
    entries = np.full(width, value)
    entries[at] += STEP
    return entries if definition.linear else np.exp(entries)
