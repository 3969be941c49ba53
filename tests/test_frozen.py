"""Values are what `dataclasses` would have made of them, but for what it would have compiled."""

import pickle
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from inspect import signature
from pprint import pformat
from typing import Any, ClassVar, Generic, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from oomph.frozen import INTERPRETED, frozen, mutable


@frozen
class Plain:
    """Three fields, one that is not compared."""

    n: int
    names: tuple[str, ...] = ()
    seen: list[int] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    n: int
    names: tuple[str, ...] = ()
    seen: list[int] = field(default_factory=list, compare=False, repr=False)


@frozen
class One:
    n: float


@frozen
class Nothing:
    """No field at all."""


@frozen
class Checked:
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"n is {self.n}")

    def __repr__(self) -> str:
        return "its own"


VALUES = st.fixed_dictionaries(
    {"n": st.integers(0, 2), "names": st.lists(st.sampled_from("ab")).map(tuple)}
)


@given(VALUES, VALUES)
def test_equal_hashed_and_shown_as_a_frozen_dataclass(
    one: dict[str, object], other: dict[str, object]
) -> None:
    made, twins = [Plain(**one), Plain(**other)], [Twin(**one), Twin(**other)]
    assert (made[0] == made[1]) is (twins[0] == twins[1])
    assert [hash(each) for each in made] == [hash(each) for each in twins]
    assert [repr(each) for each in made] == [repr(each).replace("Twin", "Plain") for each in twins]


def test_printers_that_know_dataclasses_show_it_as_it_shows_itself() -> None:
    """pytest's is one of them: a failed assertion shall say what was found."""
    for value in (Plain(n=1, names=("a",)), Checked(n=1), Nothing()):
        assert pformat(value) == repr(value)
        assert pformat([value], width=1) == f"[{value!r}]"


def test_what_is_not_compared_makes_no_difference() -> None:
    assert Plain(n=1, seen=[1]) == Plain(n=1)
    assert {Plain(n=1, seen=[1]): "found"}[Plain(n=1)] == "found"


def test_of_one_field_or_none() -> None:
    assert One(n=1) == One(n=1.0) != One(n=2)
    nan = float("nan")
    assert One(n=nan) == One(n=nan) != One(n=float("nan"))
    assert (hash(Nothing()), Nothing()) == (hash(Nothing()), Nothing())
    assert repr(Nothing()) == "Nothing()"


def test_of_two_classes_nothing_is_equal() -> None:
    assert One(n=1) != Checked(n=1)
    assert Plain(n=1) != Twin(n=1)


def test_it_has_slots_takes_keywords_and_is_a_dataclass() -> None:
    with pytest.raises(TypeError, match="positional"):
        Plain(1)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Plain(n=1).other = 1  # type: ignore[attr-defined]
    assert [each.name for each in fields(Plain)] == ["n", "names", "seen"]
    assert replace(Plain(n=1), names=("a",)) == Plain(n=1, names=("a",))
    with pytest.raises(ValueError, match="n is -1"):
        replace(Checked(n=0), n=-1)
    assert repr(Checked(n=0)) == "its own"


def test_it_travels_between_processes() -> None:
    value = Plain(n=3, names=("a", "b"), seen=[4])
    read = pickle.loads(pickle.dumps(value))
    assert read == value
    assert read.seen == [4]


def body() -> type:
    """Undecorated, with all that a field may say."""

    class Value:
        n: int
        names: tuple[str, ...] = ()
        seen: list[int] = field(default_factory=list, compare=False, repr=False)
        least: float = field(default=0.5, repr=False)
        LIMIT: ClassVar[int] = 9

        def __post_init__(self) -> None:
            if self.n > self.LIMIT:
                raise ValueError(f"{self.n} of at most {self.LIMIT}")

        @property
        def double(self) -> int:
            return 2 * self.n

    return Value


def outcome(cls: type, said: dict[str, Any]) -> object:
    """The fields of a value, or why there is none."""
    try:
        value = cls(**said)
    except (TypeError, ValueError) as error:
        return f"{type(error)} {error}"
    return asdict(value), value.double, repr(value), hash(value)


ASKED = st.fixed_dictionaries(
    {},
    optional={
        "n": st.integers(8, 10),
        "names": st.lists(st.sampled_from("ab")).map(tuple),
        "seen": st.lists(st.integers()),
        "least": st.floats(allow_nan=False),
        "unknown": st.none(),
    },
)


@given(st.lists(ASKED, max_size=4), st.sampled_from([0, 1, INTERPRETED]))
def test_made_or_refused_as_by_dataclasses_before_and_after_it_is_compiled(
    asked: list[dict[str, Any]], n_before: int
) -> None:
    ours, twin = frozen(body()), dataclass(frozen=True, slots=True, kw_only=True)(body())
    for n in range(n_before):
        ours(n=n % 9)
    assert [outcome(ours, said) for said in asked] == [outcome(twin, said) for said in asked]


def test_what_is_mutable_is_equal_and_not_hashed() -> None:
    made = mutable(body())
    value = made(n=1)
    value.n = 2
    assert value == made(n=2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(value)


def test_only_a_class_of_many_values_is_compiled() -> None:
    made = frozen(body())
    at_first = made.__init__
    kept = [made(n=n % 9) for n in range(INTERPRETED)]
    assert made.__init__ is at_first
    kept.append(made(n=INTERPRETED % 9))
    assert made.__init__ is not at_first
    assert [value.n for value in kept] == [n % 9 for n in range(INTERPRETED + 1)]
    assert kept[0].seen is not kept[-1].seen


def test_one_that_inherits_has_all_fields_and_its_own_defaults() -> None:
    @frozen
    class Wider(Plain):
        names: tuple[str, ...] = ("w",)
        more: int = 1

    assert [each.name for each in fields(Wider)] == ["n", "names", "seen", "more"]
    assert Wider.__slots__ == ("more",)  # type: ignore[attr-defined]
    assert repr(Wider(n=1)).endswith("Wider(n=1, names=('w',), more=1)")
    assert Wider(n=1, names=()) != Plain(n=1)
    assert not hasattr(Wider(n=1), "__dict__")
    for _ in range(INTERPRETED):
        assert replace(Wider(n=1), more=2) == Wider(n=1, more=2) != Wider(n=1)
    assert Plain(n=1).names == ()


def test_a_plain_class_of_it_is_made_as_it_is() -> None:
    class Counting(Plain):
        def doubled(self) -> int:
            return 2 * self.n

    assert [Counting(n=n).doubled() for n in range(INTERPRETED + 2)][-1] == 2 * INTERPRETED + 2


Kind = TypeVar("Kind")


def test_of_a_generic_class() -> None:
    @frozen
    class Box(Generic[Kind]):
        held: Kind

    assert Box[int](held=1) == Box(held=1)
    assert Box.__parameters__ == (Kind,)  # type: ignore[attr-defined]


def test_the_functions_for_dataclasses_know_it() -> None:
    value = Plain(n=1, names=("a",), seen=[2])
    assert is_dataclass(Plain)
    assert asdict(value) == {"n": 1, "names": ("a",), "seen": [2]}
    assert [(each.kw_only, each.type, each.compare) for each in fields(Plain)] == [
        (each.kw_only, each.type, each.compare) for each in fields(Twin)
    ]


def test_it_says_what_it_takes() -> None:
    for _ in range(INTERPRETED + 1):
        assert signature(Plain).parameters == signature(Twin).parameters
        Plain(n=1)


@pytest.mark.parametrize("copied", [copy, deepcopy])
def test_it_is_copied(copied: Callable[[Plain], Plain]) -> None:
    value = Plain(n=1, seen=[2])
    assert (copied(value), copied(value).seen) == (value, [2])


def test_pydantic_reads_it() -> None:
    reader = TypeAdapter(Plain)
    assert reader.validate_json('{"n": 2, "names": ["a"]}') == Plain(n=2, names=("a",))
    assert reader.dump_python(Plain(n=2)) == {"n": 2, "names": (), "seen": []}


def test_it_keeps_what_it_computes_once() -> None:
    @frozen
    class Sum:
        parts: tuple[list[int], ...]

        @cached_property
        def total(self) -> list[int]:
            return [sum(map(sum, self.parts))]

    value = Sum(parts=([1], [2]))
    assert value.total == [3]
    assert value.total is value.total
    assert repr(value) == repr(Sum(parts=([1], [2])))
    assert value == replace(value)
    assert replace(value, parts=()).total == [0]


def test_a_default_that_all_would_share_is_refused() -> None:
    class Shared:
        names: list[str] = []  # noqa: RUF012

    with pytest.raises(ValueError, match="names needs a default_factory"):
        frozen(Shared)
