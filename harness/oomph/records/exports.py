"""Records as llama-bench writes them, so that its own tools read ours.

Apart from `frames` because the layout is another program's: each timing is a row with every field
of `llama-bench -o json`, in its order. What a record does not hold is llama-bench's default, or
empty. llama-bench knows no number of active experts: it stands behind the model's type, so that its
tools do not average over it.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Final

from oomph.config import FLASH_ATTN, KNOBS
from oomph.errors import StoreError
from oomph.files import write_pieces
from oomph.foreign_text import spreadsheet_cell
from oomph.knob import Knob
from oomph.records.csv_lines import csv_lines
from oomph.records.schema import Record, Timing

Row = dict[str, Any]
SAMPLES: Final = ("samples_ns", "samples_ts")
"""Lists, which only the JSON layouts have room for."""

_BACKENDS: Final = {
    "cpu": "CPU",
    "cuda": "CUDA",
    "phantom": "CUDA",
    "rocm": "ROCm",
    "vulkan": "Vulkan",
    "sycl": "SYCL",
    "metal": "Metal",
    "opencl": "OpenCL",
    "cann": "CANN",
    "rpc": "RPC",
    "unknown": "",
}
"""ggml's names of them."""
_FLASH_ATTN: Final = FLASH_ATTN | {"enabled": 1, "disabled": 0}


def llama_bench_rows(records: Iterable[Record]) -> Iterator[Row]:
    """One row per warm single-sequence timing of a successful record."""
    for record in records:
        if record.outcome.label == "ok":
            shared = _shared(record)
            for timing in record.timings:
                if (
                    timing.test.startswith(("pp", "tg"))
                    and timing.n_parallel == 1
                    and timing.samples_ns
                ):
                    yield {**shared, **_timing(timing), "test_time": record.started_at}


def _shared(record: Record) -> Row:
    """llama-bench's fields in its order: its own defaults, over them what the record knows."""
    environment = record.environment
    row: Row = {
        "build_commit": (environment.llama_cpp_commit or "unknown").removesuffix("-dirty"),
        "build_number": _number(record, "build_number"),
        "cpu_info": environment.cpu,
        "gpu_info": ", ".join(str(gpu.get("name", "")) for gpu in environment.gpus),
        "backends": _BACKENDS.get(environment.backend, environment.backend),
        "model_filename": record.model.path,
        "model_type": _model_type(record),
        "model_size": record.model.tensor_bytes or record.model.file_bytes,
        "model_n_params": record.model.n_params or 0,
        "n_batch": 2048,
        "n_ubatch": 512,
        "n_threads": 0,
        "cpu_mask": "0x0",
        "cpu_strict": False,
        "poll": 50,
        "type_k": "f16",
        "type_v": "f16",
        "n_gpu_layers": -1,
        "n_cpu_moe": 0,
        "split_mode": "layer",
        "main_gpu": 0,
        "no_kv_offload": False,
        "flash_attn": -1,
        "devices": "auto",
        "tensor_split": "0.00",
        "tensor_buft_overrides": "none",
        "load_mode": record.workload.get("load_mode", "auto"),
        "lazy_mode": "auto",
        "embeddings": False,
        "no_op_offload": 0,
        "no_host": False,
        "repack": True,
        "fit_target": 0,
        "fit_min_ctx": 0,
    }
    known = {"n_threads": record.conditions.n_threads} | {
        name: value for name, value in record.config.items() if value is not None
    }
    for name, knob in KNOBS.items():
        if name == "flash_attn":
            row["flash_attn"] = _flash_attn(record)
        elif knob.bench and known.get(name) is not None:
            row[knob.bench] = type(row[knob.bench])(_bench_value(knob, known[name]))
    return row


def _bench_value(knob: Knob, value: Any) -> Any:
    """A knob's value as llama-bench writes it."""
    if isinstance(value, bool):
        return value != knob.is_negated
    if isinstance(value, list | tuple):
        return "/".join(f"{part:.2f}" for part in value) or "0.00"
    return value.replace(",", ";") if isinstance(value, str) else value


def _number(record: Record, key: str) -> int:
    """What an imported record brought along, and we do not measure."""
    return int((record.model_extra or {}).get(key) or 0)


def _model_type(record: Record) -> str:
    """llama-bench's words for the model where they were imported, else ours; with the experts, if
    they were set."""
    said = (record.model_extra or {}).get("model_type")
    experts = record.config.get("n_expert_used")
    words = str(said or f"{record.model.arch} {record.model.name}").strip()
    return f"{words}, {experts} experts" if experts else words


def _flash_attn(record: Record) -> int:
    """As llama.cpp resolved it, else as it was asked for."""
    taken = record.reported.flash_attn or ""
    return _FLASH_ATTN.get(taken, _FLASH_ATTN.get(record.config.get("flash_attn", "auto"), -1))


def _timing(timing: Timing) -> Row:
    n_prompt, n_gen = (
        timing.n_tokens if timing.test.startswith(kind) else 0 for kind in ("pp", "tg")
    )
    if "+" in timing.test:  # imported from llama-bench -pg
        n_prompt, n_gen = (int(part[2:]) for part in timing.test.split("+"))
    rates = [timing.n_tokens / ns * 1e9 for ns in timing.samples_ns]
    several = len(rates) > 1
    return {
        "n_prompt": n_prompt,
        "n_gen": n_gen,
        "n_depth": timing.n_depth,
        "test_time": "",
        "avg_ns": round(fmean(timing.samples_ns)),
        "stddev_ns": round(stdev(timing.samples_ns)) if several else 0,
        "avg_ts": fmean(rates),
        "stddev_ts": stdev(rates) if several else 0.0,
        "samples_ns": timing.samples_ns,
        "samples_ts": rates,
    }


def json_pieces(rows: Iterable[Row]) -> Iterator[str]:
    """The text of `llama-bench -o json`, a row at a time."""
    opening = "["
    for row in rows:
        yield f"{opening}\n  " + json.dumps(row, indent=2).replace("\n", "\n  ")
        opening = ","
    yield "[]\n" if opening == "[" else "\n]\n"


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write the rows, as they come, as the suffix says: .json, .jsonl, .csv or .sqlite. StoreError
    for another, or for no row."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise StoreError(
            "there is no timing to export: llama-bench's rows are tests of points that ran to "
            "their end"
        )
    try:
        if path.suffix in (".sqlite", ".db"):
            _write_sqlite(first, rows, path)
        elif path.suffix in _TEXTS:
            pieces = _TEXTS[path.suffix](chain([first], rows))
            write_pieces(path, pieces, otherwise="name another path with --out")
        else:
            raise StoreError(
                f"{path} has no suffix that says its layout; end it in .json, .jsonl, .csv or "
                ".sqlite"
            )
    except sqlite3.Error as error:
        raise StoreError(
            f"{path} takes no rows of llama-bench ({error}); name another file with --out"
        ) from None


def _jsonl_pieces(rows: Iterable[Row]) -> Iterator[str]:
    return (json.dumps(row) + "\n" for row in rows)


def _csv_pieces(rows: Iterator[Row]) -> Iterator[str]:
    """As llama-bench quotes it: every value in quotes, truth as 0 and 1."""
    first = next(rows)
    columns = _columns(first)
    yield ",".join(columns) + "\n"
    yield from csv_lines(
        ([_csv_value(row[column]) for column in columns] for row in chain([first], rows)),
        quotes_all=True,
    )


_TEXTS: Final = {".json": json_pieces, ".jsonl": _jsonl_pieces, ".csv": _csv_pieces}


def _write_sqlite(first: Row, rows: Iterable[Row], path: Path) -> None:
    """The table `llama_bench`, added to where it exists: so llama-bench's own `-o sql | sqlite3`
    gathers runs."""
    columns = _columns(first)
    kinds = {str: "TEXT", float: "REAL"}
    declared = ", ".join(
        f"{column} {kinds.get(type(first[column]), 'INTEGER')}" for column in columns
    )
    places = ", ".join("?" for _ in columns)
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS llama_bench ({declared})")
            every = chain([first], rows)
            values = ([_plain(row[column]) for column in columns] for row in every)
            connection.executemany(
                f"INSERT INTO llama_bench ({', '.join(columns)}) VALUES ({places})", values
            )
    finally:
        connection.close()


def _columns(row: Row) -> list[str]:
    return [column for column in row if column not in SAMPLES]


def _csv_value(value: Any) -> Any:
    return spreadsheet_cell(value) if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value
