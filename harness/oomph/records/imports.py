"""Other tools' results as records: llama-bench, llama-batched-bench, sweep-bench, ctxprobe.

Foreign files are read for what they say and nothing is made up: what a row does not tell is None, a record's
`origin` names the tool, and a mean without samples is one sample. Imported rows then calibrate and plot like our own.
llama-bench wrote `use_mmap` until 2026 and `load_mode` since; both are read (tools/llama-bench/llama-bench.cpp).
"""

import csv
import hashlib
import io
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from oomph.errors import ConfigError, StoreError
from oomph.facts.config import RunConfig
from oomph.records.schema import Record
from oomph.units import MIB

Row = Mapping[str, Any]

_SQLITE: Final = b"SQLite format 3\x00"
_KNOBS: Final = (
    "n_batch",
    "n_ubatch",
    "type_k",
    "type_v",
    "n_gpu_layers",
    "n_cpu_moe",
    "split_mode",
    "main_gpu",
    "n_threads",
)
_INTS: Final = frozenset({"n_batch", "n_ubatch", "n_gpu_layers", "n_cpu_moe", "main_gpu", "n_threads"})
_FLASH_ATTN: Final = {"-1": "auto", "0": "off", "1": "on", "false": "off", "true": "on"}
_MARKDOWN_NAMES: Final = {
    "model": "model_type", "ngl": "n_gpu_layers", "sm": "split_mode", "threads": "n_threads", "fa": "flash_attn",
    "ncmoe": "n_cpu_moe", "nkvo": "no_kv_offload", "nopo": "no_op_offload", "mg": "main_gpu", "backend": "backends",
}  # fmt: skip


def import_records(path: Path, *, model: str | None = None) -> list[Record]:
    """The records that a results file of another tool holds, its format found by its content.

    `model` names the model where the tool does not. Raises StoreError, naming file and line or format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}); check the path") from None
    try:
        rows = _rows(data)
        return _to_records(rows, path, model)
    except (ValueError, KeyError, TypeError, csv.Error, sqlite3.Error, ValidationError, ConfigError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise StoreError(
            f"{path} is not what llama-bench, batched-bench, sweep-bench or ctxprobe write ({reason});"
            " give their json, jsonl, csv, sql, SQLite, md or tsv output"
        ) from None


def _rows(data: bytes) -> list[Row]:
    if data.startswith(_SQLITE):
        return _query(database=data)
    text = data.decode("utf-8-sig")
    start = text.lstrip()[:1]
    if start == "[":
        return list(json.loads(text))
    if start == "{":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if "INSERT INTO" in text:
        return _query(script=text)
    if start == "|":
        return _markdown_rows(text)
    first = text.lstrip().partition("\n")[0]
    return list(csv.DictReader(io.StringIO(text.lstrip()), delimiter="\t" if "\t" in first else ","))


def _query(*, database: bytes | None = None, script: str = "") -> list[Row]:
    """Rows of the table `llama_bench`, held in memory; a foreign script may open no other file (no ATTACH)."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    try:
        if database is not None:
            connection.deserialize(database)
        connection.set_authorizer(_allow)
        connection.executescript(script)
        return [dict(row) for row in connection.execute("SELECT * FROM llama_bench")]
    finally:
        connection.close()


def _allow(action: int, *_: object) -> int:
    return sqlite3.SQLITE_DENY if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_PRAGMA) else sqlite3.SQLITE_OK


def _markdown_rows(text: str) -> list[Row]:
    """The rows of llama-bench's table; `test` and `t/s` are taken apart into its JSON's fields."""
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if "|" in line]
    header, body = lines[0], [line for line in lines[1:] if not set("".join(line)) <= set("-: ")]
    return [_from_markdown(dict(zip(header, line, strict=True))) for line in body]


def _from_markdown(cells: dict[str, str]) -> Row:
    match = re.fullmatch(r"(?:pp(\d+))?\+?(?:tg(\d+))?(?: @ d(\d+))?", cells.pop("test"))
    if match is None:
        raise ValueError("a test that is neither pp, tg nor both")
    n_prompt, n_gen, n_depth = (int(group or 0) for group in match.groups())
    mean = float(re.split(r"\s*±", cells.pop("t/s"))[0])
    return {_MARKDOWN_NAMES.get(name, name): value for name, value in cells.items()} | {
        "n_prompt": n_prompt, "n_gen": n_gen, "n_depth": n_depth, "avg_ts": mean,
    }  # fmt: skip


def _to_records(rows: list[Row], path: Path, model: str | None) -> list[Record]:
    if not rows:
        raise ValueError("no rows")
    if "n_kv_max" in rows[0]:
        return _from_batched(rows, path, model)
    if "peak_vram_mib" in rows[0]:
        return [_from_ctxprobe(row, path, model) for row in rows]
    return _from_llama_bench(rows, path, model)


def _from_llama_bench(rows: Iterable[Row], path: Path, model: str | None) -> list[Record]:
    """One record for each model, build and configuration: its tests and depths are the record's timings."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        key = json.dumps(
            [_bench_config(row), *(str(row.get(k)) for k in ("model_filename", "model_type", "build_commit"))]
        )
        groups.setdefault(key, []).append(row)
    return [_bench_record(group, path, model) for group in groups.values()]


def _bench_record(rows: list[Row], path: Path, model: str | None) -> Record:
    first = rows[0]
    n_ctx = max(sum(int(row.get(key) or 0) for key in ("n_prompt", "n_gen", "n_depth")) for row in rows)
    timings = [_bench_timing(row) for row in rows]
    cards = [name.strip() for name in str(first.get("gpu_info") or "").split(",") if name.strip()]
    kind = str(first.get("model_type") or "")
    return _record(
        path, origin="llama-bench", config={"n_ctx": n_ctx, "n_devices": len(cards), **_bench_config(first)},
        name=model or Path(str(first.get("model_filename") or kind)).stem, arch=kind.partition(" ")[0],
        started_at=str(first.get("test_time") or ""), timings=timings, cpu=str(first.get("cpu_info") or ""),
        cards=cards, commit=first.get("build_commit"), model_type=kind, model_bytes=first.get("model_size"),
    )  # fmt: skip


def _bench_config(row: Row) -> dict[str, Any]:
    config: dict[str, Any] = {
        knob: int(row[knob]) if knob in _INTS else row[knob] for knob in _KNOBS if row.get(knob) not in (None, "")
    }
    if (flag := str(row.get("flash_attn", "")).lower()) in _FLASH_ATTN:
        config["flash_attn"] = _FLASH_ATTN[flag]
    for knob, negated in (("offload_kqv", "no_kv_offload"), ("op_offload", "no_op_offload")):
        if row.get(negated) not in (None, ""):
            config[knob] = str(row[negated]).lower() in ("0", "false")
    return config


def _bench_timing(row: Row) -> dict[str, Any]:
    n_prompt, n_gen = int(row.get("n_prompt") or 0), int(row.get("n_gen") or 0)
    test = "+".join(f"{kind}{n}" for kind, n in (("pp", n_prompt), ("tg", n_gen)) if n)
    samples = row.get("samples_ns") or [row.get("avg_ns") or (n_prompt + n_gen) / float(row["avg_ts"]) * 1e9]
    return {
        "test": test, "n_tokens": n_prompt + n_gen, "n_depth": int(row.get("n_depth") or 0),
        "samples_ns": [round(float(ns)) for ns in samples],
    }  # fmt: skip


def _from_batched(rows: list[Row], path: Path, model: str | None) -> list[Record]:
    """llama-batched-bench (`pl` sequences in step) or sweep-bench (a depth `n_kv` a row): one record a file."""
    first, timings = rows[0], []
    for row in rows:
        n_parallel = int(row.get("pl") or 1)
        depth = 0 if "pl" in row else int(row["n_kv"])
        n_prompting = 1 if row.get("is_pp_shared") else n_parallel
        for kind, n_tokens, n_sequences, at in (
            ("pp", int(row["pp"]), n_prompting, depth),
            ("tg", int(row["tg"]), n_parallel, depth + int(row["pp"]) if "pl" in row else depth),
        ):
            if n_tokens and float(row[f"t_{kind}"]) > 0:
                timings.append({
                    "test": f"{kind}{n_tokens}", "n_tokens": n_tokens, "n_depth": at, "n_parallel": n_sequences,
                    "samples_ns": [round(float(row[f"t_{kind}"]) * 1e9)],
                })  # fmt: skip
    config = {"n_ctx": int(first["n_kv_max"]), **_bench_config(first)}
    origin = "llama-batched-bench" if "pl" in first else "sweep-bench"
    return [_record(path, origin=origin, config=config, name=model or path.stem, timings=timings)]


def _from_ctxprobe(row: Row, path: Path, model: str | None) -> Record:
    """One context that was tried: whether it ran, the card's peak, the two speeds."""
    went_well = str(row["result"]).lower() in ("ok", "success", "pass")
    timings = []
    for kind, key, n_tokens in (("pp", "prefill_tps", row.get("prompt_tokens")), ("tg", "generate_tps", 1)):
        if float(row.get(key) or 0) > 0 and int(n_tokens or 0) > 0:
            ns = round(int(n_tokens or 0) / float(row[key]) * 1e9)
            timings.append({"test": f"{kind}{n_tokens}", "n_tokens": int(n_tokens or 0), "samples_ns": [ns]})
    peak = row.get("peak_vram_mib")
    return _record(
        path, origin="ctxprobe", config={"n_ctx": int(row["context"])}, name=model or path.stem, timings=timings,
        outcome={"label": "ok" if went_well else "oom" if "oom" in str(row["result"]).lower() else "crash",
                 "message": str(row["result"])},
        memory=[{"probe": "ctxprobe", "quantity": "vram", "device": "CUDA0", "peak_bytes": round(float(peak) * MIB)}]
        if peak else [],
    )  # fmt: skip


def _record(
    path: Path, *, origin: str, config: dict[str, Any], name: str, timings: list[dict[str, Any]], arch: str = "",
    started_at: str = "", cpu: str = "", cards: list[str] | None = None, commit: Any = None, **more: Any,
) -> Record:  # fmt: skip
    RunConfig.from_mapping(config, where=str(path))
    point_id = hashlib.sha256(json.dumps([name, config], sort_keys=True).encode()).hexdigest()[:12]
    row_id = hashlib.sha256(json.dumps([timings, more], sort_keys=True, default=str).encode()).hexdigest()[:8]
    return Record.model_validate({
        "record_id": f"{point_id}-{row_id}", "point_id": point_id, "sweep": path.stem, "label": _label(config),
        "started_at": started_at, "wall_ns": sum(sum(timing["samples_ns"]) for timing in timings), "config": config,
        "model": {"name": name, "path": name, "arch": arch, "file_bytes": 0, "header_sha256": ""},
        "environment": {
            "machine": f"imported from {origin}", "os": "", "python": "", "cpu": cpu, "cpu_count": None,
            "memory_bytes": None, "backend": "cuda" if cards or cards is None else "cpu",
            "gpus": [{"name": card} for card in cards or []], "llama_cpp_commit": commit,
        },
        "outcome": {"label": "ok"}, "timings": timings, "origin": origin, **more,
    })  # fmt: skip


def _label(config: Mapping[str, Any]) -> str:
    return " ".join(f"{knob}={config[knob]}" for knob in ("n_ctx", "type_k", "n_gpu_layers") if knob in config)
