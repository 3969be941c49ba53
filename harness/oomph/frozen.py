"""The dataclass of which oomph's values are made: keyword-only, slotted, equal by its fields.

`dataclasses` compiles six methods for each class that it freezes, and a start makes a hundred such
classes: a quarter of its time. Here one is compiled, `__init__`, and the others are shared. That
nothing is assigned to a value is for the type checker to say; its making takes half the time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(
    eq_default=True, kw_only_default=True, frozen_default=True, field_specifiers=(field,)
)
def frozen(cls: type[T]) -> type[T]:
    """`cls` as a dataclass of values, which are hashable where their fields are."""
    made: Any = dataclass(slots=True, kw_only=True, eq=False, repr=False, match_args=False)(cls)
    fields = made.__dataclass_fields__.values()
    made.__eq__, made.__hash__ = _comparing(tuple(each.name for each in fields if each.compare))
    if "__repr__" not in cls.__dict__:
        made.__repr__ = _repr
    return made  # type: ignore[no-any-return]


def _comparing(
    names: tuple[str, ...],
) -> tuple[Callable[[Any, object], Any], Callable[[Any], int]]:
    """`__eq__` and `__hash__` of what has these fields."""
    read: Callable[[Any], tuple[Any, ...]] = (
        attrgetter(*names)
        if len(names) > 1
        else lambda value: tuple(getattr(value, name) for name in names)
    )

    def equals(self: Any, other: object) -> Any:
        if self.__class__ is not other.__class__:
            return NotImplemented
        return read(self) == read(other)

    return equals, lambda self: hash(read(self))


def _repr(self: Any) -> str:
    fields = self.__dataclass_fields__.values()
    told = (f"{each.name}={getattr(self, each.name)!r}" for each in fields if each.repr)
    return f"{self.__class__.__qualname__}({', '.join(told)})"
