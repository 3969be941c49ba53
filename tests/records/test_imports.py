"""Other tools' files become records that say what the files say, and no more; ours go back the
other way."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.errors import StoreError
from oomph.records.exports import llama_bench_rows
from oomph.records.grouping import model_key
from oomph.records.imports import import_records
from oomph.records.schema import ModelIdentity, Record
from oomph.units import MIB

ROW: dict[str, Any] = {
    "build_commit": "0c1e570",
    "build_number": 1,
    "cpu_info": "CPU",
    "gpu_info": "NVIDIA RTX 4090, NVIDIA RTX 4090",
    "backends": "CUDA",
    "model_filename": "/m/qwen.gguf",
    "model_type": "qwen3moe 30B.A3B Q4_K - Medium",
    "model_size": 18550000000,
    "model_n_params": 30500000000,
    "n_batch": 2048,
    "n_ubatch": 1024,
    "n_threads": 8,
    "type_k": "q8_0",
    "type_v": "q8_0",
    "n_gpu_layers": 99,
    "n_cpu_moe": 4,
    "split_mode": "layer",
    "main_gpu": 0,
    "no_kv_offload": False,
    "flash_attn": 1,
    "no_op_offload": 0,
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 4096,
    "test_time": "2026-09-01T00:00:00Z",
    "avg_ns": 256000000,
    "stddev_ns": 1,
    "avg_ts": 2000.0,
    "stddev_ts": 1.0,
    "samples_ns": [256000000, 255000000],
}
FIELDS = [
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
    "samples_ns",
    "samples_ts",
]
DECODE = ROW | {
    "n_prompt": 0,
    "n_gen": 128,
    "avg_ns": 1000000000,
    "samples_ns": [1000000000, 1100000000],
}


def _without_samples(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "samples_ns"}


def _sql(rows: list[dict[str, Any]]) -> str:
    names = list(_without_samples(rows[0]))
    values = [
        ", ".join(f"'{int(row[n]) if isinstance(row[n], bool) else row[n]}'" for n in names)
        for row in rows
    ]
    table = (
        f"CREATE TABLE IF NOT EXISTS llama_bench ({', '.join(f'{name} TEXT' for name in names)});\n"
    )
    return table + "".join(
        f"INSERT INTO llama_bench ({', '.join(names)}) VALUES ({v});\n" for v in values
    )


def _write(path: Path, layout: str) -> Path:
    rows = [ROW, DECODE]
    if layout == "json":
        path.write_text(json.dumps(rows))
    elif layout == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif layout == "csv":
        names = list(_without_samples(ROW))
        lines = [",".join(f'"{row[name]}"' for name in names) for row in rows]
        path.write_text("\n".join([",".join(names), *lines]) + "\n")
    elif layout == "sql":
        path.write_text(_sql(rows))
    else:
        with sqlite3.connect(path) as connection:
            connection.executescript(_sql(rows))
        connection.close()
    return path


@pytest.mark.parametrize("layout", ["json", "jsonl", "csv", "sql", "sqlite"])
def test_each_layout_of_llama_bench_gives_the_same_record(layout: str, tmp_path: Path) -> None:
    (record,) = import_records(_write(tmp_path / "bench", layout))
    assert record.model_extra is not None
    assert record.origin == "llama-bench"
    assert record.model.name == "qwen"
    assert record.model.arch == "qwen3moe"
    assert record.config == {
        "n_ctx": 4096 + 512,
        "n_devices": 2,
        "n_batch": 2048,
        "n_ubatch": 1024,
        "type_k": "q8_0",
        "type_v": "q8_0",
        "n_gpu_layers": 99,
        "n_cpu_moe": 4,
        "split_mode": "layer",
        "main_gpu": 0,
        "n_threads": 8,
        "flash_attn": "on",
        "offload_kqv": True,
        "op_offload": True,
    }
    assert [(timing.test, timing.n_depth, timing.n_tokens) for timing in record.timings] == [
        ("pp512", 4096, 512),
        ("tg128", 4096, 128),
    ]
    assert [timing.samples_ns[0] for timing in record.timings] == [256000000, 1000000000]
    assert [gpu["name"] for gpu in record.environment.gpus] == [
        "NVIDIA RTX 4090",
        "NVIDIA RTX 4090",
    ]
    assert (record.environment.cpu_count, record.environment.memory_bytes) == (None, None)
    assert record.environment.llama_cpp_commit == "0c1e570"


@pytest.mark.parametrize(
    ("field", "said", "knob", "value"),
    [
        ("tensor_split", "3.00/1.00", "tensor_split", (3.0, 1.0)),
        ("tensor_split", "0.00", "tensor_split", None),
        ("flash_attn", "-1", "flash_attn", "auto"),
        ("no_kv_offload", "1", "offload_kqv", False),
        ("n_threads", 0, "n_threads", None),
        ("tensor_buft_overrides", "a=CPU;b=CPU", "override_tensor", "a=CPU,b=CPU"),
        ("tensor_buft_overrides", "none", "override_tensor", None),
    ],
)
def test_a_field_of_llama_bench_is_the_knob_that_it_means(
    field: str, said: object, knob: str, value: object, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([ROW | {field: said}]))
    (record,) = import_records(path)
    found = record.config.get(knob)
    assert (tuple(found) if isinstance(found, list) else found) == value


def test_the_older_schema_is_read_too(tmp_path: Path) -> None:
    older = {key: value for key, value in ROW.items() if key not in ("n_cpu_moe", "no_op_offload")}
    path = tmp_path / "old.json"
    path.write_text(json.dumps([older | {"use_mmap": True, "flash_attn": False, "n_depth": 0}]))
    (record,) = import_records(path)
    assert record.config["flash_attn"] == "off"
    assert "n_cpu_moe" not in record.config
    assert record.timings[0].n_depth == 0


def test_a_markdown_table_is_read_with_its_mean_as_the_one_sample(tmp_path: Path) -> None:
    path = tmp_path / "bench.md"
    path.write_text(
        "| model                  |       size | params | backend | ngl | fa |            test |  "
        "         t/s |\n"
        "| ---------------------- | ---------: | -----: | ------- | --: | -: | --------------: | "
        "------------: |\n"
        "| qwen3moe 30B.A3B Q4_K  |  17.28 GiB | 30.5 B | CUDA    |  99 |  1 |           pp512 | "
        "2000.00 ± 3.1 |\n"
        "| qwen3moe 30B.A3B Q4_K  |  17.28 GiB | 30.5 B | CUDA    |  99 |  1 |   tg128 @ d4096 |  "
        "128.00 ± 0.2 |\n"
        "\nbuild: 0c1e570 (9000)\n"
    )
    (record,) = import_records(path)
    assert record.config["n_gpu_layers"] == 99
    prefill, decode = record.timings
    assert (prefill.test, prefill.samples_ns) == ("pp512", [256000000])
    assert (decode.test, decode.n_depth, decode.samples_ns) == ("tg128", 4096, [1000000000])


def test_batched_and_sweep_bench_keep_their_sequences_and_depths(tmp_path: Path) -> None:
    common = {
        "n_kv_max": 8192,
        "n_batch": 2048,
        "n_ubatch": 512,
        "flash_attn": 1,
        "n_gpu_layers": 99,
        "n_threads": 8,
    }
    times = {"t_pp": 0.5, "speed_pp": 1.0, "t_tg": 2.0, "speed_tg": 1.0}
    batched, sweep = tmp_path / "batched.jsonl", tmp_path / "sweep.jsonl"
    batched.write_text(
        json.dumps(
            {**common, "is_pp_shared": 0, "pp": 128, "tg": 32, "pl": 4, "n_kv": 640, **times}
        )
    )
    (record,) = import_records(batched, model="m")
    assert [(t.test, t.n_parallel, t.n_depth, t.samples_ns) for t in record.timings] == [
        ("pp128", 4, 0, [500_000_000]),
        ("tg32", 4, 128, [2_000_000_000]),
    ]
    assert record.model.name == "m"
    assert record.config["n_seq_max"] == 4
    sweep.write_text(
        "".join(
            json.dumps({**common, "pp": 512, "tg": 128, "n_kv": n, **times}) + "\n"
            for n in (0, 512)
        )
    )
    (record,) = import_records(sweep)
    assert [(t.test, t.n_depth) for t in record.timings] == [
        ("pp512", 0),
        ("tg128", 0),
        ("pp512", 512),
        ("tg128", 512),
    ]
    assert record.config["n_ctx"] == 8192


def test_ctxprobe_gives_peaks_and_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "probe.tsv"
    path.write_text(
        "context\tresult\tpeak_vram_mib\tprefill_tps\tgenerate_tps\tprompt_tokens\n"
        "4096\tok\t20000\t1000\t50\t2000\n131072\toom\t24000\t\t\t\n"
    )
    ran, failed = import_records(path)
    assert ran.memory[0].peak_bytes == 20000 * MIB
    assert [(t.test, t.samples_ns) for t in ran.timings] == [
        ("pp2000", [2_000_000_000]),
        ("tg1", [20_000_000]),
    ]
    assert (failed.outcome.label, failed.timings) == ("oom", [])


@given(st.binary(max_size=200))
def test_anything_else_is_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("import") / "file"
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"is not what llama-bench"):
        import_records(path)


@pytest.mark.parametrize(
    "text",
    [
        "ATTACH DATABASE '/tmp/x' AS x; INSERT INTO llama_bench VALUES (1);",
        "[{}]",
        '[{"n_prompt": "x"}]',
        "[1]",
        '{"n_kv_max": 1}',
        "| test |\n| --- |\n| nonsense |\n",
    ],
)
def test_a_file_that_only_looks_right_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    with pytest.raises(
        StoreError, match=r"give their json, jsonl, csv, sql, SQLite, md or tsv output"
    ):
        import_records(path)
    assert not (tmp_path / "x").exists()


def test_the_same_file_gives_the_same_ids(tmp_path: Path) -> None:
    path = _write(tmp_path / "bench", "json")
    assert [r.record_id for r in import_records(path)] == [
        r.record_id for r in import_records(path)
    ]


def test_what_goes_out_as_llama_bench_comes_back(tmp_path: Path) -> None:
    (record,) = import_records(_write(tmp_path / "bench", "json"))
    rows = list(
        llama_bench_rows(
            [record, Record.model_validate(record.model_dump() | {"outcome": {"label": "oom_kv"}})]
        )
    )
    assert list(rows[0]) == FIELDS
    assert [(row["n_prompt"], row["n_gen"], row["n_depth"]) for row in rows] == [
        (512, 0, 4096),
        (0, 128, 4096),
    ]
    path = tmp_path / "again.json"
    path.write_text(json.dumps(rows))
    (again,) = import_records(path)
    assert again.timings == record.timings
    assert again.config == record.config


MARKDOWN = """\
ggml_cuda_init: found 1 CUDA devices:
  Device 0: NVIDIA GeForce RTX 4090, compute capability 8.9, VMM: yes
| model                          |       size |     params | backend    | ngl |            test |                  t/s |
| ------------------------------ | ---------: | ---------: | ---------- | --: | --------------: | -------------------: |
| qwen3moe 30B.A3B Q4_K - Medium |  17.28 GiB |    30.53 B | CUDA       |  99 |     pp512 @ d64 |       4000.00 ± 9.00 |

build: 0c1e570 (1)
"""  # noqa: E501


def test_a_pasted_table_tells_sizes_card_and_build(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text(MARKDOWN)
    (record,) = import_records(path)
    assert record.environment.gpus == [{"name": "NVIDIA GeForce RTX 4090"}]
    assert record.environment.backend == "cuda"
    assert record.environment.llama_cpp_commit == "0c1e570"
    assert record.model.n_params == 30_530_000_000
    assert record.model.tensor_bytes == round(17.28 * 1024 * MIB)
    assert record.config == {"n_ctx": 576, "n_devices": 1, "n_gpu_layers": 99}


def test_two_models_in_a_file_are_two_models(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"model_filename": "/m/other.gguf"}, ROW | {"model_size": 9 * 10**9}]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(rows))
    records = import_records(path)
    assert len({model_key(record.model) for record in records}) == 3
    assert len({record.point_id for record in records}) == 3


def test_a_given_file_is_the_model_of_the_rows_of_its_size(tmp_path: Path) -> None:
    own = ModelIdentity(
        name="mine",
        path="mine.gguf",
        arch="qwen3moe",
        file_bytes=18_560_000_000,
        header_sha256="ab",
    )
    path = tmp_path / "bench.json"
    path.write_text(json.dumps([ROW, ROW | {"model_size": 9 * 10**9}]))
    mine, other = import_records(path, model=own)
    assert mine.model == own
    assert (other.model.header_sha256, other.model.tensor_bytes) == ("", 9 * 10**9)


def test_a_backend_is_what_computed(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    for said, cards, expected in (
        ("CPU", "", "cpu"),
        ("BLAS", "", "cpu"),
        ("Metal,BLAS", "Apple M3", "metal"),
        ("Vulkan", "RX 7900", "vulkan"),
        ("CUDA", "RTX 4090", "cuda"),
    ):
        path.write_text(json.dumps([ROW | {"backends": said, "gpu_info": cards}]))
        (record,) = import_records(path)
        assert record.environment.backend == expected
        assert record.config["n_devices"] == (0 if expected == "cpu" else 1)


def test_what_a_tool_does_not_say_of_its_card_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "sweep.jsonl"
    path.write_text(
        json.dumps({"n_kv_max": 64, "pp": 8, "tg": 4, "n_kv": 0, "t_pp": 1.0, "t_tg": 1.0})
    )
    (untold,) = import_records(path)
    assert (untold.environment.backend, untold.environment.gpus) == ("unknown", [])
    (told,) = import_records(path, card="RTX 4090")
    assert (told.environment.backend, told.environment.gpus) == ("cuda", [{"name": "RTX 4090"}])
    path.write_text(json.dumps([ROW]))
    (named,) = import_records(path, card="RTX 3060")
    assert named.environment.gpus[0]["name"] == "NVIDIA RTX 4090"
