"""Records as llama-bench writes them, so that its own tools read ours.

Apart from `frames` because the layout is another program's: each timing is an object with every field of
`llama-bench -o json`, in its order. What a record does not hold is llama-bench's default, or empty.
"""

from collections.abc import Iterable, Iterator
from statistics import fmean, stdev
from typing import Any, Final

from oomph.records.schema import Record, Timing

_FLASH_ATTN: Final = {"on": 1, "off": 0, "auto": -1}


def llama_bench_rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """One row a warm single-sequence timing of a successful record."""
    for record in records:
        if record.outcome.label == "ok":
            shared = _shared(record)
            for timing in record.timings:
                if timing.test.startswith(("pp", "tg")) and timing.n_parallel == 1 and timing.samples_ns:
                    yield {**shared, **_timing(timing), "test_time": record.started_at}


def _shared(record: Record) -> dict[str, Any]:
    config, environment = record.config, record.environment
    return {
        "build_commit": environment.llama_cpp_commit or "unknown", "build_number": 0, "cpu_info": environment.cpu,
        "gpu_info": ", ".join(str(gpu.get("name", "")) for gpu in environment.gpus),
        "backends": "CUDA" if environment.gpus else "CPU", "model_filename": record.model.path,
        "model_type": f"{record.model.arch} {record.model.name}".strip(), "model_size": record.model.file_bytes,
        "model_n_params": 0, "n_batch": config.get("n_batch", 2048), "n_ubatch": config.get("n_ubatch", 512),
        "n_threads": config.get("n_threads") or record.conditions.get("n_threads") or 0, "cpu_mask": "0x0",
        "cpu_strict": False, "poll": 50, "type_k": config.get("type_k", "f16"), "type_v": config.get("type_v", "f16"),
        "n_gpu_layers": config.get("n_gpu_layers", -1), "n_cpu_moe": config.get("n_cpu_moe", 0),
        "split_mode": config.get("split_mode", "layer"), "main_gpu": config.get("main_gpu", 0),
        "no_kv_offload": not config.get("offload_kqv", True),
        "flash_attn": _FLASH_ATTN.get(config.get("flash_attn", "auto"), -1), "devices": "auto",
        "tensor_split": "0.00", "tensor_buft_overrides": config.get("override_tensor") or "none",
        "load_mode": record.workload.get("load_mode", "auto"), "lazy_mode": "auto", "embeddings": False,
        "no_op_offload": int(not config.get("op_offload", True)), "no_host": False, "repack": True, "fit_target": 0,
        "fit_min_ctx": 0,
    }  # fmt: skip


def _timing(timing: Timing) -> dict[str, Any]:
    n_prompt, n_gen = (timing.n_tokens if timing.test.startswith(kind) else 0 for kind in ("pp", "tg"))
    if "+" in timing.test:  # imported from llama-bench -pg
        n_prompt, n_gen = (int(part[2:]) for part in timing.test.split("+"))
    rates = [timing.n_tokens / ns * 1e9 for ns in timing.samples_ns]
    several = len(rates) > 1
    return {
        "n_prompt": n_prompt, "n_gen": n_gen, "n_depth": timing.n_depth, "test_time": "",
        "avg_ns": round(fmean(timing.samples_ns)), "stddev_ns": round(stdev(timing.samples_ns)) if several else 0,
        "avg_ts": fmean(rates), "stddev_ts": stdev(rates) if several else 0.0, "samples_ns": timing.samples_ns,
        "samples_ts": rates,
    }  # fmt: skip
