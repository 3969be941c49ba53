"""Values are what `dataclasses` would have made of them, but for what it would have compiled."""

import pickle
from dataclasses import dataclass, field, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.frozen import frozen


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
