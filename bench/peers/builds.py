"""Builds of llama.cpp: what each one's dry run counts on the CPU, beside what is predicted.

    python bench/peers/builds.py run FOLDER BUILD [LIBRARY HEADER] >>ROWS.jsonl
    python bench/peers/builds.py compare ROWS.jsonl

`run` writes the models' sparse files into FOLDER and asks the installed llama-cpp-python, or the
LIBRARY of another build whose llama.h is HEADER (`scripts/drift` fetches both), with nothing
allocated. BUILD is the number that the rows are held against. Exit code 1 where a row is not as
predicted.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from oracle import sparse_file

from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.estimate.build import build_of
from oomph.estimate.memory import MemoryModel
from oomph.measure.dry_run import Llama, dry_run
from oomph.units import MIB

PRINTED_MIB: Final = 0.0051
"""llama.cpp prints two decimals."""
MODELS: Final = (
    "llama-3.1-8b", "llama-4-scout", "mistral-small-24b", "mixtral-8x7b", "qwen2.5-7b",
    "qwen3-8b", "qwen3-30b-a3b", "qwen3-vl-8b", "qwen3-vl-30b-a3b", "qwen3-next-80b-a3b",
    "qwen3.6-35b-a3b", "qwen3.5-9b", "gemma-2-9b", "gemma-3-12b", "gemma-3n-e4b",
    "gemma-4-26b-a4b", "gemma-4-e4b", "gpt-oss-20b", "glm-4.5-air", "glm-4.7-flash",
    "deepseek-v2-lite", "deepseek-v3.2", "nemotron-3-nano-30b-a3b", "nemotron-h-8b",
    "granite-4.0-h-tiny", "lfm2-8b-a1b", "falcon-h1-7b", "mamba2-2.7b", "phi-4", "command-r7b",
)  # fmt: skip
SETTINGS: Final[tuple[Mapping[str, Any], ...]] = (
    {"n_ctx": 4096},
    {"n_ctx": 32768, "n_seq_max": 4, "kv_unified": True, "n_outputs_max": 4, "swa_full": False},
    {"n_ctx": 16384, "n_batch": 4096, "n_ubatch": 2048},
    {"n_ctx": 8192, "flash_attn": "off"},
    {"n_ctx": 65536, "n_ubatch": 1024, "type_k": "q8_0", "type_v": "q8_0"},
    {"n_ctx": 16384, "n_seq_max": 8, "n_ubatch": 256, "swa_full": False},
)


def config_of(knobs: Mapping[str, Any]) -> RunConfig:
    """The configuration on the CPU alone."""
    return RunConfig(n_devices=0).with_(**knobs)


def run(model: str, build: int, folder: Path, llama: Llama) -> Iterator[dict[str, Any]]:
    """A row for each setting: what llama.cpp counts, in MiB as printed."""
    path, spec = sparse_file(f"{model}:Q4_K_M", folder), read_model(f"{model}:Q4_K_M")
    configs = [config_of(knobs) for knobs in SETTINGS]
    for knobs, counted in zip(
        SETTINGS, dry_run(path, spec.arch, configs, llama=llama), strict=True
    ):
        yield {
            "model": model,
            "build": build,
            "knobs": dict(knobs),
            "compute_mib": counted.compute_mib["CPU"],
            "recurrent_mib": counted.recurrent_mib.get("CPU", 0.0),
            "kv_cache_mib": round(counted.kv_cache_mib, 2),
        }


@cache
def memory_of(model: str, build: int) -> MemoryModel:
    """The model's memory under a build, replays kept from one row to the next."""
    return MemoryModel(read_model(f"{model}:Q4_K_M"), build_of(build), is_dry_run=True)


def predicted(row: Mapping[str, Any]) -> dict[str, float]:
    """The row's figures as they are predicted, in MiB."""
    memory = memory_of(row["model"], row["build"])
    device = memory.estimate(config_of(row["knobs"])).devices["CPU"]
    return {
        "compute_mib": device.compute_bytes / MIB,
        "recurrent_mib": device.recurrent_bytes / MIB,
        "kv_cache_mib": device.kv_cache_bytes / MIB,
    }


def differences(row: Mapping[str, Any]) -> Iterator[str]:
    """The sizes that are not as predicted."""
    for part, mib in predicted(row).items():
        tolerance = 2 * PRINTED_MIB if part == "kv_cache_mib" else PRINTED_MIB  # a sum of two
        if abs(mib - row[part]) > tolerance:
            yield f"{part}: predicted {mib:.2f}, counted {row[part]:.2f}"


def compare(rows: list[dict[str, Any]]) -> int:
    """Print each model's first setting by build, then what differs; how many rows do."""
    for row in rows:
        if row["knobs"] == SETTINGS[0]:
            mib = predicted(row)["compute_mib"]
            name = f"{row['model']} b{row['build']}"
            print(f"{name:<34} predicted {mib:8.2f}  counted {row['compute_mib']:8.2f} MiB")
    wrong = {i: list(differences(row)) for i, row in enumerate(rows)}
    for i, each in wrong.items():
        for what in each:
            print(f"{rows[i]['model']} b{rows[i]['build']} {json.dumps(rows[i]['knobs'])}: {what}")
    n_wrong = sum(map(bool, wrong.values()))
    print(f"{len(rows) - n_wrong} of {len(rows)} as predicted")
    return n_wrong


def main(arguments: list[str]) -> int:
    """One of the two programs; its exit code."""
    if arguments[0] == "run":
        library, header = (Path(each).resolve() for each in arguments[3:5] or ("", ""))
        llama = Llama(library=library, header=header) if arguments[3:] else Llama()
        for model in MODELS:
            for row in run(model, int(arguments[2]), Path(arguments[1]), llama):
                print(json.dumps(row), flush=True)
        return 0
    rows = [json.loads(line) for line in Path(arguments[1]).read_text().splitlines()]
    return 1 if compare(rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
