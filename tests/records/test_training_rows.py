"""Rows for the trainer: what a real card did comes back as the trainer's own observations, marked
where it was disturbed."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.train.public_rows import public_observations

from oomph.records.schema import Conditions, Record
from oomph.records.training_rows import training_rows

TIMINGS = [
    {"test": "cold_pp512", "n_tokens": 512, "samples_ns": [9]},
    {"test": "pp512", "n_tokens": 512, "n_depth": 4096, "samples_ns": [10**8, 10**8, 11 * 10**7]},
    {"test": "tg64", "n_tokens": 64, "n_depth": 4096, "samples_ns": [5 * 10**8], "disturbed": []},
    {"test": "tg64", "n_tokens": 64, "n_depth": 0, "samples_ns": [5 * 10**8], "disturbed": [0]},
]


@pytest.fixture
def record(make_record: Any) -> Record:
    """A run of a published model on a real card of the catalogue."""
    made: Record = make_record(
        model={
            "name": "qwen3-30b-a3b",
            "path": "qwen3-30b-a3b:Q4_K_M",
            "arch": "qwen3moe",
            "file_bytes": 18_553_832_512,
            "header_sha256": "a",
        },
        config={
            "n_ctx": 8192,
            "n_ubatch": 512,
            "n_batch": 2048,
            "type_k": "f16",
            "type_v": "f16",
            "n_expert_used": 8,
        },
        environment={
            "machine": "here",
            "os": "Linux",
            "python": "3",
            "cpu": "c",
            "cpu_count": 2,
            "memory_bytes": 9,
            "backend": "cuda",
            "gpus": [{"name": "NVIDIA H100 80GB HBM3"}],
        },
        reported={"flash_attn": "enabled"},
        timings=TIMINGS,
    )
    return made


def test_the_trainer_reads_what_was_measured(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "speed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in training_rows([record])))
    read = public_observations(path)
    assert (read.n_rows, read.left_out) == (3, {})
    prefill, decode = (
        next(o for o in read.observations if o.test == test and not o.is_doubted)
        for test in ("prefill", "decode")
    )
    assert (prefill.n_prompt, prefill.n_depth, prefill.tokens_per_s) == (
        512,
        4096,
        pytest.approx(5120),
    )
    assert (decode.n_depth, decode.tokens_per_s) == (4096 + 32, pytest.approx(128))
    assert {each.card for each in read.observations} == {"NVIDIA H100 80GB HBM3"}
    assert {each.model for each in read.observations} == {"qwen3-30b-a3b:Q4_K_M"}
    assert all(each.question.flash for each in read.observations)


def test_other_active_experts_are_told_and_read(record: Record, tmp_path: Path) -> None:
    """Of other people's rows it is not known how they were made: those are left out."""
    ten = record.model_copy(update={"config": {**record.config, "n_expert_used": 10}})
    path, rows = tmp_path / "speed.jsonl", list(training_rows([ten]))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    experts = [o.question.config.n_expert_used for o in public_observations(path).observations]
    assert experts == [10, 10, 10]
    path.write_text("".join(json.dumps(row | {"tool": "llama-bench"}) + "\n" for row in rows))
    assert public_observations(path).left_out == {"other active experts": 3}


def test_windows_in_full_are_told(record: Record, tmp_path: Path) -> None:
    whole = record.model_copy(update={"config": {**record.config, "swa_full": True}})
    path = tmp_path / "speed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in training_rows([whole])))
    assert all(o.question.config.swa_full for o in public_observations(path).observations)


def test_a_disturbed_row_is_marked_and_gives_way_to_a_quiet_one(record: Record) -> None:
    hot = record.model_copy(update={"conditions": Conditions(throttle_reasons=["power_cap"])})
    marked = list(training_rows([hot]))
    assert {(row["quality"], row["quality_reason"]) for row in marked} == {
        ("noisy", "throttled (power_cap)")
    }
    both = list(training_rows([hot, record]))
    assert [row["quality"] for row in both if row["n_depth"] == 4096] == ["clean", "clean"]


def test_of_a_ladder_its_stops_are_rows(record: Record) -> None:
    between = record.timings[1].model_copy(update={"n_depth": 2048})
    ladder = record.model_copy(update={"timings": [*record.timings, between]})
    assert {row["n_depth"] for row in training_rows([ladder])} == {0, 4096}


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": {"label": "oom_kv"}},
        {
            "model": {
                "name": "x",
                "path": "mine.gguf",
                "arch": "a",
                "file_bytes": 1,
                "header_sha256": "",
            }
        },
    ],
)
def test_what_teaches_nothing_is_no_row(record: Record, change: dict[str, Any]) -> None:
    assert list(training_rows([Record.model_validate(record.model_dump() | change)])) == []


def test_a_phantom_and_several_cards_are_no_rows(record: Record) -> None:
    environment = record.environment
    for changes in ({"backend": "phantom"}, {"gpus": environment.gpus * 2}):
        changed = record.model_copy(update={"environment": environment.model_copy(update=changes)})
        assert list(training_rows([changed])) == []
