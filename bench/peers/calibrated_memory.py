"""Total VRAM of published runs after calibrating on the same cards, as nvidia-smi saw it.

    python -m bench.peers.calibrated_memory DIR

DIR holds memory.jsonl, figures that llama.cpp and nvidia-smi printed. What nvidia-smi counts beyond
the printed buffers is a card's CUDA context after loading, and the pool as well after a prompt. The
context of a kind of card is taken from its runs of the smallest context after loading; all others
of it are predicted, at other contexts and micro-batches.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bench.train.public_rows import read_rows

from oomph.architectures.catalogue import catalogue_model
from oomph.config import RunConfig
from oomph.errors import OomphError
from oomph.estimate.overhead import pool_bytes
from oomph.gpus import gpu
from oomph.units import MIB

BUFFERS = ("model_buffer", "kv_buffer", "compute_buffer", "rs_buffer")
AFTER_PROMPT = "nvidia_smi_after_inference"
MODELS = (("Qwen3.5-122B", "qwen3.5-122b-a10b", "Q4_K_M"),)
"""Names in logs, to the catalogue's: whose pool is computed. Other models' runs after a prompt are
left out."""
LEAST_MIB, LEAST_SHARE = 100.0, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One card of one run: its total, what is beyond the printed buffers, and what its pool is
    predicted to be."""

    n_ctx: int
    total_mib: float
    beyond_mib: float
    pool_mib: float
    is_loaded_only: bool


def main(folder: Path) -> None:
    """Print, for each kind of card, how far the calibrated totals are off."""
    by_card: dict[str, list[Seen]] = defaultdict(list)
    for row in read_rows(folder / "memory.jsonl"):
        for seen in _seen(row):
            by_card[row["gpu"][0]].append(seen)
    for card, found in by_card.items():
        loaded = [seen for seen in found if seen.is_loaded_only]
        if not loaded:
            continue
        smallest = min(seen.n_ctx for seen in loaded)
        taught = [seen for seen in loaded if seen.n_ctx == smallest]
        context = median(seen.beyond_mib for seen in taught)
        print(
            f"{card}: a context of {context:.0f} MiB from {len(taught)} readings at n_ctx "
            f"{smallest}"
        )
        _print_errors(
            "after loading, longer contexts", [s for s in loaded if s.n_ctx != smallest], context
        )
        _print_errors("after a prompt", [s for s in found if not s.is_loaded_only], context)


def _print_errors(title: str, found: list[Seen], context: float) -> None:
    if not found:
        return
    errors = np.abs([context + seen.pool_mib - seen.beyond_mib for seen in found])
    within = np.mean(errors <= [max(LEAST_MIB, LEAST_SHARE * seen.total_mib) for seen in found])
    print(
        f"  {title}: {len(found)} readings, |error| median {np.median(errors):.1f} MiB,"
        f" 95th percentile {np.quantile(errors, 0.95):.1f} MiB; {within:.0%} within max(100 MiB, "
        "1 %)"
    )


def _seen(row: Mapping[str, Any]) -> Iterator[Seen]:
    """Each card of a row that nvidia-smi was asked about."""
    for key in ("nvidia_smi", AFTER_PROMPT):
        for device, total in _used_mib(row.get(key) or {}):
            pool = 0.0 if key != AFTER_PROMPT else _pool_mib(row)
            if pool is not None and any(device in (row.get(name) or {}) for name in BUFFERS):
                printed = sum((row.get(name) or {}).get(device, 0.0) for name in BUFFERS)
                yield Seen(
                    n_ctx=row["n_ctx"],
                    total_mib=total,
                    beyond_mib=total - printed,
                    pool_mib=pool,
                    is_loaded_only=key != AFTER_PROMPT,
                )


def _used_mib(readings: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(llama.cpp's device name, MiB in use) of nvidia-smi's readings, as numbers or as its own
    lines."""
    for device, reading in {**readings, **(readings.get("raw") or {})}.items():
        if device.startswith("CUDA") and isinstance(reading, dict) and "used" in reading:
            yield device, float(reading["used"])
        elif device.startswith("CUDA") and (found := re.match(r"\d+, (\d+) MiB", str(reading))):
            yield device, float(found[1])


def _pool_mib(row: Mapping[str, Any]) -> float | None:
    """The pool that is predicted for a row after a prompt; None for a model that `MODELS` does not
    name."""
    known = next(
        ((name, mix) for prefix, name, mix in MODELS if prefix in str(row["model_name"])), None
    )
    if known is None:
        return None
    config = RunConfig(
        n_ctx=row["n_ctx"], n_ubatch=row["n_ubatch"], flash_attn=row["flash_attn"] or "on"
    )
    return pool_bytes(catalogue_model(*known), config, gpu(row["gpu"][0])) / MIB


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(Path(sys.argv[1]))
    except OomphError as error:
        sys.exit(f"calibrated_memory: {error}")
