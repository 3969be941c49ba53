"""Other tools' results as records: llama-bench, llama-batched-bench, sweep-bench, ctxprobe.

Foreign files are read for what they say and nothing is made up: what a row does not tell is None, a
record's `origin` names the tool, and a mean without samples is one sample. Imported rows then
calibrate and plot like our own. llama-bench wrote `use_mmap` until 2026 and `load_mode` since; both
are read (tools/llama-bench/llama-bench.cpp). Its Markdown rounds sizes to two decimals and leaves
defaults out: such rows know less than the other layouts'.
"""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from oomph.config import FLASH_ATTN, KINDS, KNOBS, RunConfig, knob_value
from oomph.errors import ConfigError, StoreError
from oomph.foreign import read_bytes
from oomph.records.foreign_rows import Row, read_rows
from oomph.records.grouping import model_key
from oomph.records.schema import ModelIdentity, Record
from oomph.units import MIB

_FLASH_ATTN: Final = {str(number): word for word, number in FLASH_ATTN.items()} | {
    "false": "off",
    "true": "on",
}
MAX_BYTES: Final = 64 << 20
"""No results file is longer."""
SAME_SIZE: Final = 0.02
"""By how much of itself a size may differ and still be the same model's: Markdown rounds, and
llama.cpp leaves out tensors that it does not load."""


def import_records(
    path: Path, *, model: str | ModelIdentity | None = None, card: str | None = None
) -> list[Record]:
    """The records that a results file of another tool holds, its format found by its content.

    `model` names the model, or is its file's identity: then rows whose size is another model's keep
    their own. `card` is where it ran, for tools that do not say. Raises StoreError, naming file and
    line or format.
    """
    data = read_bytes(path, error=StoreError, remedy="check the path", limit=MAX_BYTES)
    try:
        rows = read_rows(data)
        records = _to_records(rows, path, model)
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
        csv.Error,
        sqlite3.Error,
        ValidationError,
        ConfigError,
    ) as error:
        told = (str(error).splitlines() or [""])[0][:200]
        reason = f"{type(error).__name__}: {told}"
        raise StoreError(
            f"{path} is not what llama-bench, batched-bench, sweep-bench or ctxprobe write "
            f"({reason}); give their json, jsonl, csv, sql, SQLite, md or tsv output"
        ) from None
    return [record_on(record, card) for record in records] if card else records


def record_on(record: Record, card: str) -> Record:
    """The record with its card named, where its tool did not say one."""
    if record.environment.gpus or record.environment.backend == "cpu":
        return record
    environment = record.environment.model_copy(
        update={"backend": "cuda", "gpus": [{"name": card}]}
    )
    return record.model_copy(update={"environment": environment})


def _to_records(rows: list[Row], path: Path, model: str | ModelIdentity | None) -> list[Record]:
    if not rows:
        raise ValueError("no rows")
    if "n_kv_max" in rows[0]:
        return _from_batched(rows, path, model)
    if "peak_vram_mib" in rows[0]:
        return [_from_ctxprobe(row, path, model) for row in rows]
    return _from_llama_bench(rows, path, model)


def _from_llama_bench(
    rows: Iterable[Row], path: Path, model: str | ModelIdentity | None
) -> list[Record]:
    """One record for each model, build and configuration: its tests and depths are the record's
    timings."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        key = json.dumps(
            [
                _bench_config(row),
                *(str(row.get(k)) for k in (*_IDENTITY, "build_commit", "gpu_info", "backends")),
            ]
        )
        groups.setdefault(key, []).append(row)
    return [_bench_record(group, path, model) for group in groups.values()]


_IDENTITY: Final = ("model_filename", "model_type", "model_size", "model_n_params")


def _bench_record(rows: list[Row], path: Path, model: str | ModelIdentity | None) -> Record:
    first = rows[0]
    n_ctx = max(
        sum(int(row.get(key) or 0) for key in ("n_prompt", "n_gen", "n_depth")) for row in rows
    )
    timings = [_bench_timing(row) for row in rows]
    cards = [name.strip() for name in str(first.get("gpu_info") or "").split(",") if name.strip()]
    backend = _backend(str(first.get("backends") or ""), cards)
    n_devices = 0 if backend == "cpu" else max(len(cards), 1)
    return _record(
        path,
        origin="llama-bench",
        config={"n_ctx": n_ctx, "n_devices": n_devices, **_bench_config(first)},
        model=_bench_model(first, model),
        started_at=str(first.get("test_time") or ""),
        timings=timings,
        cpu=str(first.get("cpu_info") or ""),
        backend=backend,
        cards=cards,
        commit=first.get("build_commit"),
        model_type=first.get("model_type"),
        build_number=first.get("build_number"),
    )


def _backend(backends: str, cards: list[str]) -> str:
    """Records' word for ggml's list of backends: what computed if it was no CPU, in small
    letters."""
    named = [name.strip().lower() for name in backends.split(",") if name.strip()]
    others = [name for name in named if name not in ("cpu", "blas", "rpc")]
    return others[0] if others else "cuda" if cards else "cpu"


def _bench_model(row: Row, model: str | ModelIdentity | None) -> ModelIdentity:
    """Which model a row is of: the given file where the sizes agree, else what the row says."""
    said, kind = int(row.get("model_size") or 0), str(row.get("model_type") or "")
    if isinstance(model, ModelIdentity) and (
        not said or is_same_size(model.tensor_bytes or model.file_bytes, said)
    ):
        return model
    file = str(row.get("model_filename") or "").replace("\\", "/").rpartition("/")[2]
    name = model if isinstance(model, str) else file.removesuffix(".gguf") or kind
    return ModelIdentity(
        name=Path(name).name.removesuffix(".gguf"),
        path=model if isinstance(model, str) else file or kind,
        arch=kind.partition(" ")[0],
        file_bytes=0,
        header_sha256="",
        tensor_bytes=said or None,
        n_params=int(row.get("model_n_params") or 0) or None,
    )


def is_same_size(own: int, said: int) -> bool:
    """Whether two sizes in bytes may be one model's, see SAME_SIZE."""
    return abs(own - said) <= SAME_SIZE * max(own, said)


def _bench_config(row: Row) -> dict[str, Any]:
    """The knobs that the row names; what it does not know is left out."""
    said = {
        name: _bench_value(name, str(row[knob.bench]))
        for name, knob in KNOBS.items()
        if knob.bench and row.get(knob.bench) not in (None, "")
    }
    plain = RunConfig()
    return {
        name: value
        for name, value in said.items()
        if value is not None and not (KNOBS[name].is_later and value == getattr(plain, name))
    }


def _bench_value(name: str, text: str) -> Any:
    """A knob's value as llama-bench writes it; None for what it does not know, or was not asked."""
    knob, kind = KNOBS[name], KINDS[name]
    if kind == "bool":
        return (text.lower() not in ("0", "false")) != knob.is_negated
    if name == "flash_attn":
        return _FLASH_ATTN.get(text.lower())
    if kind.startswith("tuple"):
        shares = tuple(float(part) for part in text.split("/"))
        return shares if any(shares) else None
    if kind == "str | None":
        return None if text == "none" else text.replace(";", ",")
    value = knob_value(name, text)
    return None if value == 0 and "None" in kind else value


def _bench_timing(row: Row) -> dict[str, Any]:
    n_prompt, n_gen = int(row.get("n_prompt") or 0), int(row.get("n_gen") or 0)
    test = "+".join(f"{kind}{n}" for kind, n in (("pp", n_prompt), ("tg", n_gen)) if n)
    samples = row.get("samples_ns") or [
        row.get("avg_ns") or (n_prompt + n_gen) / float(row["avg_ts"]) * 1e9
    ]
    return {
        "test": test,
        "n_tokens": n_prompt + n_gen,
        "n_depth": int(row.get("n_depth") or 0),
        "samples_ns": [round(float(ns)) for ns in samples],
    }


def _from_batched(rows: list[Row], path: Path, model: str | ModelIdentity | None) -> list[Record]:
    """llama-batched-bench (`pl` sequences in step) or sweep-bench (a depth `n_kv` a row): one
    record a file."""
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
                timings.append(
                    {
                        "test": f"{kind}{n_tokens}",
                        "n_tokens": n_tokens,
                        "n_depth": at,
                        "n_parallel": n_sequences,
                        "samples_ns": [round(float(row[f"t_{kind}"]) * 1e9)],
                    }
                )
    config = {"n_ctx": int(first["n_kv_max"]), **_bench_config(first)}
    if (n_seq_max := max(int(row.get("pl") or 1) for row in rows)) > 1:
        config["n_seq_max"] = n_seq_max
    origin = "llama-batched-bench" if "pl" in first else "sweep-bench"
    named = _named(model, path)
    return [
        _record(path, origin=origin, config=config, model=named, timings=timings, backend="unknown")
    ]


def _named(model: str | ModelIdentity | None, path: Path) -> ModelIdentity:
    """The model of a file that does not say it: the given one, else known by the file's own
    name."""
    if isinstance(model, ModelIdentity):
        return model
    name = model or path.stem
    return ModelIdentity(name=name, path=name, arch="", file_bytes=0, header_sha256="")


def _from_ctxprobe(row: Row, path: Path, model: str | ModelIdentity | None) -> Record:
    """One context that was tried: whether it ran, the card's peak, the two speeds."""
    went_well = str(row["result"]).lower() in ("ok", "success", "pass")
    timings = []
    for kind, key, n_tokens in (
        ("pp", "prefill_tps", row.get("prompt_tokens")),
        ("tg", "generate_tps", 1),
    ):
        if float(row.get(key) or 0) > 0 and int(n_tokens or 0) > 0:
            ns = round(int(n_tokens or 0) / float(row[key]) * 1e9)
            timings.append(
                {"test": f"{kind}{n_tokens}", "n_tokens": int(n_tokens or 0), "samples_ns": [ns]}
            )
    peak = row.get("peak_vram_mib")
    return _record(
        path,
        origin="ctxprobe",
        config={"n_ctx": int(row["context"])},
        model=_named(model, path),
        timings=timings,
        backend="cuda",
        outcome={
            "label": "ok"
            if went_well
            else "oom"
            if "oom" in str(row["result"]).lower()
            else "crash",
            "message": str(row["result"]),
        },
        memory=[
            {
                "probe": "ctxprobe",
                "quantity": "vram",
                "device": "CUDA0",
                "peak_bytes": round(float(peak) * MIB),
            }
        ]
        if peak
        else [],
    )


def _record(  # noqa: PLR0913 - a part of the record each
    path: Path,
    *,
    origin: str,
    config: dict[str, Any],
    model: ModelIdentity,
    timings: list[dict[str, Any]],
    started_at: str = "",
    cpu: str = "",
    backend: str,
    cards: Iterable[str] = (),
    commit: Any = None,
    **more: Any,
) -> Record:
    RunConfig.from_mapping(config, where=str(path))
    identity = json.dumps([model_key(model), config], sort_keys=True)
    point_id = hashlib.sha256(identity.encode()).hexdigest()[:12]
    row_id = hashlib.sha256(
        json.dumps([timings, more], sort_keys=True, default=str).encode()
    ).hexdigest()[:8]
    return Record.model_validate(
        {
            "record_id": f"{point_id}-{row_id}",
            "point_id": point_id,
            "sweep": path.stem,
            "label": _label(config),
            "started_at": started_at,
            "wall_ns": sum(sum(timing["samples_ns"]) for timing in timings),
            "config": config,
            "model": model,
            "environment": {
                "machine": f"imported from {origin}",
                "os": "",
                "python": "",
                "cpu": cpu,
                "cpu_count": None,
                "memory_bytes": None,
                "backend": backend,
                "gpus": [{"name": card} for card in cards],
                "llama_cpp_commit": commit,
            },
            "outcome": {"label": "ok"},
            "timings": timings,
            "origin": origin,
            **more,
        }
    )


def _label(config: Mapping[str, Any]) -> str:
    return " ".join(
        f"{knob}={config[knob]}" for knob in ("n_ctx", "type_k", "n_gpu_layers") if knob in config
    )
