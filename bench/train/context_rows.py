"""CUDA contexts of real cards, from logs of free memory and from readings of a whole card.

Stands apart from what is learned of them because both kinds of rows hold other things too: a log's
first line what else was on the card, a reading all of llama.cpp's buffers, which are taken off as
they are estimated.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any, Final

from bench.train.public_rows import BENCH_FLASH_BUILD, read_rows, resolved_gpu, spec_bytes
from bench.train.row_models import row_model

from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import OomphError, UnknownNameError
from oomph.estimate.build import build_of
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import RUN_BYTES_PER_THREAD, pool_bytes, resident_threads
from oomph.gpus import GpuSpec, gpu
from oomph.units import MIB

Row = Mapping[str, Any]

OWN_CONTEXTS: Final = Path(__file__).parent / "measured" / "contexts.jsonl"
"""What NVML said of cards with an idle context, as `oomph first-card` asked it."""
MOST_CONTEXT_BYTES: Final = 800 * MIB
"""More in use than any context takes: something else was on the card."""
LOG_NOISE: Final = 0.1
"""Scatter of the logarithm of a CUDA context between drivers."""
READING_NOISE: Final = 0.4
"""The same of one reading, from which all buffers and a file's own mix were taken off as they are
estimated."""
SERVER_SLOTS: Final = 4
"""What llama-server makes of a context by itself, sharing one cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextReading:
    """The memory in use of a whole card, and what llama.cpp's buffers and pool take of it as they
    are estimated."""

    card: GpuSpec
    seen_bytes: float
    estimated_bytes: float
    model: str

    @property
    def context_bytes(self) -> float:
        """What remains: the context, and the errors of the rest."""
        return self.seen_bytes - self.estimated_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenContext:
    """A card's context as rows tell it, and the standard deviation of its logarithm."""

    n_bytes: float
    noise: float


def contexts_by_card(folder: Path) -> dict[GpuSpec, SeenContext]:
    """Each card's context once a prompt has run: our own records', else the least that a log found
    in use with what a prompt adds, else the median of its clean readings."""
    found: dict[GpuSpec, list[float]] = {}
    for reading in readings(folder / "vram-2026.jsonl"):
        if 0 < reading.context_bytes < MOST_CONTEXT_BYTES:
            found.setdefault(reading.card, []).append(reading.context_bytes)
    read = {
        card: SeenContext(
            n_bytes=median_low(each), noise=math.hypot(LOG_NOISE, READING_NOISE / len(each) ** 0.5)
        )
        for card, each in found.items()
    }
    logged = least_in_use(read_rows(folder / "memory.jsonl"))
    own = {gpu(row["gpu"]): row["context_mib"] * MIB for row in read_rows(OWN_CONTEXTS)}
    return read | {
        card: SeenContext(
            n_bytes=n_bytes + RUN_BYTES_PER_THREAD * resident_threads(card), noise=LOG_NOISE
        )
        for card, n_bytes in {**logged, **own}.items()
    }


def least_in_use(rows: Sequence[Row]) -> dict[GpuSpec, float]:
    """By card, the least memory that was in use when llama.cpp started on it: a desktop only
    adds."""
    least: dict[GpuSpec, float] = {}
    for row in rows:
        for name, in_use_mib in _in_use(row):
            try:
                card = gpu(name)
            except UnknownNameError:
                continue
            if 0 < in_use_mib * MIB < MOST_CONTEXT_BYTES:
                least[card] = min(least.get(card, in_use_mib * MIB), in_use_mib * MIB)
    return least


def _in_use(row: Row) -> Iterator[tuple[str, float]]:
    """(card, MiB in use) as llama.cpp found it at its start, from the device lines of a row."""
    total, free = row.get("gpu_total_mib") or {}, row.get("gpu_free_at_load_mib") or {}
    for name, device in zip(row["gpu"], total, strict=False):
        if device in free:
            yield name, total[device] - free[device]


def readings(path: Path) -> Iterator[ContextReading]:
    """The clean readings of one card that held a whole model of the catalogue and nothing else;
    none without a file."""
    models: dict[tuple[object, ...], ModelSpec] = {}
    rows = read_rows(path) if path.is_file() else []
    n_params = {row["model"]: row["params_b"] for row in rows if row.get("params_b")}
    for row in rows:
        if _is_comparable(row):
            try:
                yield _reading(
                    {**row, "params_b": row.get("params_b") or n_params.get(row["model"])}, models
                )
            except OomphError:
                continue


def _is_comparable(row: Row) -> bool:
    return bool(
        row["backend"] == "CUDA"
        and row["engine"] == "llama.cpp"
        and row["gpu_count"] == 1
        and row.get("catalogue_model")
        and row.get("size_gib")
        and row.get("n_ctx")
        and not (row.get("spec_type") or row.get("mmproj") or row.get("n_cpu_moe"))
        and row.get("vram_quality") == "clean"
    )


def _reading(row: Row, models: dict[tuple[object, ...], ModelSpec]) -> ContextReading:
    spec, card, config = row_model(row, models), resolved_gpu(row["gpu"]), _config(row)
    on_card = MemoryModel(spec, build_of(row.get("build_est"))).estimate(config).devices["CUDA0"]
    pool = 0 if "as loaded" in str(row.get("notes")) else pool_bytes(spec, config, card)
    other_mix = row["size_gib"] * 2**30 - _head_bytes(row, spec) - spec_bytes(spec)
    return ContextReading(
        card=card,
        seen_bytes=row["peak_vram_mib"] * MIB,
        model=spec.source,
        estimated_bytes=on_card.total_bytes + other_mix + pool,
    )


def _head_bytes(row: Row, spec: ModelSpec) -> float:
    """Bytes of a prediction head that the file holds and nobody loads: the share of parameters that
    are not ours."""
    if not row.get("params_b"):
        return 0.0
    excess = 1 - sum(tensor.n_elements for tensor in spec.tensors.values()) / (
        row["params_b"] * 1e9
    )
    return float(max(excess, 0.0) * row["size_gib"] * 2**30)


def _config(row: Row) -> RunConfig:
    """A row's configuration, with its program's own defaults where none is told."""
    is_server = row.get("tool") == "llama-server"
    n_batch, told = row.get("n_batch") or 2048, row.get("flash_attn")
    automatic = is_server or (row.get("build_est") or 0) >= BENCH_FLASH_BUILD
    slots = (row.get("n_parallel") or SERVER_SLOTS) if is_server else 1
    return RunConfig(
        n_ctx=row["n_ctx"],
        n_batch=n_batch,
        n_ubatch=min(row.get("n_ubatch") or 512, n_batch),
        swa_full=False,
        flash_attn="on" if (automatic if told is None else told in ("on", True, 1)) else "off",
        type_k=row.get("type_k") or "f16",
        type_v=row.get("type_v") or "f16",
        n_seq_max=slots,
        kv_unified=slots > 1,
        n_outputs_max=slots if is_server else None,
    )
