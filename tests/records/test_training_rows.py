"""Rows for the trainer: what a real card did comes back as the trainer's own observations, and
nothing else does."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.train.public_rows import public_observations

from oomph.records.schema import Record
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
    assert (read.n_rows, read.left_out) == (2, {})
    prefill, decode = sorted(read.observations, key=lambda each: each.test, reverse=True)
    assert (prefill.n_prompt, prefill.n_depth, prefill.tokens_per_s) == (
        512,
        4096,
        pytest.approx(5120),
    )
    assert (decode.n_depth, decode.tokens_per_s) == (4096 + 32, pytest.approx(128))
    assert {each.card for each in read.observations} == {"NVIDIA H100 80GB HBM3"}
    assert {each.model for each in read.observations} == {"qwen3-30b-a3b:Q4_K_M"}
    assert all(each.question.flash for each in read.observations)


def test_other_active_experts_say_so_and_the_trainer_leaves_them_out(
    record: Record, tmp_path: Path
) -> None:
    ten = record.model_copy(update={"config": {**record.config, "n_expert_used": 10}})
    path = tmp_path / "speed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in training_rows([ten])))
    assert public_observations(path).left_out == {"other active experts": 2}


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
        {"conditions": {"throttle_reasons": ["power_cap"]}},
    ],
)
def test_what_teaches_nothing_is_no_row(record: Record, change: dict[str, Any]) -> None:
    assert list(training_rows([Record.model_validate(record.model_dump() | change)])) == []


def test_a_phantom_and_several_cards_are_no_rows(record: Record) -> None:
    environment = record.environment
    for changes in ({"backend": "phantom"}, {"gpus": environment.gpus * 2}):
        changed = record.model_copy(update={"environment": environment.model_copy(update=changes)})
        assert list(training_rows([changed])) == []
