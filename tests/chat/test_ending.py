"""Where an answer ends, and what of it is kept."""

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.chat.ending import (
    LEAST_REPEATED,
    LEAST_TIMES,
    Why,
    repeated_unit,
    template_marks,
    until_end,
    without_repetition,
)

CHATML = ("<|im_start|>", "<|im_end|>")


def ended(
    pieces: Iterable[str], marks: tuple[str, ...] = CHATML, n_answer: int = 10_000
) -> tuple[str, Why]:
    """What is shown, and why it ended."""
    shown, source = "", until_end(pieces, marks=marks, n_answer=n_answer)
    while True:
        try:
            shown += next(source)
        except StopIteration as end:
            return shown, end.value


@pytest.mark.parametrize(
    ("template", "marks"),
    [
        ("{{ '<|im_start|>' + role }}<|im_end|>", CHATML),
        ("<start_of_turn>user\n<end_of_turn>", ("<start_of_turn>", "<end_of_turn>")),
        ("[INST] {{ x }} [/INST]</s>", ("[INST]", "[/INST]", "</s>")),
        ("<｜User｜>{{ x }}<｜Assistant｜>", ("<｜User｜>", "<｜Assistant｜>")),
        ("<b>{{ messages }}</b> a < b | c > d", ()),
        (None, ()),
    ],
)
def test_marks_are_those_of_the_template(template: str | None, marks: tuple[str, ...]) -> None:
    assert template_marks(template) == marks


@given(st.text(max_size=40), st.integers(1, 5))
def test_nothing_of_a_mark_is_shown_however_it_is_cut(before: str, width: int) -> None:
    text = before.replace("<", "") + "<|im_end|>\n<|im_start|>user"
    pieces = [text[i : i + width] for i in range(0, len(text), width)]
    assert ended(pieces) == (before.replace("<", ""), "template")


@given(st.lists(st.text(max_size=8), max_size=60))
def test_an_answer_that_ends_by_itself_is_shown_whole(pieces: list[str]) -> None:
    assert ended(pieces, marks=()) in (("".join(pieces), "end"), ("".join(pieces), "repetition"))


def test_a_limit_is_told_from_an_end() -> None:
    def source(why: Why | None) -> Iterator[str]:
        yield from ("one ", "two ")
        return why

    assert ended(source(None)) == ("one two ", "end")
    assert ended(source("limit")) == ("one two ", "limit")
    assert ended(["word "] * 9, n_answer=4) == ("word " * 4, "limit")


@given(st.text("abcdefg ,.", min_size=1, max_size=90))
def test_what_repeats_ends_soon_and_is_kept_once(unit: str) -> None:
    shown, why = ended(["Once. ", *(unit for _ in range(2000))], marks=())
    assert why == "repetition"
    assert len(shown) <= 6 + max(LEAST_REPEATED, LEAST_TIMES * len(unit)) + 40 + len(unit)
    kept = without_repetition(shown)
    assert shown.startswith(kept)
    assert len(kept) <= 6 + 2 * len(unit)


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n|---|---|\n" + "".join(f"| {n} | {n * n} |\n" for n in range(40)),
        "-" * 120,
        "\n".join(f"{n}. Number {n} is the next." for n in range(60)),
        "no, no, no, no, no!",
    ],
)
def test_a_table_a_rule_and_a_list_are_no_repetition(text: str) -> None:
    assert ended(list(text), marks=()) == (text, "end")
    assert repeated_unit(text) == 0
    assert without_repetition(text) == text
