"""Embedding and reranking: what llama-server allocates for it, beside what is predicted.

    python bench/peers/embeddings.py run FOLDER [MODEL …] >ROWS.jsonl
    python bench/peers/embeddings.py compare ROWS.jsonl

`run` writes the models' sparse files into FOLDER and starts llama-server on each, on a phantom card
and on the CPU; it needs `scripts/llama-tools llama-server` and the phantom card. A row is what was
said to llama-server, by RunConfig's names, and MiB of each kind of buffer by device. Exit code 1
where a size is not as predicted.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from oracle import server_program, sparse_file

from oomph.architectures.source import read_model
from oomph.config import keys_of
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import is_card
from oomph.measure.logs.reported import read_buffers
from oomph.measure.server_run import phantom_arguments, serving
from oomph.phantom.cards import phantom_cards
from oomph.programs.said import Said
from oomph.units import MIB

PRINTED_MIB: Final = 0.0051
"""llama.cpp prints two decimals."""
CARD: Final = "phantom:24576:8.6:82"
STARTS_S: Final = 60.0
PARTS: Final = {
    "weights_bytes": "model_mib",
    "kv_cache_bytes": "kv_cache_mib",
    "compute_bytes": "compute_mib",
    "output_bytes": "output_mib",
}
MODELS: Final = (
    "bge-m3:F16", "bge-reranker-v2-m3:Q8_0", "bge-large-en-v1.5:F16", "bge-small-en-v1.5:Q8_0",
    "all-minilm-l6-v2:F16", "multilingual-e5-large:Q8_0", "nomic-embed-text-v1.5:Q4_K_M",
    "nomic-embed-text-v2-moe:Q8_0", "jina-embeddings-v2-base-en:F16", "jina-embeddings-v3:Q8_0",
    "modernbert-base:Q8_0", "gte-reranker-modernbert-base:F16",
    "granite-embedding-small-english-r2:Q8_0", "neobert:F16", "eurobert-210m:Q4_K_M",
    "embeddinggemma-300m:Q8_0", "qwen3-embedding-0.6b:Q8_0", "qwen3-embedding-4b:Q4_K_M",
    "qwen3-embedding-8b:Q4_K_M", "qwen3-reranker-0.6b:Q8_0",
)  # fmt: skip
SAID: Final[tuple[Mapping[str, Any], ...]] = (
    {"n_ctx": 8192, "embeddings": True},
    {"n_ctx": 8192, "embeddings": True, "n_batch": 8192, "n_ubatch": 8192, "flash_attn": "on"},
    {"n_ctx": 2048, "embeddings": True, "n_ubatch": 1024, "flash_attn": "off"},
    {"n_ctx": 4096, "embeddings": True, "n_seq_max": 2, "n_ubatch": 1000, "pooling": "cls"},
    {"n_ctx": 4096, "embeddings": True, "n_seq_max": 1, "pooling": "mean", "flash_attn": "off"},
    {"n_ctx": 1000, "embeddings": True, "n_seq_max": 1, "n_ubatch": 2048, "pooling": "none"},
    {"n_ctx": 4096, "embeddings": True, "n_seq_max": 8, "kv_unified": True, "pooling": "last"},
    {"n_ctx": 4096, "embeddings": True, "pooling": "rank"},
    {"n_ctx": 4096, "embeddings": True, "n_gpu_layers": 5},
    {"n_ctx": 4096},
    {"n_ctx": 4096, "embeddings": True, "n_devices": 0},
    {"n_ctx": 4096, "embeddings": True, "n_devices": 0, "n_ubatch": 2048, "flash_attn": "off"},
)
"""What every model is asked with; the last two without a card."""
_ASKED: Final = {"n_ctx": 4096, "embeddings": True}
BESIDES: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("bge-small-en-v1.5:Q8_0", _ASKED | {"n_seq_max": 3, "n_ubatch": 1000, "pooling": "mean"}),
    ("bge-small-en-v1.5:Q8_0", _ASKED | {"n_seq_max": 3, "n_ubatch": 1000, "pooling": "cls"}),
    ("bge-small-en-v1.5:Q8_0", {"n_ctx": 4096, "pooling": "mean"}),
    ("bge-small-en-v1.5:Q8_0", _ASKED | {"type_k": "q8_0", "type_v": "q8_0"}),
    ("all-minilm-l6-v2:F16", _ASKED | {"type_v": "q8_0", "flash_attn": "off"}),
    ("bge-m3:F16", _ASKED | {"n_gpu_layers": 0}),
    ("bge-m3:F16", _ASKED | {"n_gpu_layers": 0, "op_offload": False}),
    ("bge-m3:F16", _ASKED | {"offload_kqv": False}),
    ("bge-m3:F16", _ASKED | {"offload_kqv": False, "flash_attn": "off"}),
    ("bge-m3:F16", _ASKED | {"n_seq_max": 300}),
    ("bge-m3:F16", _ASKED | {"n_devices": 2, "n_ubatch": 4096}),
    ("qwen3-embedding-0.6b:Q8_0", _ASKED | {"n_devices": 2, "n_ubatch": 4096}),
    ("nomic-embed-text-v2-moe:Q8_0", _ASKED | {"n_cpu_moe": 6}),
    ("qwen3-0.6b:Q8_0", _ASKED),
    ("qwen3-0.6b:Q8_0", _ASKED | {"pooling": "rank"}),
    ("qwen3-0.6b:Q8_0", _ASKED | {"type_k": "f32", "type_v": "f32", "flash_attn": "on"}),
    ("qwen3-0.6b:Q8_0", _ASKED | {"n_seq_max": 3, "pooling": "mean"}),
    ("qwen3-0.6b:Q8_0", {"n_ctx": 4096, "pooling": "mean"}),
    ("gemma-3-1b:Q8_0", _ASKED | {"pooling": "mean"}),
    ("qwen3.5-4b:Q4_K_M", _ASKED | {"pooling": "mean"}),
    ("qwen3.5-4b:Q4_K_M", _ASKED | {"pooling": "none"}),
    ("lfm2-1.2b:Q4_K_M", _ASKED | {"pooling": "mean"}),
    ("granite-4.0-h-tiny:Q4_K_M", _ASKED | {"pooling": "mean"}),
    ("gemma-3n-e2b:Q4_K_M", _ASKED | {"pooling": "mean"}),
)
"""What llama-server refuses, what moves an encoder's parts about, and models that write."""


def words(said: Mapping[str, Any]) -> Iterator[str]:
    """llama-server's words for it."""
    keys = keys_of("llama-server")
    for knob, value in said.items():
        if knob != "n_devices":
            yield f"--{keys[knob]}"
            if not isinstance(value, bool):  # llama-server's switches are said where they differ
                yield str(value)


def run(model: str, said: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The row: what llama-server printed for it, or the last that it said."""
    path, server = sparse_file(model, folder), server_program()
    command = [server, "-m", path, "--fit", "off", "--no-warmup", "--threads", "1", *words(said)]
    if said.get("n_devices", 1):
        n_cards = said.get("n_devices", 1)
        with phantom_cards(",".join([CARD] * n_cards), llama_cpp=server.parent) as phantom:
            command += phantom_arguments(n_cards)
            return _row(model, said, command, phantom.program_environment())
    return _row(model, said, [*command, "--no-repack"], {})


def _row(
    model: str, said: Mapping[str, Any], command: list[Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    with serving(command, environment=environment) as running:
        runs = running.await_health(STARTS_S) is not None
        log = running.log()
    row: dict[str, Any] = {"model": model, "said": dict(said)}
    if not runs:
        return row | {"failed": [line for line in log if line][-1].rpartition("/")[2][:100]}
    buffers, devices = read_buffers(log), {}
    for part, printed in PARTS.items():
        for device, sizes in getattr(buffers, printed).items():
            last = sizes[-1:] if part == "compute_bytes" else sizes
            devices.setdefault(device, {})[part] = round(sum(last), 2)
    return row | {"devices": devices}


@cache
def memory_of(model: str) -> MemoryModel:
    """The model's memory, replays kept from one row to the next."""
    return MemoryModel(read_model(model))


def differences(row: Mapping[str, Any]) -> Iterator[str]:
    """The sizes that are not as predicted."""
    memory = memory_of(row["model"])
    config = Said(knobs=row["said"]).config(memory.model)
    is_refused = any(memory.refusals(config, memory.setup(config)))
    if is_refused != ("failed" in row):
        yield f"predicted to be refused: {is_refused}; {row.get('failed', 'it runs')}"
    estimate = memory.estimate(config)
    for device, printed in row.get("devices", {}).items():
        for part, mib in printed.items():
            if part == "weights_bytes" and not is_card(device):
                continue  # mapped or read beside the card, by the page and not by the tensor
            predicted = getattr(estimate.devices[device], part) / MIB
            if abs(predicted - mib) > PRINTED_MIB:
                yield f"{device} {part}: predicted {predicted:.2f}, took {mib:.2f}"


def main(arguments: list[str]) -> int:
    """One of the two programs; its exit code."""
    if arguments[0] == "run":
        named = arguments[2:]
        cases = [(model, said) for model in MODELS for said in SAID] + list(BESIDES)
        for model, said in cases:
            if not named or model in named:
                print(json.dumps(run(model, said, Path(arguments[1]))), flush=True)
        return 0
    rows = [json.loads(line) for line in Path(arguments[1]).read_text().splitlines()]
    n_wrong = 0
    for row in rows:
        wrong = list(differences(row))
        n_wrong += bool(wrong)
        for each in wrong:
            print(f"{row['model']} {json.dumps(row['said'])}: {each}")
    print(f"{len(rows) - n_wrong} of {len(rows)} as predicted")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
