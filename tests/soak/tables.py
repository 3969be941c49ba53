"""Tables of other tools, changed, cut, mixed and with prose between: what `oomph import` reads."""

import json
from pathlib import Path
from random import Random
from typing import Final

from tests.soak.case import FLOATS, NUMBERS, TEXTS, Case, Part, mutated_bytes, wrong_numbers

from oomph.errors import StoreError
from oomph.records.imports import import_records, take_records

_BENCH: Final = {
    "build_commit": "961660b8c", "build_number": 6910, "backends": "CUDA", "gpu_info": "RTX 3090",
    "model_filename": "m.gguf", "model_type": "qwen3 0.6B Q4_K - Medium", "model_size": 397000000,
    "model_n_params": 596000000, "n_gpu_layers": 99, "n_prompt": 512, "n_gen": 0, "n_depth": 0,
    "devices": "auto", "tensor_split": "0.00", "avg_ts": 5000.0, "stddev_ts": 1.0,
}  # fmt: skip
_NAMES: Final = ",".join(_BENCH)
_VALUES: Final = ",".join(f'"{value}"' for value in _BENCH.values())
_QUOTED: Final = ",".join(f"'{value}'" for value in _BENCH.values())
TABLES: Final = (
    "ggml_cuda_init: found 2 CUDA devices:\n"
    "  Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes\n"
    "  Device 1: NVIDIA GeForce RTX 3060, compute capability 8.6, VMM: yes\n"
    "| model | size | params | backend | ngl | dev | ot | test | t/s |\n"
    "| ----- | ---: | -----: | ------- | --: | --- | --- | ---: | --: |\n"
    "| qwen3 0.6B Q4_K - Medium | 378.90 MiB | 596.05 M | CUDA | 99 | CUDA1 | a=CPU | pp512 | "
    "5000.00 ± 10.00 |\n"
    "| qwen3 0.6B Q4_K - Medium | 378.90 MiB | 596.05 M | CUDA | 99 | none | none | tg128 @ d4096"
    " | 50.00 ± 1.00 |\n\nbuild: 961660b8c (6910)\n",
    "main: n_kv_max = 8192, n_batch = 2048, n_ubatch = 512, flash_attn = 1, n_gpu_layers = 99\n"
    "|    PP |     TG |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |\n"
    "|-------|--------|--------|----------|----------|----------|----------|\n"
    "|   512 |    128 |      0 |    0.485 |  1054.84 |    2.558 |    50.04 |\n"
    "|   512 |    128 |    512 |    0.547 |   936.23 |    2.678 |    47.80 |\n",
    "|    PP |     TG |    B |   N_KV |   T_PP s | S_PP t/s |   T_TG s | S_TG t/s |      T s |"
    "    S t/s |\n"
    "|   512 |    128 |    4 |   2560 |    0.512 |  4000.00 |    1.280 |   400.00 |    1.792 |"
    "  1428.57 |\n",
    "| model | test | t/s (total) | ttfr (ms) |\n|:--|--:|--:|--:|\n"
    "| m | pp2048 @ d4096 (c2) | 1118.05 ± 4.52 | 21.1 ± 8.9 |\n"
    "| m | ctx_tg @ d8 | 3.1 ± 0.1 | |\n",
    "context\tresult\tpeak_vram_mib\tprefill_tps\tgenerate_tps\tprompt_tokens\n"
    "4096\tok\t20000\t1000\t50\t2000\n131072\toom\t24000\t\t\t\n",
    f"{_NAMES}\n{_VALUES}\n{_VALUES}\n",
    f"CREATE TABLE llama_bench ({_NAMES});\n"
    f"INSERT INTO llama_bench ({_NAMES}) VALUES ({_QUOTED});\n",
    json.dumps([_BENCH, _BENCH], indent=2) + "\n",
    json.dumps(_BENCH) + "\n" + json.dumps({**_BENCH, "samples_ns": [1, 2]}) + "\n",
    json.dumps({"n_kv_max": 64, "pp": 8, "tg": 4, "n_kv": 0, "t_pp": 1.0, "t_tg": 1.0}) + "\n",
    json.dumps(
        {
            "schemaVersion": 1,
            "hardware": {"hardwareName": "RTX 3090", "gpuCount": 1},
            "results": [{"model": "m", "provider": "x", "avgTps": 5, "avgOutputTokens": 8}],
        }
    ),
    json.dumps({"tokSOut": 10, "promptTokens": 5, "hardware": {"gpuName": "x", "gpuCount": 2}}),
    json.dumps(
        {
            "model": "m",
            "benchmarks": [{"prompt_size": 8, "response_size": 4, "context_size": 0,
                            "pp_throughput": {"mean": 3.0}, "tg_throughput": 2.0}],
        }
    ),
)  # fmt: skip
PROSE: Final = (
    "", "OOM", "CUDA error: out of memory", "```", "> quoted", "{", "}", "[", '"', "| a | b |",
    "|---|---|", "build: 1 (2)", "ggml_vulkan: 0 = x (y) | uma: 0", "INSERT INTO", "\x1b[31m",
)  # fmt: skip


def make(source: Random) -> Case:
    """One to three tables with prose between, some cells changed, in some encoding, maybe cut."""
    parts = []
    for _ in range(source.choice((1, 1, 2, 3))):
        lines = source.choice(TABLES).splitlines()
        for _ in range(source.choice((0, 0, 1, 3))):
            at = source.randrange(len(lines))
            lines[at] = _changed(lines[at], source)
        if source.random() < 0.3:
            lines.insert(source.randrange(len(lines) + 1), source.choice(PROSE))
        parts.append("\n".join(lines)[: source.choice((None, None, source.randrange(1, 2000)))])
    text = source.choice(("\n", "", "\n\n", "\r\n")).join(parts) + source.choice(("", "\n"))
    encoding = source.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-16-le", "latin-1"))
    data = text.encode(encoding, errors="replace")
    return Case("tables", mutated_bytes(data, source) if source.random() < 0.3 else data)


def _changed(line: str, source: Random) -> str:
    """The line with one of its words something hostile, gone, or there many times."""
    mark = source.choice(("|", ",", "\t", " ", ":"))
    words = line.split(mark)
    at = source.randrange(len(words))
    words[at] = source.choice(
        (
            str(source.choice(NUMBERS)),
            str(source.choice(FLOATS)),
            source.choice(TEXTS),
            "",
            words[at] * 50,
        )
    )
    return mark.join(words)


def attempt(case: Case, folder: Path) -> str | None:
    """Take the records, and hold what they say against what can be."""
    path = folder / "pasted.txt"
    path.write_bytes(case.data)
    taken = take_records(path)
    if not taken.records:
        try:
            import_records(path)
        except StoreError as error:
            return None if len(str(error)) < 2000 else "a refusal without end"
    wrong = [each for record in taken.records for each in wrong_numbers(record.model_dump())]
    return wrong[0] if wrong else None


IMPORTS: Final = Part(usual=5_000, make=make, attempt=attempt)
