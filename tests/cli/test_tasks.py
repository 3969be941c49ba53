"""`oomph tasks`: items out, answers in, and what cannot be, at the command line."""

import json
from collections.abc import Callable
from pathlib import Path

from oomph.records.store import Store

Oomph = Callable[..., tuple[int, str, str]]


def test_items_go_out_and_answers_come_back(oomph: Oomph, tmp_path: Path) -> None:
    items, answers, out = tmp_path / "items.jsonl", tmp_path / "answers.jsonl", tmp_path / "out"
    how = ("--lengths", "400,1k", "--families", "niah_single,common_words", "--n-items", "2")
    code, said, told = oomph("tasks", "items", *how, "--out", str(items))
    assert (code, said, told) == (0, f"{items}: 8 items\n", "")
    code, said, _ = oomph("tasks", "items", *how)
    assert (code, said) == (0, items.read_text())
    rows = [json.loads(line) for line in said.splitlines()]
    assert {row["n_tokens"] for row in rows} == {400, 1000}
    given = [{"id": row["id"], "answer": " ".join(row["expected"][:1])} for row in rows]
    answers.write_text("\n".join(map(json.dumps, given)))
    setting = ("--model", "mine", "--n-expert-used", "10", "--type-k", "q8_0", "--gpu", "RTX 4090")
    code, said, told = oomph(
        "tasks", "grade", str(items), str(answers), "--out", str(out), *setting
    )
    assert (code, told) == (0, "")
    (record,) = Store(out).records()
    assert said == f"{out}: 8 items in record {record.record_id}, 4 right\n"
    assert record.config == {"n_expert_used": 10, "type_k": "q8_0"}
    assert record.environment.backend == "cuda"


def test_what_cannot_be_is_one_sentence(oomph: Oomph, tmp_path: Path) -> None:
    code, said, told = oomph("tasks", "items", "--families", "needles")
    assert (code, said) == (2, "")
    assert "families.0 is 'needles'; there are niah_single" in " ".join(told.split())
    path = tmp_path / "none.jsonl"
    grade = ("tasks", "grade", str(path), str(path), "--out", str(tmp_path / "out"))
    code, _, told = oomph(*grade, "--model", "m")
    assert code == 2
    assert "cannot be read (No such file or directory); give a file of JSON lines" in " ".join(
        told.split()
    )
    path.write_text('{"id": "a", "task": "t", "expected": ["x"]}\n')
    code, _, told = oomph(*grade, "--model", "m", "--n-ctx", "4k,8k")
    assert code == 2
    assert "n_ctx has 2 values; answers are of one setting" in " ".join(told.split())
    assert not (tmp_path / "out").exists()
