"""A pattern that is compiled late does what one does that is compiled at once."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oomph
from oomph.patterns import _LatePattern, late_pattern

PACKAGE = Path(oomph.__file__).parent
USERS = [
    module.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", ".")
    for module in sorted(PACKAGE.rglob("*.py"))
    if "late_pattern(" in module.read_text(encoding="utf-8")
]
ASKED = {
    "match": lambda pattern, text: [found and found.span() for found in [pattern.match(text)]],
    "fullmatch": lambda pattern, text: bool(pattern.fullmatch(text)),
    "search": lambda pattern, text: [found and found.span() for found in [pattern.search(text)]],
    "findall": lambda pattern, text: pattern.findall(text),
    "finditer": lambda pattern, text: [found[0] for found in pattern.finditer(text)],
    "split": lambda pattern, text: pattern.split(text),
    "sub": lambda pattern, text: pattern.sub(r"<\1>", text),
    "pattern": lambda pattern, _: (pattern.pattern, pattern.flags, pattern.groups),
}


@given(
    st.sampled_from([("([ab]+)c", 0), ("(A)|b", re.IGNORECASE), ("^(b*)$", re.MULTILINE)]),
    st.text("abAc\n", max_size=8),
    st.lists(st.sampled_from(sorted(ASKED)), min_size=1, max_size=3),
)
def test_it_answers_as_one_compiled_at_once(
    asked: tuple[str, int], text: str, methods: list[str]
) -> None:
    late, at_once = late_pattern(*asked), re.compile(*asked)
    for method in methods:
        assert ASKED[method](late, text) == ASKED[method](at_once, text)


def test_it_is_compiled_when_first_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    compiling = re.compile
    monkeypatch.setattr(re, "compile", lambda *args: made.append(args[0]) or compiling(*args))
    late = late_pattern("a+")
    assert made == []
    assert [bool(late.fullmatch(text)) for text in ("aa", "b", "a")] == [True, False, True]
    assert late.sub("c", "aa") == "c"
    assert made == ["a+"]


@pytest.mark.parametrize("name", USERS)
def test_each_that_a_module_has_is_one(name: str) -> None:
    """Nothing else would tell of an unbalanced bracket but the first who needs it."""
    found = [each for each in _values(vars(import_module(name))) if isinstance(each, _LatePattern)]
    assert found
    for each in found:
        assert re.compile(each.pattern, each.flags).flags == each.flags


def _values(names: dict[str, object]) -> list[object]:
    """The values of a module, and those in its tables."""
    found: list[object] = []
    for value in names.values():
        found += (value,) if not isinstance(value, tuple) else _values(dict(enumerate(value)))
    return found
