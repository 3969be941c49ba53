"""lm-evaluation-harness's files as records: two runs pair by their documents, and no more is said
than they tell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oomph.advise.exchange import import_results
from oomph.errors import StoreError
from oomph.quality.comparisons import compare_runs
from oomph.quality.tasks import task_runs
from oomph.records.lm_eval import is_lm_eval, read_lm_eval
from oomph.records.store import read_records
from oomph.records.summary import summaries_of
from oomph.views.imported_quality import means_table

FIRST, SECOND = "2026-11-27T10-00-00.123456", "2026-11-27T12-30-00.654321"


def _sample(k: int, score: float | bool | None, **changes: Any) -> dict[str, Any]:
    return {
        "doc_id": k,
        "doc": {"question": f"q{k}"},
        "target": "5",
        "arguments": {"gen_args_0": {"arg_0": "Q: " + "x" * 100, "arg_1": {"until": []}}},
        "resps": [["It is 5"]],
        "filtered_resps": ["5"],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": f"hash{k}",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": score,
    } | changes


def _results(**changes: Any) -> dict[str, Any]:
    return {
        "results": {
            "gsm8k": {
                "alias": "gsm8k",
                "exact_match,none": 0.75,
                "exact_match_stderr,none": 0.05,
                "acc_stderr,none": "N/A",
            }
        },
        "configs": {"gsm8k": {"task": "gsm8k"}},
        "versions": {"gsm8k": 3},
        "n-samples": {"gsm8k": {"original": 1319, "effective": 60}},
        "config": {"model_args": {"model": "qwen3-8b", "max_length": 8192}, "limit": 60},
        "lm_eval_version": "0.4.9",
        "model_name": "qwen3-8b",
    } | changes


def _write(folder: Path, run: str, scores: list[Any], *, results: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_gsm8k_{run}.jsonl"
    path.write_text("".join(json.dumps(_sample(k, s)) + "\n" for k, s in enumerate(scores)))
    if results:
        (folder / f"results_{run}.json").write_text(json.dumps(_results(), indent=2))
    return path


def test_two_runs_pair_by_their_documents(tmp_path: Path) -> None:
    folder = tmp_path / "qwen3-8b"
    paths = [_write(folder, FIRST, [1.0] * 30), _write(folder, SECOND, [1.0] * 20 + [0.0] * 10)]
    import_results(paths, tmp_path / "out")
    records = read_records([tmp_path / "out"])
    assert {record.origin for record in records} == {"lm-evaluation-harness"}
    (found,) = compare_runs(task_runs(summaries_of(records)))
    assert (found.n_pairs, found.n_worse, found.finding) == (30, 10, "worse")


def test_model_context_and_versions_are_of_the_results_beside(tmp_path: Path) -> None:
    record = read_lm_eval(_write(tmp_path, FIRST, [True, False]))
    assert (record.model.name, record.config) == ("qwen3-8b", {"n_ctx": 8192})
    assert record.conditions.unread == {}
    assert record.workload["lm-evaluation-harness"]["lm_eval_version"] == "0.4.9"
    assert record.tasks is not None
    (item, other) = record.tasks.items
    assert (item.task, item.item, item.score, other.score) == (
        "gsm8k (exact_match)",
        "hash0",
        1.0,
        0.0,
    )
    assert (item.expected, item.answer, item.n_tokens) == (["5"], "5", None)


def test_no_login_gets_into_a_record(tmp_path: Path) -> None:
    arguments = {"model": "m", "api_key": "sk-1", "auth_token": "t", "base_url": "http://u:p@h/"}
    path = _write(tmp_path, FIRST, [1.0])
    told = _results(config={"model_args": arguments})
    (tmp_path / f"results_{FIRST}.json").write_text(json.dumps(told))
    line = read_lm_eval(path).model_dump_json()
    assert not any(secret in line for secret in ("sk-1", '"t"', "u:p@h"))


def test_without_results_the_context_is_bounded_and_said_to_be(tmp_path: Path) -> None:
    record = read_lm_eval(_write(tmp_path / "m", FIRST, [1.0], results=False))
    assert record.model.name == "m"
    assert "not said" in record.conditions.unread["n_ctx"]
    assert record.config["n_ctx"] > 100
    assert read_lm_eval(_write(tmp_path, FIRST, [1.0], results=False), model="x").model.name == "x"


def test_arguments_of_older_versions_are_a_line(tmp_path: Path) -> None:
    path = _write(tmp_path, FIRST, [1.0])
    old = _results(config={"model_args": "pretrained=org/m,max_length=4096"}, model_name=None)
    (tmp_path / f"results_{FIRST}.json").write_text(json.dumps(old))
    record = read_lm_eval(path)
    assert (record.model.name, record.config["n_ctx"]) == ("org/m", 4096)


def test_one_filter_counts_and_the_others_are_said_to_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / f"samples_gsm8k_{FIRST}.jsonl"
    rows = [
        _sample(k, score, filter=name)
        for k in range(3)
        for name, score in (("strict-match", 0.0), ("flexible-extract", 1.0))
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    tasks = read_lm_eval(path).tasks
    assert tasks is not None
    assert [item.score for item in tasks.items] == [0.0] * 3
    assert tasks.items[0].task == "gsm8k (exact_match, strict-match)"
    assert tasks.missing == "3 samples of 1 other filter left out"


def test_equal_documents_and_those_without_a_hash_keep_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    rows = [_sample(0, 1.0), _sample(0, 0.0), _sample(1, 1.0), _sample(2, 1.0)]
    del rows[2]["doc_hash"], rows[3]["doc_hash"]
    path.write_text("\n".join(map(json.dumps, rows)))
    tasks = read_lm_eval(path).tasks
    assert tasks is not None
    assert [item.item for item in tasks.items][:2] == ["hash0", "hash0-2"]
    assert len({item.item for item in tasks.items}) == 4


def test_results_alone_are_means_and_pair_nothing(tmp_path: Path) -> None:
    path = tmp_path / f"results_{FIRST}.json"
    path.write_text(json.dumps(_results(), indent=2))
    record = read_lm_eval(path)
    assert record.tasks is not None
    assert record.tasks.items == []
    assert "--log_samples" in str(record.tasks.missing)
    (row,) = means_table(summaries_of([record])).rows
    said = ["qwen3-8b", "gsm8k", "exact_match,none", "0.75 ± 0.05", "60"]
    assert [cell.text for cell in row] == said


def _cut(path: Path) -> None:
    path.write_text(path.read_text()[:-40])


def _without(key: str) -> Callable[[Path], None]:
    def _change(path: Path) -> None:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        del rows[1][key]
        path.write_text("\n".join(map(json.dumps, rows)))

    return _change


def _scored(value: Any) -> Callable[[Path], None]:
    def _change(path: Path) -> None:
        rows = [_sample(0, 1.0), _sample(1, value)]
        path.write_text("\n".join(map(json.dumps, rows)))

    return _change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_cut, "line 2 is no JSON"),
        (_without("target"), "line 2 has no target"),
        (_scored(1.5), "line 2: exact_match is 1.5; it takes a number from 0 to 1"),
        (_scored(None), "line 2: exact_match is None; it takes a number from 0 to 1"),
        (
            lambda path: path.write_text(json.dumps(_sample(0, 1, metrics=["bleu"], bleu=31.0))),
            "line 1 has no metric from 0 to 1 .its metrics: bleu.",
        ),
        (lambda path: path.write_text('{"doc_id": 1}'), "line 1 has no doc"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    tmp_path: Path, change: Callable[[Path], None], why: str
) -> None:
    path = _write(tmp_path, FIRST, [1.0, 0.0])
    change(path)
    assert is_lm_eval(path)
    with pytest.raises(StoreError, match=why) as error:
        read_lm_eval(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "{}", "no json", '{"results": [1]}', '{"n_prompt": 512, "n_gen": 0}', "[1, 2]"]
)
def test_other_files_are_none_of_its(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    assert not is_lm_eval(path)
