"""Facts in a long text: where they stand, and which answer counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.measure.needles import facts, filler
from oomph.measure.worker.needle import haystack, says
from oomph.measure.workload import NeedleTest

SENTENCES = [[n] * n for n in (3, 5, 8)]


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=5).map(sorted), st.integers(0, 400)
)
def test_needles_stand_between_sentences_near_their_depth(depths: list[float], room: int) -> None:
    needles = [(depth, [-1 - i] * 4) for i, depth in enumerate(depths)]
    text, ends = haystack(SENTENCES, needles, room)
    assert len(text) <= max(room, 4 * len(needles))
    assert len(ends) == len(needles)
    for (depth, needle), end in zip(needles, ends, strict=True):
        assert text[end - 4 : end] == needle, "whole, and where it is said to be"
        if room > 100:
            before = sum(token > 0 for token in text[:end])
            total = room - 4 * len(needles)
            assert depth * total - 8 <= before <= depth * total + 8, (
                "within a sentence of its depth"
            )


def test_the_filler_begins_again_until_the_room_is_full() -> None:
    text, _ = haystack(SENTENCES, [], 100)
    assert text[:16] == text[16:32] == [3] * 3 + [5] * 5 + [8] * 8
    assert 92 < len(text) <= 100


@pytest.mark.parametrize(
    ("answer", "found"),
    [("The code is 4821.", True), ("4821", True), ("48210", False), ("it is 48 21", False)],
)
def test_only_the_whole_code_counts(answer: str, found: bool) -> None:
    assert says(answer, "4821") is found


def test_facts_are_seeded_and_never_two_of_one_name_or_code() -> None:
    test = NeedleTest(depths=(0.5, 0.0, 1.0), n_texts=3)
    assert facts(test, seed=1) == facts(test, seed=1) != facts(test, seed=2)
    for text in facts(test, seed=1):
        assert [fact["depth"] for fact in text] == [0.0, 0.5, 1.0]
        assert (
            len({fact["question"] for fact in text}) == len({fact["answer"] for fact in text}) == 3
        )
        assert all(fact["answer"] in fact["sentence"] for fact in text)
    assert not any(character.isdigit() for sentence in filler() for character in sentence)
