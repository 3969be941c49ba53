"""Architectures: what the real llama.cpp takes on phantom cards, beside what is predicted.

    python -m bench.peers.architectures run FOLDER NAME[:QUANTIZATION] … [--append]
    python -m bench.peers.architectures compare [NAME …]

NAME is of the catalogue or of tests/data/architectures.toml, whose shapes are written as the
catalogue's are. `run` writes its sparse file into FOLDER, starts llama-server on one phantom card
or two in each of the settings, and prints a line for each; with --append the rows go to
tests/data/architectures.jsonl in the place of that model's earlier ones. `compare` holds the kept
rows against the prediction. A row is what was said to llama-server, by RunConfig's names, and MiB
of each kind of buffer by device, one for each line where there are several. Exit code 1 where a
size is not as predicted.
"""

import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from bench.peers.oracle import server_program

from oomph.architectures.catalogue import (
    build_model,
    catalogue_model,
    flat_keys,
    is_catalogued,
    merged_tables,
)
from oomph.architectures.layers import n_decoding
from oomph.architectures.spec import ModelSpec
from oomph.config import keys_of
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import is_card
from oomph.measure.logs.reported import read_buffers
from oomph.measure.server_run import phantom_arguments, serving
from oomph.models.synth import write_synthetic
from oomph.phantom.cards import phantom_cards
from oomph.programs.said import Said
from oomph.units import MIB

DATA: Final = Path(__file__).parents[2] / "tests" / "data"
ROWS: Final = DATA / "architectures.jsonl"
PRINTED_MIB: Final = 0.0051
"""llama.cpp prints two decimals."""
PRINTED_IN: Final = {"kv_cache_bytes": 2}
"""Figures that a size is the sum of: there are two caches where some layers have a window."""
CARD: Final = "phantom:196608:8.6:82"
STARTS_S: Final = 240.0
QUANTIZATION: Final = "Q4_K_M"
PARTS: Final = {
    "weights_bytes": "model_mib",
    "kv_cache_bytes": "kv_cache_mib",
    "recurrent_bytes": "recurrent_mib",
    "compute_bytes": "compute_mib",
    "output_bytes": "output_mib",
}
_OWN_KEYS: Final = ("arch", "extras", "like", "source")
_QUANTIZED: Final = {"type_k": "q8_0", "type_v": "q8_0", "flash_attn": "on"}


@cache
def shapes() -> dict[str, dict[str, Any]]:
    """Every shape by its name, as the file has it."""
    return tomllib.loads((DATA / "architectures.toml").read_text(encoding="utf-8"))


def shape(name: str) -> dict[str, Any]:
    """The shape of that name, with what it takes over of another."""
    entry = shapes()[name]
    return merged_tables(shape(entry["like"]), entry) if "like" in entry else entry


def shaped_model(named: str) -> ModelSpec:
    """The model that `named` means, a name and a quantization."""
    name, _, quantization = named.partition(":")
    quantization = quantization or QUANTIZATION
    if name not in shapes() and is_catalogued(name):
        return catalogue_model(name, quantization)
    entry = shape(name)
    metadata = flat_keys({k: v for k, v in entry.items() if k not in _OWN_KEYS}, entry["arch"])
    return build_model(
        name,
        entry["arch"],
        metadata,
        quantization,
        source=f"{name}:{quantization}",
        extras=entry.get("extras", ()),
    )


@cache
def memory_of(named: str) -> MemoryModel:
    """The model's memory, replays kept from one row to the next."""
    return MemoryModel(shaped_model(named))


def settings(model: ModelSpec) -> Iterator[dict[str, Any]]:
    """What a model is asked with: whole and in half on a card, on two, with and without flash
    attention, with quantized caches, several sequences, the cache or the experts on the CPU."""
    half = n_decoding(model) // 2
    base = {"n_ctx": 4096, "n_seq_max": 1, "flash_attn": "on"}
    yield base
    yield base | {"flash_attn": "off"}
    yield base | _QUANTIZED | {"n_ctx": 32768, "n_ubatch": 1024}
    yield base | {"n_ctx": 8192, "n_seq_max": 4}
    yield base | {"n_ctx": 8192, "n_seq_max": 3, "flash_attn": "off", "kv_unified": True}
    yield base | {"n_gpu_layers": half}
    yield base | {"n_gpu_layers": half + 1, "flash_attn": "off", "n_ubatch": 256}
    yield base | {"n_devices": 2, "n_ctx": 8192}
    yield base | {"n_devices": 2, "flash_attn": "off", "n_seq_max": 2}
    yield base | {"offload_kqv": False}
    yield base | {"offload_kqv": False, "flash_attn": "off"}
    if model.is_moe:
        yield base | {"n_cpu_moe": half}
        yield base | {"n_cpu_moe": model.n_layer, "n_ubatch": 1024}


def _words(said: Mapping[str, Any]) -> Iterator[str]:
    """llama-server's words for it; its switches are said where they differ."""
    keys = keys_of("llama-server")
    for knob, value in said.items():
        if knob != "n_devices":
            yield f"--{keys[knob]}"
            if not isinstance(value, bool):
                yield str(value)


def run(named: str, said: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The row: what llama-server printed for it, or that it did not start."""
    server, n_cards = server_program(), said.get("n_devices", 1)
    command = [server, "-m", path, "--fit", "off", "--no-warmup", "--threads", "1", *_words(said)]
    with phantom_cards(",".join([CARD] * n_cards), llama_cpp=server.parent) as phantom:
        command += phantom_arguments(n_cards)
        with serving(command, environment=phantom.program_environment()) as running:
            runs = running.await_health(STARTS_S) is not None
            log = running.log()
    row: dict[str, Any] = {"model": named, "said": dict(said)}
    buffers = read_buffers(log)
    if not runs and not buffers.compute_mib:
        print(*(line for line in log[-8:] if line.strip()), sep="\n", file=sys.stderr)
        return row | {"failed": True}
    devices: dict[str, dict[str, float | list[float]]] = {}
    for part, printed in PARTS.items():
        for device, sizes in getattr(buffers, printed).items():
            if part == "weights_bytes" and not is_card(device):
                continue  # read beside the card by the page or into several buffers
            last = sizes[-1:] if part == "compute_bytes" else [size for size in sizes if size]
            if any(last):
                found = last[0] if len(last) == 1 else last
                devices.setdefault(device, {})[part] = found
    return row | {"devices": devices}


def differences(row: Mapping[str, Any]) -> Iterator[str]:
    """The sizes that are not as predicted, and those predicted that are not there."""
    memory = memory_of(row["model"])
    config = Said(knobs=row["said"]).config(memory.model)
    estimate = memory.estimate(config)
    is_refused = any(memory.refusals(config, memory.setup(config)))
    if is_refused != ("failed" in row):
        yield f"predicted to be refused: {is_refused}"
    if "failed" in row:
        return
    if not memory.is_known:
        yield "predicted by the general rule"
    for device in dict.fromkeys((*row.get("devices", {}), *estimate.devices)):
        printed, predicted = row.get("devices", {}).get(device, {}), estimate.devices.get(device)
        for part in PARTS:
            if part == "weights_bytes" and not is_card(device):
                continue
            lines, said = printed.get(part, 0.0), getattr(predicted, part, 0) / MIB
            lines = lines if isinstance(lines, list) else [lines]
            if abs(said - sum(lines)) > PRINTED_MIB * max(len(lines), PRINTED_IN.get(part, 1)):
                yield f"{device} {part}: predicted {said:.2f}, took {sum(lines):.2f}"


def kept_rows() -> list[dict[str, Any]]:
    """The rows that are kept."""
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def _keep(named: str, rows: list[dict[str, Any]]) -> None:
    others = [row for row in kept_rows() if row["model"] != named]
    ordered = sorted((*others, *rows), key=lambda row: row["model"])
    ROWS.write_text("".join(json.dumps(row) + "\n" for row in ordered))


def _told(row: Mapping[str, Any]) -> bool:
    """Print the row with what differs; whether nothing does."""
    wrong = list(differences(row))
    print("differs" if wrong else "equal  ", row["model"], json.dumps(row["said"]), flush=True)
    for each in wrong:
        print(f"    {each}", flush=True)
    return not wrong


def main(arguments: list[str]) -> int:
    """One of the two programs; its exit code."""
    what, *names = [word for word in arguments if word != "--append"]
    if what == "compare":
        told = [_told(row) for row in kept_rows() if not names or row["model"] in names]
        return 0 if all(told) else 1
    folder, n_equal, n_rows = Path(names[0]), 0, 0
    for named in names[1:]:
        model, path = shaped_model(named), folder / f"{named.replace(':', '-')}.gguf"
        write_synthetic(model, path)
        rows = []
        for said in settings(model):
            rows.append(run(named, said, path))
            n_equal, n_rows = n_equal + _told(rows[-1]), n_rows + 1
        path.unlink()
        if "--append" in arguments:
            _keep(named, rows)
    print(f"{n_equal} of {n_rows} as predicted")
    return 0 if n_equal == n_rows else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
