"""Records of real cards as rows of the speed table that coefficients are learned from.

A row has the keys that `bench.train.public_rows` reads, so a file of them lies beside tables of
other people's. What a trainer could not use is left out here: a phantom, a model that nobody
published. What something disturbed is a row where nothing quiet tells the same, marked as noisy.
"""

from collections.abc import Iterable, Iterator
from statistics import median, stdev
from typing import Any

from oomph.architectures.catalogue import catalogue_model
from oomph.errors import UnknownNameError
from oomph.records.disturbance import quiet_samples, remarks
from oomph.records.ladder import ladder_stops
from oomph.records.schema import Record, Timing

Row = dict[str, Any]
_RESULT = ("tokens_per_s", "stddev", "quality", "quality_reason", "date", "source_url")
"""What two rows of the same question may differ in."""


def training_rows(records: Iterable[Record]) -> Iterator[Row]:
    """One row per warm test at a depth, of records that ran on one real card of the catalogue's
    models.

    Of a ladder these are its stops.
    """
    rows = [row for record in records if _ran_on_one_card(record) for row in _rows(record)]
    quiet = {_question(row) for row in rows if row["quality"] == "clean"}
    yield from (row for row in rows if row["quality"] == "clean" or _question(row) not in quiet)


def _ran_on_one_card(record: Record) -> bool:
    environment = record.environment
    is_real = environment.backend == "cuda" and len(environment.gpus) == 1
    return is_real and record.is_calibrating and record.outcome.label == "ok"


def _question(row: Row) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in row.items() if key not in _RESULT)


def _rows(record: Record) -> Iterator[Row]:
    name, _, quant = record.model.path.partition(":")
    try:
        own_experts = catalogue_model(name, quant).n_expert_used
    except UnknownNameError:
        return
    stops = ladder_stops(record)
    for timing in record.timings:
        is_stop = timing.n_depth in stops or not stops
        if timing.test[:2] in ("pp", "tg") and "+" not in timing.test and is_stop:
            quiet = quiet_samples(record, timing)
            row = _row(
                record,
                timing,
                quiet or timing.samples_ns,
                name=name,
                quant=quant,
                own_experts=own_experts,
            )
            reason = "; ".join(remarks(record)) or "its threads were put aside for other work"
            yield row | {
                "quality": "clean" if quiet else "noisy",
                "quality_reason": "" if quiet else reason,
            }


def _row(
    record: Record, timing: Timing, samples: list[int], *, name: str, quant: str, own_experts: int
) -> Row:
    config, is_prompt = record.config, timing.test.startswith("pp")
    rates = [timing.n_tokens * timing.n_parallel * 1e9 / ns for ns in samples]
    experts = config.get("n_expert_used")
    flash = {"enabled": 1, "disabled": 0}.get(record.reported.flash_attn or "")
    n_layers = int(config.get("n_gpu_layers", -1))
    return {
        "tool": "oomph",
        "engine": "llama.cpp",
        "backend": "CUDA",
        "gpu": record.environment.gpus[0].get("name"),
        "gpu_count": 1,
        "model": f"{name}:{quant}",
        "catalogue_model": name,
        "quant": quant,
        "params_b": None,
        "size_gib": record.model.file_bytes / 2**30 or None,
        "ngl": None if n_layers < 0 else n_layers,
        "n_cpu_moe": config.get("n_cpu_moe") or 0,
        "tensor_overrides": config.get("override_tensor"),
        "n_expert_used": None if experts in (None, own_experts) else experts,
        "n_prompt": timing.n_tokens if is_prompt else 0,
        "n_gen": 0 if is_prompt else timing.n_tokens,
        "n_depth": timing.n_depth,
        "n_parallel": timing.n_parallel,
        "n_batch": config.get("n_batch"),
        "n_ubatch": config.get("n_ubatch"),
        "type_k": config.get("type_k"),
        "type_v": config.get("type_v"),
        "flash_attn": flash,
        "swa_full": bool(config.get("swa_full")),
        "test": f"{timing.test} @ d{timing.n_depth}",
        "tokens_per_s": median(rates),
        "stddev": stdev(rates) if len(rates) > 1 else None,
        "date": record.started_at[:10],
        "build": None,
        "power_limit_w": None,
        "os": "Linux",
        "notes": "",
        "source_url": f"oomph, {record.environment.machine}",
    }
