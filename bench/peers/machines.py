"""Ten machines that people have: the placement found for a model, and llama-server's own buffers.

    python bench/peers/machines.py FOLDER [NUMBER …]

The models' sparse files are written into FOLDER. The real llama-server (`scripts/llama-tools
llama-server`) starts with the placement on phantom cards, and every buffer that it prints for a
card is held against the estimate. Exit code 1 where one is not as predicted.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from oracle import server_program, sparse_file

from oomph.advise.placement.proof import Placed
from oomph.advise.placement.search import best_placement
from oomph.architectures.source import read_model
from oomph.cards import read_cards
from oomph.config import KNOBS, RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import is_card
from oomph.measure.logs.reported import read_buffers
from oomph.measure.server_run import serving
from oomph.phantom.cards import phantom_cards
from oomph.programs.said import Said
from oomph.records.schema import Buffers
from oomph.units import GIB, MIB

PRINTED_MIB: Final = 0.011
"""llama.cpp prints two decimals."""
LONGEST_S: Final = 500.0
OLDEST: Final = 7.5
"""Compute capability of the oldest cards that CUDA 13 has kernels for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A machine and what it is to run; knobs that are said stay, but where the layers go."""

    cards: str
    model: str
    knobs: Mapping[str, Any] = field(default_factory=dict)


ROWS: Final = (
    Row(cards="5090,3080", model="qwen3.6-27b:Q8_0", knobs={"n_ctx": 131_072}),
    Row(cards="2x3090", model="qwen3.5-122b-a10b:Q4_K_M", knobs={"n_ctx": 65_536}),
    Row(cards="4x5060 ti 16gb,2070", model="llama-3.3-70b:Q4_K_M", knobs={"n_ctx": 65_536}),
    Row(
        cards="3x4090,2xrtx pro 6000",
        model="qwen3-235b-a22b:Q4_K_M",
        knobs={"n_ctx": 131_072, "n_ubatch": 2048},
    ),
    Row(cards="8xh200", model="deepseek-v3.2:Q8_0", knobs={"n_ctx": 131_072}),
    Row(cards="gb10", model="gpt-oss-120b:MXFP4", knobs={"n_ctx": 131_072}),
    Row(cards="3060,1060", model="qwen3-30b-a3b:Q4_K_M", knobs={"n_ctx": 32_768}),
    Row(cards="2x4060 ti 16gb", model="qwen3.6-27b:Q8_0", knobs={"n_ctx": 32_768}),
    Row(cards="5090,4090", model="glm-4.5-air:Q4_K_M", knobs={"n_ctx": 65_536}),
    Row(
        cards="rtx pro 6000",
        model="qwen3-30b-a3b:F16",
        knobs={"n_ctx": 90_000, "n_expert_used": 10},
    ),
)


def found(row: Row) -> tuple[Estimator, RunConfig, Placed | None, float]:
    """The estimator, what was asked, its best placement, and the seconds of one core that it
    took."""
    estimator = Estimator(row.model, row.cards)
    knobs = {"n_devices": len(estimator.cards), "n_seq_max": 1, **row.knobs}
    asked = Said(knobs=knobs).config(estimator.model)
    started = time.process_time()
    best = best_placement(estimator, asked, held=knobs)
    return estimator, asked, best, time.process_time() - started


def words(config: RunConfig, arch: str) -> list[str]:
    """The configuration as llama-server is told it."""
    said = ["--fit", "off", "--no-warmup"]
    for knob, value in config.unlike("llama-server").items():
        if knob == "n_expert_used":
            said += ["--override-kv", f"{arch}.expert_used_count=int:{value}"]
        elif isinstance(value, tuple):
            said += [KNOBS[knob].options[-1], ",".join(f"{share:g}" for share in value)]
        elif isinstance(value, (int, str)) and not isinstance(value, bool) and knob in _SAID:
            said += [KNOBS[knob].options[-1], str(value)]
    return said


_SAID: Final = (
    "n_ctx",
    "n_ubatch",
    "n_seq_max",
    "type_k",
    "type_v",
    "flash_attn",
    "n_gpu_layers",
    "n_cpu_moe",
    "override_tensor",
)


def served(row: Row, config: RunConfig, folder: Path) -> tuple[Buffers | None, list[str]]:
    """The buffers that llama-server printed, None where it did not come to listen; and its log."""
    server, path = server_program(), sparse_file(row.model, folder)
    flags = words(config, read_model(row.model).arch)
    with phantom_cards(_phantoms(row.cards), llama_cpp=server.parent) as phantom:
        devices = ",".join(f"CUDA{i}" for i in range(len(phantom.cards)))
        command = [server, "-m", str(path), *flags, "--device", devices]
        # what stays on the host is mapped, not read: a sparse file takes no memory so
        command += ["--load-mode", "mmap"]
        with serving(command, environment=phantom.program_environment()) as running:
            healthy = running.await_health(LONGEST_S)
            log = list(running.log())
    return (read_buffers(log) if healthy else None), log


def _phantoms(cards: str) -> str:
    """The cards as phantoms: one that CUDA 13 has left behind is a Turing card of its size."""
    return ",".join(
        card.spec.name
        if card.spec and float(card.spec.compute_capability) >= OLDEST
        else f"phantom:{card.memory_bytes // MIB}:{OLDEST}:{card.spec.sm_count if card.spec else 1}"
        for card in read_cards(cards)
    )


def largest_difference(estimator: Estimator, placed: Placed, buffers: Buffers) -> tuple[float, int]:
    """By how much a printed buffer is off at the most, in MiB, and how many were compared."""
    off, compared = 0.0, 0
    for name, device in placed.memory.devices.items():
        if not is_card(name):
            continue
        for n_bytes, printed in (
            (device.weights_bytes, sum(buffers.model_mib.get(name, [0]))),
            (device.kv_cache_bytes, sum(buffers.kv_cache_mib.get(name, [0]))),
            (device.recurrent_bytes, sum(buffers.recurrent_mib.get(name, [0]))),
            (device.compute_bytes, buffers.compute_mib.get(name, [0])[-1]),
        ):
            compared += 1
            off = max(off, abs(n_bytes / MIB - printed))
    return off, compared


def main(arguments: list[str]) -> int:
    """Print a row for each machine; its exit code."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    numbers = list(map(int, arguments[1:])) or range(1, len(ROWS) + 1)
    failed = False
    for number in numbers:
        row = ROWS[number - 1]
        estimator, asked, best, seconds = found(row)
        said = " ".join(f"{knob} {value}" for knob, value in row.knobs.items())
        print(f"{number}. {row.cards}: {row.model}, {said}")
        if best is None:
            print(f"   nothing fits ({seconds:.2f} s)", flush=True)
            continue
        changed = {knob: getattr(best.config, knob) for knob in best.changes}
        default = "fits" if estimator.fits(asked) else "does not fit"
        cards = ", ".join(
            f"{best.memory.devices[name].total_bytes / MIB:,.0f} of {n / MIB:,.0f}"
            for name, n in estimator.room_bytes(best.config).items()
        )
        print(
            f"   as asked {default}; found in {seconds:.2f} s of one core: {changed or 'as asked'}"
        )
        print(
            f"   in a full context decode {best.decode_tokens_per_s:.1f} t/s, prefill "
            f"{best.prefill_tokens_per_s:.0f}; MiB by card {cards}; host "
            f"{best.host_bytes / GIB:.1f} GiB",
            flush=True,
        )
        started = time.monotonic()
        buffers, log = served(row, best.config, folder)
        took = time.monotonic() - started
        if buffers is None:
            failed = True
            print(f"   llama-server did not come to listen ({took:.0f} s): {log[-3:]}", flush=True)
            continue
        off, compared = largest_difference(estimator, best, buffers)
        failed = failed or off > PRINTED_MIB
        print(
            f"   llama-server on phantom cards: {compared} buffers, off by {off:.4f} MiB at the "
            f"most ({took:.0f} s)",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
