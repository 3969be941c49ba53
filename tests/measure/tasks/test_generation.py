"""Items of tasks: exact lengths, names that stay, what is expected told once and nowhere else."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.measure.tasks.families import FAMILIES, LEAST_COMMON, MORE_OFTEN
from oomph.measure.tasks.grading import grade
from oomph.measure.tasks.items import asked_items, item_of
from oomph.measure.tasks.words import LIST, PROSE, entry_of, pools, read_words
from oomph.measure.worker.layout import Pools, item_name, lay_out
from oomph.measure.worker.protocol import TaskAsked
from oomph.measure.workload import TaskTest
from oomph.records.schema import TASK_FAMILIES

POOLS = pools()
families = st.sampled_from(sorted(FAMILIES))
items = st.builds(
    item_of,
    families,
    st.integers(300, 5000),
    st.integers(0, 40),
    seed=st.integers(0, 5),
    depth=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)


def pieces(text: str) -> list[str]:
    """Words with the blank before them and marks by themselves, as most tokenizers have them."""
    return re.findall(r" ?[A-Za-z]+|\d|\s+|[^\w\s]", text)


def laid_out(item: TaskAsked, n_around: int = 11) -> list[str] | None:
    return lay_out(item, Pools(POOLS, pieces), pieces, n_around=n_around)


def test_the_families_are_those_that_records_know() -> None:
    assert tuple(FAMILIES) == TASK_FAMILIES


@settings(max_examples=60, deadline=None)
@given(items, st.integers(0, 60))
def test_an_item_has_exactly_its_length(item: TaskAsked, n_around: int) -> None:
    tokens = laid_out(item, n_around)
    assert tokens is None or len(tokens) + n_around + item["n_answer"] == item["n_tokens"]
    assert tokens is not None or item["n_tokens"] < 420, "what is told fits into 420 tokens"


@settings(max_examples=60, deadline=None)
@given(items.filter(lambda item: item["n_tokens"] > 500))
def test_all_that_is_expected_is_told_and_the_rest_does_not_tell_it(item: TaskAsked) -> None:
    tokens = laid_out(item)
    assert tokens is not None
    text = "".join(tokens)
    assert grade(text, item["expected"]) == 1
    assert len(set(item["expected"])) == len(item["expected"])
    asked = text.rindex("\n\n")
    assert grade(text[asked:], item["expected"]) == 0, "the question does not tell the answer"
    assert grade(item["head"], item["expected"]) == 0
    others = [told for _, told in item["told"] if not grade(told, item["expected"])]
    counting = [told for _, told in item["told"] if grade(told, item["expected"])]
    without = text
    for sentence in counting:
        without = without.replace(sentence, "", 1)
    assert grade(without, item["expected"]) == 0, "neither filler nor distractors tell it"
    if item["task"] in ("niah_multikey", "two_hop", "variable_tracking"):
        assert len(others) >= 3
        shape = re.sub(r"\d{4}|[A-Z]\w+", "_", counting[0])
        assert any(re.sub(r"\d{4}|[A-Z]\w+", "_", each) == shape for each in others), (
            "a distractor is of the same form"
        )


@settings(max_examples=40, deadline=None)
@given(st.integers(300, 40_000), st.integers(0, 30))
def test_common_words_come_far_more_often_than_any_other(n_tokens: int, index: int) -> None:
    item = item_of("common_words", n_tokens, index, seed=1, depth=0.0)
    tokens = laid_out(item)
    assert tokens is not None or n_tokens < 420
    if tokens is not None:
        body = "".join(tokens).split("\n\n")[1]
        counts = Counter(word.strip() for word in body.split(","))
        *common, (_, most_of_others) = counts.most_common(4)
        assert {word for word, _ in common} == set(item["expected"])
        least = min(count for _, count in common)
        assert least >= LEAST_COMMON
        assert least >= (MORE_OFTEN - 0.5) * most_of_others


@given(families, st.integers(200, 9000), st.integers(0, 99), st.integers(0, 9))
def test_an_item_is_decided_by_its_own_seed(
    family: str, n_tokens: int, index: int, seed: int
) -> None:
    def made(*, seed: int = seed, index: int = index) -> TaskAsked:
        return item_of(family, n_tokens, index, seed=seed, depth=0.5)

    assert made() == made()
    assert made() != made(seed=seed + 1)
    assert made() != made(index=index + 1)


def named(**changes: object) -> dict[str, tuple[str, int, float | None]]:
    test = TaskTest(**{"lengths": (500, 900), "n_items": 3, **changes})  # type: ignore[arg-type]
    found = {}
    for item in asked_items(test, seed=7, n_ctx=2000):
        tokens = laid_out(item)
        assert tokens is not None
        found[item_name(tokens, item["expected"])] = (item["task"], item["n_tokens"], item["depth"])
    return found


def test_more_items_another_length_or_fewer_families_leave_the_others_as_they_were() -> None:
    base = named()
    assert len(base) == 2 * 3 * len(FAMILIES), "no two items have one name"
    assert base.items() <= named(n_items=6).items()
    assert base.items() <= named(lengths=(300 + 400, 500, 900)).items()
    few = named(families=("two_hop", "niah_single"))
    assert few.items() <= base.items()
    assert len(few) == 2 * 3 * 2


def test_items_stay_what_they_are_between_versions() -> None:
    """A change of words or of the drawing makes all published items others: then this must be
    changed, and the change said."""
    item = item_of("niah_multikey", 600, 3, seed=1, depth=0.5)
    tokens = laid_out(item, 0)
    assert tokens is not None
    assert item_name(tokens, item["expected"]) == "402d65101b7db282"


def test_items_come_round_by_round_so_that_any_end_leaves_equal_cells() -> None:
    test = TaskTest(lengths=(900, 400, 70_000), n_items=4, depths=(0.0, 1.0))
    items = asked_items(test, seed=1, n_ctx=1000)
    cells = Counter((item["task"], item["n_tokens"]) for item in items)
    assert set(cells.values()) == {4}
    assert {n_tokens for _, n_tokens in cells} == {400, 900}, "what the context holds"
    half = Counter((item["task"], item["n_tokens"]) for item in items[: len(items) // 2])
    assert half.keys() == cells.keys()
    assert set(half.values()) == {2}
    depths = [item["depth"] for item in items if item["task"] == "niah_single"]
    assert depths == [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    assert [item["n_tokens"] for item in items[:7]] == [400] * 6 + [900]


def test_a_fact_stands_near_its_depth() -> None:
    for depth in (0.0, 0.25, 0.5, 1.0):
        tokens = laid_out(item_of("niah_single", 4000, 1, seed=1, depth=depth))
        assert tokens is not None
        text = "".join(tokens).split("\n\n")[1]
        place = text.index(" The secret code") / len(text)
        assert place == pytest.approx(depth, abs=0.02)


def test_the_filler_has_no_digits_and_none_of_the_names() -> None:
    words, prose = read_words(), " ".join(POOLS[PROSE])
    assert not re.search(r"\d", prose)
    assert not {*words.names, *words.towns} & set(re.findall(r"\w+", prose))
    assert len(POOLS[PROSE]) > 900
    assert POOLS[LIST] == [entry_of(word) for word in words.plain]
    for several in (words.names, words.towns, words.plain):
        assert len(set(several)) == len(several)


def test_a_length_that_is_too_short_is_no_item() -> None:
    assert laid_out(item_of("two_hop", 128, 0, seed=1, depth=0.0)) is None


def test_a_tokenizer_that_makes_nothing_of_the_filler_ends() -> None:
    item = item_of("niah_single", 500, 0, seed=1, depth=0.0)
    assert lay_out(item, Pools(POOLS, lambda _: []), pieces, n_around=0) is None
