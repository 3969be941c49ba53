"""Exports have llama-bench's exact fields in each layout, and come back as what they were."""

import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oomph.errors import StoreError
from oomph.records.exports import llama_bench_rows, write_rows
from oomph.records.imports import import_records
from oomph.records.schema import Record

Make = Callable[..., Record]
COLUMNS = [
    "build_commit",
    "build_number",
    "cpu_info",
    "gpu_info",
    "backends",
    "model_filename",
    "model_type",
    "model_size",
    "model_n_params",
    "n_batch",
    "n_ubatch",
    "n_threads",
    "cpu_mask",
    "cpu_strict",
    "poll",
    "type_k",
    "type_v",
    "n_gpu_layers",
    "n_cpu_moe",
    "split_mode",
    "main_gpu",
    "no_kv_offload",
    "flash_attn",
    "devices",
    "tensor_split",
    "tensor_buft_overrides",
    "load_mode",
    "lazy_mode",
    "embeddings",
    "no_op_offload",
    "no_host",
    "repack",
    "fit_target",
    "fit_min_ctx",
    "n_prompt",
    "n_gen",
    "n_depth",
    "test_time",
    "avg_ns",
    "stddev_ns",
    "avg_ts",
    "stddev_ts",
]
READ_BY_COMPARE = {
    "build_commit",
    "cpu_info",
    "gpu_info",
    "backends",
    "n_gpu_layers",
    "n_cpu_moe",
    "tensor_buft_overrides",
    "model_filename",
    "model_type",
    "n_batch",
    "n_ubatch",
    "embeddings",
    "cpu_mask",
    "cpu_strict",
    "poll",
    "n_threads",
    "type_k",
    "type_v",
    "load_mode",
    "no_kv_offload",
    "split_mode",
    "main_gpu",
    "tensor_split",
    "flash_attn",
    "n_prompt",
    "n_gen",
    "n_depth",
    "fit_target",
    "fit_min_ctx",
    "avg_ts",
}
"""What llama.cpp 0.5.0's scripts/compare-llama-bench.py asks of a row; a NULL in a key would pair
with nothing."""


@pytest.fixture
def rows(make_record: Make) -> list[dict[str, Any]]:
    config = {
        "n_ctx": 512,
        "n_expert_used": 4,
        "flash_attn": "auto",
        "override_tensor": "a=CPU,b=CPU",
        "n_devices": 0,
    }
    environment = make_record().environment.model_copy(update={"llama_cpp_commit": "0c1e570-dirty"})
    changes = {"config": config, "environment": environment, "reported": {"flash_attn": "enabled"}}
    return list(
        llama_bench_rows([make_record(**changes), make_record(outcome={"label": "oom_kv"})])
    )


def test_a_row_has_every_field_in_llama_benchs_order(rows: list[dict[str, Any]]) -> None:
    (row,) = rows
    assert list(row) == [*COLUMNS, "samples_ns", "samples_ts"]
    assert all(row[key] is not None for key in READ_BY_COMPARE)
    assert row["build_commit"] == "0c1e570"
    assert row["flash_attn"] == 1
    assert row["model_type"] == "llama tiny, 4 experts"
    assert row["tensor_buft_overrides"] == "a=CPU;b=CPU"


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".sqlite"])
def test_each_layout_comes_back_the_same(
    suffix: str, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / f"bench{suffix}"
    write_rows(rows, path)
    (record,) = import_records(path)
    (timing,) = record.timings
    assert (timing.test, timing.n_depth, timing.n_tokens) == ("pp8", 16, 8)
    assert timing.samples_ns == ([4000, 2000, 3000] if suffix.startswith(".json") else [3000])
    assert record.config["override_tensor"] == "a=CPU,b=CPU"


def test_the_flat_layouts_are_llama_benchs(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    write_rows(rows, tmp_path / "bench.csv")
    head, line = (tmp_path / "bench.csv").read_text().splitlines()
    assert head.split(",") == COLUMNS
    assert line.startswith('"0c1e570","0",')
    assert next(csv.DictReader([head, line]))["no_kv_offload"] == "0"
    for _ in range(2):  # a second run is added, as `llama-bench -o sql | sqlite3` does
        write_rows(rows, tmp_path / "bench.sqlite")
    with sqlite3.connect(tmp_path / "bench.sqlite") as connection:
        kinds = {
            name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_info(llama_bench)")
        }
        assert connection.execute("SELECT count(*) FROM llama_bench").fetchone() == (2,)
    connection.close()
    assert list(kinds) == COLUMNS
    assert (kinds["n_prompt"], kinds["avg_ts"], kinds["type_k"]) == ("INTEGER", "REAL", "TEXT")
    write_rows(rows, tmp_path / "bench.jsonl")
    assert [
        json.loads(line) for line in (tmp_path / "bench.jsonl").read_text().splitlines()
    ] == rows


def test_what_cannot_be_written_is_one_sentence(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"end it in \.json, \.jsonl, \.csv or \.sqlite"):
        write_rows(rows, tmp_path / "bench.xml")
    with pytest.raises(StoreError, match="no timing to export"):
        write_rows([], tmp_path / "bench.json")
    (tmp_path / "text.sqlite").write_text("no database, and long enough to be seen as none" * 20)
    with pytest.raises(StoreError, match="takes no rows of llama-bench"):
        write_rows(rows, tmp_path / "text.sqlite")
