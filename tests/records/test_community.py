"""What is handed in to llmfit, localmaxxing and llama-benchy's JSON, and rows of odd SQL."""

import json
from pathlib import Path
from typing import Any

import pytest

from oomph.records.imports import Taken, take_records

SUBMISSION: dict[str, Any] = {
    "hardware": {
        "cpu": "AMD Ryzen 5 9600X 6-Core Processor",
        "gpuCount": 2,
        "hardwareName": "NVIDIA GeForce RTX 5060",
        "hwClass": "DISCRETE_GPU",
    },
    "results": [
        {"model": "a:7b-q4_K_M", "provider": "ollama", "avgTps": 50.0, "avgOutputTokens": 200.4},
        {"model": "b", "provider": "ollama", "avgTps": 0},
    ],
    "schemaVersion": 1,
}
RUN: dict[str, Any] = {
    "id": "r1",
    "tokSPrefill": 4000.0,
    "tokSOut": 100.0,
    "promptTokens": 2048,
    "outputTokens": 512,
    "contextLength": 8192,
    "batchSize": 1,
    "peakVramGb": 20.5,
    "model": {"hfId": "org/model-GGUF"},
    "hardware": {"gpuName": "RTX 4090", "gpuCount": 1},
    "engine": {"engineName": "llama.cpp", "quantization": "Q4_K_M"},
    "engineFlags": {"kvCacheDtype": "q8_0", "flashAttn": True, "gpuLayers": 99},
}
REPORT: dict[str, Any] = {
    "version": "0.4.0",
    "model": "org/model",
    "benchmarks": [
        {
            "concurrency": 1,
            "context_size": 4096,
            "prompt_size": 2048,
            "response_size": 32,
            "is_context_prefill_phase": False,
            "pp_throughput": {"mean": 1024.0, "std": 1.0, "values": [1024.0]},
            "tg_throughput": {"mean": 32.0, "std": 1.0, "values": [32.0]},
        }
    ],
}


def take(folder: Path, text: str) -> Taken:
    path = folder / "file.json"
    path.write_text(text)
    return take_records(path)


def test_a_submission_to_llmfit_gives_its_runs(tmp_path: Path) -> None:
    taken = take(tmp_path, json.dumps(SUBMISSION, indent=2))
    (record,) = taken.records
    (problem,) = taken.problems
    assert "avgTps" in problem.why
    assert (record.origin, record.model.name) == ("llmfit", "a:7b-q4_K_M")
    assert record.environment.backend == "unknown"
    assert [card["name"] for card in record.environment.gpus] == ["NVIDIA GeForce RTX 5060"] * 2
    assert [(t.test, t.samples_ns) for t in record.timings] == [("tg200", [4_000_000_000])]
    assert not record.is_calibrating


def test_a_submission_whose_end_is_cut_gives_what_is_whole(tmp_path: Path) -> None:
    text = json.dumps(SUBMISSION, indent=2)
    taken = take(tmp_path, text[: text.index('"b"')])
    (record,) = taken.records
    assert (record.model.name, record.environment.gpus) == ("a:7b-q4_K_M", [])
    assert [problem.why[:20] for problem in taken.problems] == ["an object that is cu"]


@pytest.mark.parametrize("page", [RUN, [RUN], {"offset": 0, "rows": [RUN]}, {"payload": RUN}])
def test_a_run_of_localmaxxing_keeps_what_it_was_told(page: Any, tmp_path: Path) -> None:
    (record,) = take(tmp_path, json.dumps(page)).records
    assert (record.origin, record.model.name) == ("localmaxxing", "org/model-GGUF")
    assert [(t.test, t.n_depth, t.samples_ns) for t in record.timings] == [
        ("pp2048", 0, [512_000_000]),
        ("tg512", 2048, [5_120_000_000]),
    ]
    assert record.config == {
        "n_ctx": 8192,
        "type_k": "q8_0",
        "type_v": "q8_0",
        "flash_attn": "on",
        "n_gpu_layers": 99,
    }
    assert record.model_extra is not None
    assert record.model_extra["said"]["peakVramGb"] == 20.5
    assert not record.is_calibrating


def test_a_flat_run_names_its_backend(tmp_path: Path) -> None:
    flat = {"hfId": "org/m", "tokSOut": 10, "backend": "xpu", "engineName": "vllm"}
    (record,) = take(tmp_path, json.dumps(flat)).records
    assert record.environment.backend == "sycl"
    assert record.conditions.unread["engine"] == "vllm"


def test_a_report_of_llama_benchy_has_both_tests_of_a_run(tmp_path: Path) -> None:
    (record,) = take(tmp_path, json.dumps(REPORT)).records
    assert (record.origin, record.model.name) == ("llama-benchy", "org/model")
    assert [(t.test, t.n_depth, t.samples_ns) for t in record.timings] == [
        ("pp2048", 4096, [2_000_000_000]),
        ("tg32", 4096, [1_000_000_000]),
    ]
    assert record.config["n_ctx"] == 4096 + 2048


def test_an_object_of_nobody_is_named(tmp_path: Path) -> None:
    taken = take(tmp_path, 'see\n{"answer": 42}\n')
    assert (taken.records, [problem.line for problem in taken.problems]) == ([], [2])


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE test (model_type TEXT, n_prompt INT, n_gen INT, avg_ts REAL);\n"
        "INSERT INTO \"test\" VALUES('llama ''7B''',512,0,100.0);",
        "INSERT INTO llama_bench (model_type, n_prompt, n_gen, avg_ts) VALUES "
        "('llama ''7B''', 512, 0, 100.0), ('llama ''7B''', 512, 0, NULL);",
        "insert or replace into llama_bench (n_prompt, n_gen, model_type, avg_ts) values "
        "('512', '0', 'llama ''7B''', '1e2');",
    ],
)
def test_sql_is_read_in_each_spelling(script: str, tmp_path: Path) -> None:
    (record,) = take(tmp_path, script).records
    assert record.model.name == "llama '7B'"
    assert [(t.test, t.samples_ns) for t in record.timings] == [("pp512", [5_120_000_000])]


def test_a_statement_that_is_cut_is_named(tmp_path: Path) -> None:
    one = "INSERT INTO llama_bench (model_type, n_prompt, n_gen, avg_ts) VALUES ('m', 512, 0, 100);"
    taken = take(tmp_path, f"{one[:-9]}\n{one}\n")
    assert len(taken.records) == 1
    assert [(problem.line, problem.why[:23]) for problem in taken.problems] == [
        (1, "a statement that is cut")
    ]
