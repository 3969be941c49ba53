"""--split-mode tensor and row: what each card takes, as predicted and as llama-server takes it.

    python bench/peers/tensor_split.py draw NUMBER SEED >CASES.jsonl
    python bench/peers/tensor_split.py run CASES.jsonl FOLDER >ROWS.jsonl
    python bench/peers/tensor_split.py compare ROWS.jsonl

`run` writes the models' sparse files into FOLDER and needs `scripts/llama-tools llama-server` and
the phantom card. llama.cpp prints the largest slice of a buffer; what each card took, to the byte,
is in the phantom's accounts. Exit code 1 where a row is not as predicted.
"""

import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from fit_cases import SERVER, Case, line_of, read_cases
from oracle import server_program, sparse_file

from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import exchange_bytes
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate, as_printed, is_card
from oomph.gpus import GpuSpec
from oomph.measure.server_run import phantom_arguments, serving
from oomph.phantom.cards import parse_cards, phantom_cards
from oomph.units import GIB, MIB

MODELS: Final = (
    "arcee-afm-4.5b:Q8_0",
    "command-r7b:Q4_K_M",
    "deepseek-moe-16b:Q4_K_M",
    "deepseek-v2-lite:Q4_K_M",
    "ernie-4.5-21b-a3b:Q4_K_M",
    "exaone-4.0-1.2b:Q8_0",
    "falcon-h1-7b:Q4_K_M",
    "gemma-2-2b:Q4_K_M",
    "gemma-3-1b:Q8_0",
    "gemma-3-4b:Q4_K_M",
    "gemma-3-12b:Q4_K_M",
    "gemma-3n-e2b:Q4_K_M",
    "gemma-4-26b-a4b:Q4_K_M",
    "gemma-4-e2b:Q4_K_M",
    "glm-4-32b-0414:Q4_K_M",
    "glm-4.7-flash:Q4_K_M",
    "gpt-oss-20b:MXFP4",
    "granite-3.1-3b-a800m:Q4_K_M",
    "granite-3.3-8b:Q4_K_M",
    "granite-4.0-h-tiny:Q4_K_M",
    "internlm2.5-7b:Q4_K_M",
    "lfm2-1.2b:Q4_K_M",
    "lfm2-8b-a1b:Q4_K_M",
    "ling-mini-2.0:Q4_K_M",
    "llama-3.1-8b:Q4_K_M",
    "llama-3.2-1b:BF16",
    "mamba2-2.7b:Q8_0",
    "ministral-3-3b:Q4_K_M",
    "mistral-nemo:Q4_K_M",
    "nemotron-nano-9b-v2:Q4_K_M",
    "olmo-3-7b:Q4_K_M",
    "olmoe-1b-7b:Q4_K_M",
    "phi-3-mini:Q4_K_M",
    "phi-4-mini:Q4_K_M",
    "qwen1.5-moe-a2.7b:Q4_K_M",
    "qwen2.5-0.5b:Q8_0",
    "qwen2.5-7b:Q4_K_M",
    "qwen2.5-vl-7b:Q4_K_M",
    "qwen3-0.6b:Q4_0",
    "qwen3-8b:Q4_K_M",
    "qwen3-30b-a3b:Q4_K_M",
    "qwen3-vl-8b:Q4_K_M",
    "qwen3.5-4b:Q4_K_M",
    "qwen3.5-9b:Q4_K_M",
    "qwen3.6-35b-a3b:Q4_K_M",
    "smollm2-360m:Q8_0",
    "smollm3-3b:Q4_K_M",
    "starcoder2-3b:Q4_K_M",
    "tinyllama-1.1b:Q8_0",
)
LONGEST_S: Final = 300.0
MOST_ON_HOST: Final = 4 * GIB
"""What llama-server may take of the host's memory here; cases beyond are left out."""
PRINTED_MIB: Final = 0.011
"""llama.cpp prints two decimals."""
FIRST_BATCH: Final = 2
"""Tokens that llama-server decodes before it listens (common_context_can_seq_rm)."""
FIRST_POOL_BYTES: Final = 2 * MIB
"""ggml-cuda's pool after that, of a card that computes."""
_PARTS: Final = {
    "model": "weights_bytes",
    "KV": "kv_cache_bytes",
    "RS": "recurrent_bytes",
    "compute": "compute_bytes",
    "output": "output_bytes",
}
_BUFFER: Final = re.compile(
    r" (Meta\(\)|CUDA\d|CUDA_Host|CPU\w*) +(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB"
)
_DIED: Final = re.compile(
    r"error loading model: (.*)|llama_init_from_model: (\w+ requires .*)"
    r"|(GGML_ASSERT\([^\n]{0,200}|unsupported mul_mat.*)"
)


def draw(n: int, seed: int) -> Iterator[Case]:
    """`n` cases: each model in turn, on one to four cards, with what a user may say."""
    rng = Random(seed)
    for number in range(n):
        n_cards = rng.choice((1, 2, 2, 2, 3, 4, 4))
        size = rng.choice((16_000, 24_000, 32_000))
        equal = rng.random() < 0.5
        cards = [size if equal else rng.choice((12_000, 24_000, 48_000)) for _ in range(n_cards)]
        name = MODELS[number % len(MODELS)]
        yield Case(
            program=SERVER,
            model=name,
            cards_mib=cards,
            knobs=_said(rng, read_model(name).n_layer, n_cards),
        )


def _said(rng: Random, n_layer: int, n_cards: int) -> dict[str, Any]:
    said: dict[str, Any] = {"n_ctx": rng.choice((2048, 4096, 8192, 5000, 32768))}
    said["split_mode"] = "tensor"
    if rng.random() < 0.4:
        said["tensor_split"] = [rng.choice((1, 2, 3, 5)) for _ in range(n_cards)]
    if rng.random() < 0.3:
        said["type_k"] = said["type_v"] = rng.choice(("q8_0", "q4_0"))
    chances = {
        "n_seq_max": (0.3, (1, 2, 4)),
        "n_ubatch": (0.3, (128, 1024, 2048)),
        "flash_attn": (0.05, ("on", "off")),
        "n_gpu_layers": (0.15, (n_layer // 2, n_layer, 99)),
        "n_cpu_moe": (0.1, (4, n_layer)),
        "offload_kqv": (0.05, (False,)),
        "swa_full": (0.1, (True,)),
    }
    for name, (chance, values) in chances.items():
        if rng.random() < chance:
            said[name] = rng.choice(values)
    return said


def run(case: Case, folder: Path) -> Case:
    """The case with the buffers that llama-server printed, in MiB, and each card's own bytes."""
    path, server = sparse_file(case.model, folder), server_program()
    n_cards = len(case.cards_mib)
    with phantom_cards(_cards(case), llama_cpp=server.parent) as phantom:
        command = [server, "-m", path, *case.words(), "-fit", "off", "--no-warmup"]
        with serving(
            [*command, *phantom_arguments(n_cards)], environment=phantom.program_environment()
        ) as running:
            is_healthy = running.await_health(LONGEST_S) is not None
            live = [phantom.counters(card).live_bytes for card in range(n_cards)]
            log = running.log()
    took: dict[str, Any] = {}
    for line in log:
        if match := _BUFFER.search(line):
            buffers = took.setdefault(match[1], {})
            buffers[match[2]] = round(buffers.get(match[2], 0.0) + float(match[3]), 2)
    if is_healthy:
        return replace(case, chose=took | {"live_bytes": live})
    return replace(case, chose={"died": _last_words(log)})


def _last_words(log: tuple[str, ...]) -> str:
    found = [match[match.lastindex or 0] for line in log if (match := _DIED.search(line))]
    return found[0] if found else "no word"


def _cards(case: Case) -> str:
    return ",".join(f"phantom:{mib}:8.6:82" for mib in case.cards_mib)


@cache
def memory_of(model: str) -> MemoryModel:
    """The model's memory, replays kept from one case to the next."""
    return MemoryModel(read_model(model))


def asked(case: Case) -> RunConfig:
    """The case as oomph is asked."""
    return case.question().config


def difference(case: Case) -> str | None:
    """Where prediction and log or accounts part; None where they are one, or both refuse."""
    config, memory = asked(case), memory_of(case.model)
    refusals = [sentence for _, sentence in memory.refusals(config, memory.setup(config))]
    if refusals:
        return None if "died" in case.chose else f"ran, and was to be refused: {refusals[0]}"
    estimate = memory.estimate(config)
    if died := case.chose.get("died"):
        return None if _is_too_large(case, estimate) else f"died: {died}"
    for device, buffers in case.chose.items():
        if device != "live_bytes" and (told := _buffers(device, buffers, estimate)):
            return told
    gpu = parse_cards(_cards(case))[0].spec
    return next(filter(None, _accounts(case, estimate, gpu)), None)


def _is_too_large(case: Case, estimate: MemoryEstimate) -> bool:
    return any(
        estimate.devices[f"CUDA{card}"].total_bytes > n_mib * MIB
        for card, n_mib in enumerate(case.cards_mib)
    )


def _buffers(device: str, buffers: Mapping[str, float], estimate: MemoryEstimate) -> str | None:
    """What llama.cpp prints, the largest slice of all cards as one, against the estimate."""
    for part, n_mib in buffers.items():
        is_weights_on_host = part == "model" and not is_card(device)
        home = (
            as_printed(estimate.devices, "CPU" if is_weights_on_host else device) or DeviceMemory()
        )
        foretold = getattr(home, _PARTS[part]) / MIB
        if abs(foretold - n_mib) > PRINTED_MIB:
            return f"{device} {part}: {foretold:.2f} MiB, printed {n_mib}"
    return None


def _accounts(case: Case, estimate: MemoryEstimate, gpu: GpuSpec) -> Iterator[str | None]:
    """Every byte of each card: buffers, the exchange of a first small batch, and a first pool."""
    model, config = memory_of(case.model).model, asked(case)
    exchange = exchange_bytes(model, config.with_(n_ubatch=FIRST_BATCH), gpu)
    for card, live in enumerate(case.chose["live_bytes"]):
        beyond = live - estimate.devices[f"CUDA{card}"].total_bytes - exchange
        yield None if beyond in (0, FIRST_POOL_BYTES) else f"CUDA{card}: {beyond} bytes not known"


def on_host(case: Case) -> int:
    """Bytes that the case takes of the host; 0 where it does not run."""
    config, memory = asked(case), memory_of(case.model)
    if any(memory.refusals(config, memory.setup(config))):
        return 0
    devices = memory.estimate(config).devices
    return sum(each.total_bytes for name, each in devices.items() if not is_card(name))


def compared(cases: list[Case]) -> int:
    """Print each case with what was taken and foretold; how many are equal."""
    n_equal = 0
    for case in cases:
        told = difference(case)
        n_equal += told is None
        cards, words = ",".join(map(str, case.cards_mib)), " ".join(case.words())
        print(f"{'equal ' if told is None else 'DIFFER'} {case.model} on {cards} MiB {words}")
        if died := case.chose.get("died"):
            print(f"    refused: {died}")
        if told:
            print(f"    {told}")
    print(f"{n_equal} of {len(cases)} as predicted")
    return n_equal


def main(arguments: list[str]) -> int:
    """One of the three programs; its exit code."""
    if arguments[0] == "draw":
        for case in draw(int(arguments[1]), int(arguments[2])):
            print(line_of(case))
        return 0
    cases = read_cases(Path(arguments[1]))
    if arguments[0] == "run":
        for case in (each for each in cases if on_host(each) <= MOST_ON_HOST):
            started = time.monotonic()
            print(line_of(run(case, Path(arguments[2]))), flush=True)
            print(f"{time.monotonic() - started:.1f} s {case}", file=sys.stderr)
        return 0
    return 0 if compared(cases) == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
