"""The rule that grades: every answer here was read and scored by hand before the rule was asked."""

import pytest

from oomph.measure.tasks.grading import grade, without_thoughts

CODE = ["4821"]
VALUES = ["4821", "1357", "9090", "2468"]
NAMES = ["KOVAZ", "DIMEX", "RUTAX", "BENOZ"]
WORDS = ["guitar", "needle", "circle"]

BY_HAND: list[tuple[str, list[str], float]] = [
    ("4821", CODE, 1),
    ("The secret code of Marta is 4821.", CODE, 1),
    ("**4821**", CODE, 1),
    ("`4821`", CODE, 1),
    (r"\boxed{4821}", CODE, 1),
    ("_4821_", CODE, 1),
    ("4,821", CODE, 1),
    ("It is 4821, I believe", CODE, 1),
    ("code:4821!", CODE, 1),
    ("#4821", CODE, 1),
    ("４８２１", CODE, 1),
    ("9090 or 4821", CODE, 1),
    ("48210", CODE, 0),
    ("14821", CODE, 0),
    ("4821.5", CODE, 0),
    ("3.4821", CODE, 0),
    ("A4821", CODE, 0),
    ("4821th", CODE, 0),
    ("48 21", CODE, 0),
    ("4-8-2-1", CODE, 0),
    ("14,821", CODE, 0),
    ("4,821,000", CODE, 0),
    ("four thousand eight hundred twenty-one", CODE, 0),
    ("", CODE, 0),
    ("I do not know.", CODE, 0),
    ("2468, 9090, 1357, 4821", VALUES, 1),
    ("1. 4821\n2. 1357\n3. 9090\n4. 2468", VALUES, 1),
    ("4821,1357,9090,2468", VALUES, 1),
    ("4821 1357 9090", VALUES, 0.75),
    ("4821 4821 4821 4821", VALUES, 0.25),
    ("4821135790902468", VALUES, 0),
    ("4,821; 1,357; 9,090; 2,468", VALUES, 1),
    ("kovaz, dimex, rutax and benoz", NAMES, 1),
    ("KOVAZ DIMEX", NAMES, 0.5),
    ("KOVAZDIMEX, RUTAX", NAMES, 0.25),
    ("KOVAZ's value, and DIMEX-like", NAMES, 0.5),
    ("Circle, Needle and Guitar", WORDS, 1),
    ("guitars, needles and circles", WORDS, 0),
    ("guitar\nneedle\nviolin", WORDS, 2 / 3),
    ("<think>Is it 4821?</think>9090", CODE, 0),
    ("<think>It may be 9090.</think>\n\n4821", CODE, 1),
    ("<think>It is 4821, I should say so", CODE, 0),
    ("perhaps 4821</think> It is 9090.", CODE, 0),
    ("no idea yet</think> 4821", CODE, 1),
    ("<think>a</think>48<think>b</think>21", CODE, 1),
]


@pytest.mark.parametrize(("answer", "expected", "score"), BY_HAND)
def test_the_rule_agrees_with_what_was_scored_by_hand(
    answer: str, expected: list[str], score: float
) -> None:
    assert grade(answer, expected) == pytest.approx(score)


def test_a_thought_is_cut_whether_it_is_closed_or_not() -> None:
    assert without_thoughts("<think>a\nb</think>c<think>d") == "c"
    assert without_thoughts("begun by the template</think>c") == "c"
    assert without_thoughts("plain") == "plain"
