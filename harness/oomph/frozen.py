"""The dataclass of which oomph's values are made: keyword-only, slotted, equal by its fields.

`dataclasses` compiles six methods for each class that it freezes, and a start makes a hundred such
classes, most of them of a handful of values: it would be a quarter of the start's time. Here all
methods are shared, and `__init__` alone is compiled, once there are so many values that it pays.
That nothing is assigned to a value is for the type checker to say; its making takes half the time.
"""

from collections.abc import Callable
from dataclasses import (  # type: ignore[attr-defined]  # the mark by which `fields` knows a field
    _FIELD,
    MISSING,
    Field,
    dataclass,
    field,
)
from functools import cached_property
from inspect import Signature, get_annotations, signature
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeVar, dataclass_transform

T = TypeVar("T")

INTERPRETED: Final = 50
"""So many values of a class take as long without a compiled `__init__` as its compilation."""


@dataclass(init=False, repr=False, eq=False)
class _Uncompiled:
    """What `dataclasses` says of a class for which it compiled nothing is true of all here."""


@dataclass_transform(
    eq_default=True, kw_only_default=True, frozen_default=True, field_specifiers=(field,)
)
def frozen(cls: type[T]) -> type[T]:
    """`cls` as a dataclass of values, which are hashable where their fields are."""
    inherited: dict[str, Field[Any]] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited |= base.__dict__.get("__dataclass_fields__", {})
    own = _own_fields(cls)
    fields = inherited | own
    left_out = own.keys() | {"__dict__", "__weakref__"}
    body = {name: said for name, said in cls.__dict__.items() if name not in left_out}
    body.setdefault("__repr__", _repr)
    body["__qualname__"] = cls.__qualname__
    body["__slots__"] = tuple(name for name in own if name not in inherited)
    if any(isinstance(each, cached_property) for each in body.values()):
        body["__slots__"] += ("__dict__",)  # where what is computed once is kept
    body["__dataclass_fields__"] = fields
    body["__dataclass_params__"] = _Uncompiled.__dataclass_params__  # type: ignore[attr-defined]
    body["__signature__"] = _Signature()
    compared = tuple(name for name, each in fields.items() if each.compare)
    body["__eq__"], body["__hash__"] = _comparing(compared)
    kind: Any = type(cls)
    made = kind(cls.__name__, cls.__bases__, body)
    made.__init__ = _interpreted(made)
    return made  # type: ignore[no-any-return]


@dataclass_transform(eq_default=True, kw_only_default=True, field_specifiers=(field,))
def mutable(cls: type[T]) -> type[T]:
    """`cls` as `frozen` makes it, for what is filled step by step: nothing is hashed by it."""
    made: Any = frozen(cls)
    made.__hash__ = None
    return made  # type: ignore[no-any-return]


def _own_fields(cls: type) -> dict[str, Field[Any]]:
    """What `cls` itself annotates, as `dataclasses` describes it."""
    found = {}
    for name, kind in get_annotations(cls).items():
        if getattr(kind, "__origin__", kind) is ClassVar:
            continue
        said = cls.__dict__.get(name, MISSING)
        each: Any = said if isinstance(said, Field) else field(default=said)
        if type(each.default).__hash__ is None:
            raise ValueError(f"{cls.__qualname__}.{name} needs a default_factory")
        each.name, each.type, each.kw_only, each._field_type = name, kind, True, _FIELD
        found[name] = each
    return found


def _interpreted(made: Any) -> Callable[..., None]:
    """`__init__` that goes through the fields of `made`, and in time has itself replaced."""
    fields = made.__dataclass_fields__
    defaults = {name: each.default for name, each in fields.items() if each.default is not MISSING}
    factories = {
        name: each.default_factory
        for name, each in fields.items()
        if each.default_factory is not MISSING
    }
    known = fields.keys()
    needed = known - defaults.keys() - factories.keys()
    is_checked = hasattr(made, "__post_init__")
    left = INTERPRETED

    def fill(self: Any, /, *unnamed: Any, **values: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0 or unnamed or not needed <= values.keys() <= known:
            made.__init__ = _compiled(made)
            made.__init__(self, *unnamed, **values)
            return
        for name, value in (defaults | values).items():
            setattr(self, name, value)
        for name, factory in factories.items():
            if name not in values:
                setattr(self, name, factory())
        if is_checked:
            self.__post_init__()

    return fill


def _compiled(made: Any) -> Callable[..., None]:
    """The `__init__` that `dataclasses` compiles for these fields: it also says what is wrong."""
    body = {name: getattr(made, name) for name in ("__module__", "__qualname__", "__doc__")}
    if hasattr(made, "__post_init__"):
        body["__post_init__"] = made.__post_init__
    fields = made.__dataclass_fields__
    body["__annotations__"] = {name: each.type for name, each in fields.items()}
    plain: Any = type(made.__name__, (), body | fields)
    dataclass(kw_only=True, eq=False, repr=False, match_args=False)(plain)
    return plain.__init__  # type: ignore[no-any-return]


class _Signature:
    """What a class says that it takes: what its compiled `__init__` takes."""

    def __get__(self, value: object, owner: type) -> Signature:
        _, *parameters = signature(_compiled(owner)).parameters.values()
        return Signature(parameters)


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
