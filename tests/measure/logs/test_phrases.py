"""Phrases are found as their patterns find them, only sooner."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.measure.logs.cases import BENIGN, CASES, WORKED

from oomph.measure.logs import failures, progress
from oomph.measure.logs.phrases import Phrases, alternatives, needed

LINES = [line for _, _, log in CASES for line in log.splitlines()] + BENIGN + WORKED
TABLES = [
    *failures._PHRASES.values(),
    *progress._PHASES.values(),
    *((pattern,) for pattern in progress._CONTEXTS.values()),
    progress._WORKED,
]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_finds_what_its_patterns_find(table: tuple[str, ...]) -> None:
    phrases, pattern = Phrases(table), re.compile("|".join(table))
    for line in LINES:
        assert phrases.found_in(line) == (pattern.search(line) is not None), line


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_line_made_of_a_phrase_is_found(table: tuple[str, ...], data: st.DataObject) -> None:
    phrase = data.draw(st.sampled_from(table))
    line = data.draw(st.from_regex(phrase))
    if "\n" not in line:
        assert Phrases(table).found_in(line) == (re.search("|".join(table), line) is not None)


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        (r"a|b", ["a", "b"]),
        (r"(?:a|b)c|d", ["(?:a|b)c", "d"]),
        (r"[|(]x|y\|z", ["[|(]x", r"y\|z"]),
        (r"(?i:a)|b", ["(?i:a)|b"]),
    ],
)
def test_bars_in_groups_and_sets_part_nothing(pattern: str, parts: list[str]) -> None:
    assert alternatives(pattern) == parts


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"failed to (?:mlock|munlock)", "failed to "),
        (r"errors? found", " found"),
        (r"\bXid\b.{0,60}\d+,", "Xid"),
        (r"GGML_ASSERT\(obj_new\)", "GGML_ASSERT(obj_new)"),
        (r"[Oo]ut of memory", "ut of memory"),
        (r"(?:a|b)", ""),
        (r"ab*c", ""),
    ],
)
def test_what_a_pattern_needs(pattern: str, text: str) -> None:
    assert needed(pattern) == text
