"""What the tables of a sweep file share: strictness, numbers with units, ranges.

Stands apart so that the workload's tables and the sweep's own are built of the same parts.
"""

import itertools
import re
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from oomph.units import parse_size

MAX_VALUES: Final = 10_000
"""Values of an axis, and points of a group."""


class StrictTable(BaseModel):
    """A table of TOML: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _as_bytes(value: Any) -> Any:
    return parse_size(value) if isinstance(value, str) else value


def as_float(value: Any) -> Any:
    """A whole number as the number that a strict field wants."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Seconds = Annotated[float, BeforeValidator(as_float), Field(gt=0)]
Fraction = Annotated[float, BeforeValidator(as_float), Field(gt=0, lt=1)]
Bytes = Annotated[int, BeforeValidator(_as_bytes), Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Range(StrictTable):
    """`{first, last, step}` or `{first, last, mult}`: both ends included where the stride meets
    them."""

    first: int
    last: int
    step: Annotated[int, Field(ge=1)] | None = None
    mult: Annotated[int, Field(ge=2)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.step and self.mult:
            raise ValueError("takes step or mult, not both")
        if self.mult and self.first < 1:
            raise ValueError("with mult must start at 1 or more")
        if not self.mult and (self.last - self.first) // (self.step or 1) >= MAX_VALUES:
            raise ValueError(f"has more than {MAX_VALUES:,} values")
        if self.last < self.first:
            raise ValueError(f"ends ({self.last}) before it starts ({self.first})")
        return self

    def values(self) -> tuple[int, ...]:
        """The numbers of the range, ascending."""
        if not self.mult:
            return tuple(range(self.first, self.last + 1, self.step or 1))
        powers = itertools.takewhile(
            lambda value: value <= self.last,
            (self.first * self.mult**power for power in itertools.count()),
        )
        return tuple(powers)


_RANGE_TEXT: Final = re.compile(r"([0-9]{1,15})-([0-9]{1,15})(?:([+*])([0-9]{1,15}))?")


def expand(value: Any) -> tuple[Any, ...]:
    """The values of an axis: a list, a range table, llama-bench's `first-last+step`, or one
    value."""
    if isinstance(value, dict):
        return Range.model_validate(value).values()
    if isinstance(value, list):
        return tuple(
            itertools.chain.from_iterable(
                expand(item) if isinstance(item, str) else (item,) for item in value
            )
        )
    if isinstance(value, str) and (match := _RANGE_TEXT.fullmatch(value)):
        stride = {{"+": "step", "*": "mult"}[match[3]]: int(match[4])} if match[3] else {}
        return Range(first=int(match[1]), last=int(match[2]), **stride).values()
    return (value,)
