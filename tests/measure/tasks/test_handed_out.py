"""Items out as JSON lines, answers or scores back as a record, and what does not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oomph.errors import ConfigError, ModelFileError, OomphError
from oomph.measure.tasks.graded import Graded, add_record, graded_record, one_setting
from oomph.measure.tasks.handed_out import item_lines, task_test, write_items
from oomph.models.demo import demo_model, dense_model
from oomph.records.schema import Record, Tasks
from oomph.records.store import Store, record_of_line

SAID = Graded(model="somebody's model")
Lines = list[dict[str, Any]]


@pytest.fixture(scope="module")
def lines() -> Lines:
    test = task_test(lengths="400,600", families="niah_single,two_hop", n_items=2)
    return list(item_lines(test, seed=1))


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Lines], Path]:
    def write(name: str, rows: Lines) -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def tasks_of(record: Record) -> Tasks:
    assert record.tasks is not None
    return record.tasks


def right(lines: Lines) -> Lines:
    return [{"id": line["id"], "answer": f"It is {line['expected'][0]}."} for line in lines]


def test_without_a_model_a_token_is_four_characters(lines: Lines) -> None:
    assert len({line["id"] for line in lines}) == len(lines) == 8
    for line in lines:
        (message,) = line["messages"]
        assert message["role"] == "user"
        n_characters = len(message["content"])
        n_tokens = line["n_tokens"] - line["n_answer"]
        assert line["n_prompt"] == n_tokens
        assert 3.5 * n_tokens < n_characters <= 4 * n_tokens, "the last piece of a part is shorter"
        assert line["expected"][0] in message["content"]
        assert "prompt" not in line


def test_answers_become_a_record_that_is_written_back_as_it_was(
    lines: Lines, write: Callable[[str, Lines], Path], tmp_path: Path
) -> None:
    answers = right(lines)
    answers[0]["answer"] = "<think>" + answers[0]["answer"]
    how = Graded(model="m", knobs={"n_ctx": 4096, "n_expert_used": 10}, card="RTX 4090")
    items, given = write("items.jsonl", lines), write("answers.jsonl", answers)
    assert "8 items in record" in add_record(items, given, how, out=tmp_path / "out")
    assert "has these answers already" in add_record(items, given, how, out=tmp_path / "out")
    (record,) = Store(tmp_path / "out").records()
    told = tasks_of(record)
    assert [item.score for item in told.items] == [0] + [1] * 7
    assert [item.item for item in told.items] == [line["id"] for line in lines]
    assert [item.n_tokens for item in told.items] == [line["n_tokens"] for line in lines]
    assert (told.graded_by, told.missing, record.origin) == ("rule", None, "oomph tasks grade")
    assert record.config == {"n_ctx": 4096, "n_expert_used": 10}
    assert record.environment.gpus == [{"name": "RTX 4090"}]
    assert (record.environment.cpu, record.timings, record.memory) == ("", [], [])
    line = record.model_dump_json().encode()
    assert record_of_line(line).model_dump_json().encode() == line


def test_scores_of_another_grader_are_taken_as_they_are(
    lines: Lines, write: Callable[[str, Lines], Path]
) -> None:
    rows: Lines = [{"id": line["id"], "score": 0.5, "answer": "hm"} for line in lines]
    items = write("items.jsonl", lines)
    told = tasks_of(graded_record(items, write("a", rows), Graded(model="m", grader="Ada by hand")))
    assert {(item.score, item.answer) for item in told.items} == {(0.5, "hm")}
    assert told.graded_by == "Ada by hand"
    rows = [{"id": line["id"], "score": 1} for line in lines]
    told = tasks_of(graded_record(items, write("b", rows), Graded(model="m", grader="x")))
    assert all(item.answer is None for item in told.items)


def test_samples_of_lm_evaluation_harness_are_answers(
    lines: Lines, write: Callable[[str, Lines], Path]
) -> None:
    rows: Lines = [
        {
            "doc_id": number,
            "doc": line,
            "target": line["expected"][0],
            "resps": [[line["expected"][0]]],
            "filtered_resps": [line["expected"][0]],
            "exact_match": 1.0,
        }
        for number, line in enumerate(lines)
    ]
    told = tasks_of(graded_record(write("items", lines), write("samples", rows), SAID))
    assert [item.score for item in told.items] == [1] * len(lines)


def test_answers_to_some_are_taken_where_that_is_said(
    lines: Lines, write: Callable[[str, Lines], Path]
) -> None:
    items, some = write("items", lines), write("some", right(lines)[:3])
    with pytest.raises(ConfigError, match=r"no answer to 5 of 8 items of .*; add them, or take"):
        graded_record(items, some, SAID)
    told = tasks_of(graded_record(items, some, Graded(model="m", is_partial=True)))
    assert (len(told.items), told.missing) == (3, "5 of 8 items have no answer")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "ffff"}, "answers line 1 has the id 'ffff', which "),
        ({"id": None}, "answers line 1 has no id; each line needs the item's id"),
        ({"id": 7}, "answers line 1 has no id"),
        ({"score": 1.2}, "answers line 1: score is 1.2; it takes a number from 0 to 1"),
        ({"score": -1}, "line 1: score is -1; "),
        ({"score": True}, "line 1: score is True; "),
        ({"score": "1"}, "line 1: score is 1; "),
        ({"answer": 5}, "line 1: answer is no text; give what the model wrote"),
        ({"answer": None}, "line 1 has neither answer nor score; give one of them"),
        ({"answer": "x" * 70_000}, "answer has 70,000 characters; cut it to 65,536"),
        ({"score": 0.5}, "has scores for 1 of 8 answers; give every line a score, or none"),
    ],
)
def test_answers_that_do_not_fit_are_one_sentence(
    lines: Lines, write: Callable[[str, Lines], Path], changes: dict[str, Any], message: str
) -> None:
    answers = right(lines)
    answers[0] |= changes
    with pytest.raises(ConfigError) as caught:
        graded_record(write("items", lines), write("answers", answers), SAID)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_answer_that_comes_twice_is_refused(
    lines: Lines, write: Callable[[str, Lines], Path]
) -> None:
    twice = [*right(lines), right(lines)[2]]
    with pytest.raises(ConfigError, match=r"twice line 9 has the id '.*' a second time"):
        graded_record(write("items", lines), write("twice", twice), SAID)


def test_scores_need_a_name(lines: Lines, write: Callable[[str, Lines], Path]) -> None:
    rows: Lines = [{"id": line["id"], "score": 1} for line in lines]
    with pytest.raises(ConfigError, match=r"say who gave them with --grader NAME"):
        graded_record(write("items", lines), write("scores", rows), SAID)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no items; write them with `oomph tasks items`"),
        ("[1]\n", "line 1 is no JSON object; give a file of JSON lines"),
        ("{\n", "line 1 is no JSON ("),
        ('{"id": "a", "score": NaN}\n', "NaN is no number of JSON"),
        ("[" * 100_000, "nested too deep"),
        ('{"id": "a"}\n', "task: field required; give the file that `oomph tasks items` wrote"),
        ('{"id": "a", "task": "t"}\n', "line 1 has no expected; give the file"),
        (
            '{"id": "a", "task": "t", "expected": ["x"]}\n' * 2,
            "line 2 has the id 'a' a second time",
        ),
        ("\udcff", "is no UTF-8 text"),
    ],
)
def test_items_that_do_not_fit_are_one_sentence(
    tmp_path: Path, lines: Lines, write: Callable[[str, Lines], Path], text: str, message: str
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        graded_record(path, write("answers", right(lines)), SAID)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"lengths": "4x"}, "--lengths 4x: "),
        ({"lengths": "100"}, "oomph tasks items: lengths.0"),
        ({"families": "needle"}, "oomph tasks items: families.0 is 'needle'; there are niah_"),
        ({"n_items": 0}, "oomph tasks items: n_items is 0; "),
    ],
)
def test_options_that_cannot_be_are_one_sentence(how: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        task_test(**{"lengths": "4k", "families": None, "n_items": 1, **how})
    assert message in str(caught.value)


def test_a_length_that_holds_no_item_is_named() -> None:
    test = task_test(lengths="128,600", families="two_hop", n_items=1)
    with pytest.raises(ConfigError, match=r"two_hop: 128 tokens are too few .*; give longer"):
        list(item_lines(test, seed=1))


def test_a_setting_has_one_value_a_knob() -> None:
    assert one_setting({"n_ctx": [5], "type_k": ["f16"]}) == {"n_ctx": 5, "type_k": "f16"}
    with pytest.raises(ConfigError, match=r"n_ctx has 2 values; answers are of one setting"):
        one_setting({"n_ctx": [5, 6]})


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(b"GGUF, but not really")
    test = task_test(lengths="600", families="two_hop", n_items=1)
    for model in (path, tmp_path / "absent.gguf"):
        with pytest.raises(OomphError, match=str(model)):
            write_items(test, seed=1, model=str(model), out=None)


@pytest.mark.llama
def test_a_model_without_a_template_has_no_items(tiny_moe: Path) -> None:
    test = task_test(lengths="600", families="two_hop", n_items=1)
    with pytest.raises(
        ModelFileError, match=r"no chat template that llama.cpp knows; name another"
    ):
        write_items(test, seed=1, model=str(tiny_moe), out=None)


@pytest.mark.llama
@pytest.mark.slow
def test_with_a_model_items_are_those_that_a_sweep_asks(tmp_path: Path) -> None:
    """The names that the published sweep of the demo model has."""
    test = task_test(lengths="400", families=None, n_items=2)
    out = tmp_path / "items.jsonl"
    rows = [
        json.loads(line)
        for line in write_items(test, seed=1, model=str(demo_model()), out=out).splitlines()
    ]
    assert out.read_text().count("\n") == len(rows) == 12
    for row in rows:
        assert row["n_prompt"] + row["n_answer"] == row["n_tokens"]
        assert row["prompt"].startswith("<|im_start|>")
        assert row["messages"][0]["content"] in row["prompt"]
        assert row["prompt"].endswith("<|im_start|>assistant\n")
    assert rows[0]["id"] == "dce5cbf57b1a2492"


@pytest.mark.llama
@pytest.mark.slow
def test_files_of_one_model_are_asked_the_same(tmp_path: Path) -> None:
    """The dense model and what was cut of it, as two quantizations are, share a vocabulary and a
    template."""
    test = task_test(lengths="330", families="niah_multikey,common_words", n_items=3)
    dense, cut = (
        write_items(test, seed=2, model=str(path), out=None)
        for path in (dense_model(), demo_model())
    )
    assert dense == cut
    assert dense.count("\n") == 6
