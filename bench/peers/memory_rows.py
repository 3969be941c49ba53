"""Rows of allocated VRAM for the side-by-side: llama.cpp's CUDA backend on a phantom card, and logs
of real cards.

Stands apart from `memory` because all knowledge of the two files' fields is here: what comes out is
a model, a configuration and bytes.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from oomph.architectures.catalogue import catalogue_model, catalogue_names
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import OomphError
from oomph.estimate.prediction import is_card
from oomph.gguf.file_types import canonical_quantization
from oomph.gguf.ggml_types import QUANTS
from oomph.units import MIB

Json = Mapping[str, Any]
PHANTOM_CARDS: Final = {
    ("12.0", 188): "RTX PRO 6000 Blackwell",
    ("12.0", 170): "RTX 5090",
    ("8.9", 128): "RTX 4090",
}
_FLASH: Final = {1: "on", 0: "off", -1: "auto"}
_PARTS: Final = {
    "weights_bytes": "model",
    "kv_cache_bytes": "kv",
    "recurrent_bytes": "rs",
    "compute_bytes": "compute",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run: what was asked, and what each card took by component (MiB as printed).

    `total_mib` is of all cards, run-time additions included where the row knows them; `gpu` is set
    where it does. `has_types` is False where the file's mixture of types is not the one that
    llama-quantize makes.
    """

    label: str
    model: ModelSpec
    config: RunConfig
    cards: Mapping[str, Mapping[str, float]]
    total_mib: float
    file_bytes: float
    gpu: str | None = None
    build: int | None = None
    group: str = ""
    has_types: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether everything is on the cards."""
        c = self.config
        return c.n_gpu_layers < 0 and c.offload_kqv and not c.n_cpu_moe and not c.override_tensor


def _lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- the phantom card


def phantom_rows(path: Path, program: Path, folder: Path) -> Iterator[Row]:
    """The runs that ended well; `program gguf MODEL MIX PATH` writes a model that `folder` has not
    yet."""
    for line in _lines(path):
        if line["exit"] != "ok":
            continue
        model, knobs = _phantom_model(line["model"], line["mix"], program, folder), line["knobs"]
        last = next(
            line[step] for step in ("full", "decode", "prompt", "context") if line.get(step)
        )
        names = [f"CUDA{i}" for i in range(knobs["count"])]
        yield Row(
            label=f"{line['model']} {line['mix']}",
            model=model,
            config=_phantom_config(knobs),
            cards={
                name: {
                    part: sum(line[f"{word}_buf"].get(name, [0])) for part, word in _PARTS.items()
                }
                for name in names
            },
            total_mib=sum(card["live"] for card in last),
            file_bytes=model.file_bytes or 0,
            gpu=PHANTOM_CARDS[knobs["cc"], knobs["sms"]],
            group="grows with the fill" if knobs["fa"] == 0 and not line.get("full") else "",
        )


@cache
def _phantom_model(name: str, mix: str, program: Path, folder: Path) -> ModelSpec:
    path = folder / f"{name}-{mix}.gguf"
    if not path.exists():
        subprocess.run(
            [sys.executable, program, "gguf", name, mix, path], check=True, capture_output=True
        )
    return read_model(path)


def _phantom_config(knobs: Json) -> RunConfig:
    return RunConfig().with_(
        n_ctx=knobs["c"],
        n_ubatch=knobs["ub"],
        n_batch=knobs["b"],
        n_seq_max=knobs["np"],
        kv_unified=bool(knobs["unified"]),
        type_k=knobs["k"],
        type_v=knobs["v"],
        flash_attn=_FLASH[knobs["fa"]],
        swa_full=bool(knobs["swa_full"]),
        n_gpu_layers=knobs["ngl"],
        offload_kqv=bool(knobs["kqv"]),
        n_devices=knobs["count"],
        n_expert_used=knobs["used"],
        n_cpu_moe=knobs["ncmoe"] or 0,
        tensor_split=tuple(map(float, knobs["ts"])) if isinstance(knobs["ts"], list) else None,
        n_outputs_max=knobs["nout"] or None,
    )


# --- logs of real cards


def log_rows(path: Path, left_out: dict[str, int]) -> Iterator[Row]:
    """Logs of mainline llama.cpp whose shape the catalogue has; `left_out` counts the others by
    reason."""
    lines = _lines(path)
    for line in lines:
        try:
            row = _log_row(line, _build(line, lines))
        except _LeftOutError as reason:
            left_out[str(reason)] = left_out.get(str(reason), 0) + 1
        else:
            yield row


class _LeftOutError(Exception):
    """Why a log cannot be compared."""


def _build(line: Json, lines: list[Json]) -> int | None:
    """The log's build; where it names none, the newest that other logs of its day or before
    name."""
    numbers = {other["id"]: re.match(r"b(\d+)", other.get("build") or "") for other in lines}
    if own := numbers[line["id"]]:
        return int(own[1])
    earlier = [
        int(n[1])
        for other in lines
        if (n := numbers[other["id"]]) and other["date"] <= line["date"]
    ]
    return max(earlier, default=None)


def _log_row(line: Json, build: int | None) -> Row:
    if line["fork"] != "llama.cpp":
        raise _LeftOutError("another program around llama.cpp")
    if line["date"] < "2025":
        raise _LeftOutError("before 2025")
    if line["quality"] != "full":
        raise _LeftOutError("incomplete log")
    names = sorted(name for name in line["compute_buffer"] if is_card(name))
    cards = {
        name: {part: line.get(f"{word}_buffer", {}).get(name, 0.0) for part, word in _PARTS.items()}
        for name in names
    }
    on_cards = sum(card["weights_bytes"] for card in cards.values())
    model, has_types = _log_model(line)
    weights = (
        sum(tensor.n_bytes for name, tensor in model.tensors.items() if name != "token_embd.weight")
        / MIB
    )
    overrides = line.get("tensor_overrides")
    if not overrides and on_cards < 0.8 * weights:
        raise _LeftOutError("weights off the cards by rules that the log does not name")
    if line["n_gpu_layers"] != f"{model.n_layer + 1}/{model.n_layer + 1}":
        raise _LeftOutError("layers off the card")
    return Row(
        label=f"{line['id']} {model.name} b{build}",
        model=model,
        config=_log_config(line, len(names), overrides),
        cards=cards,
        total_mib=sum(sum(card.values()) for card in cards.values()),
        file_bytes=line["file_size_gib"] * 1024 * MIB,
        build=build,
        group="some experts on the CPU" if overrides else "everything on the cards",
        has_types=has_types,
    )


def _log_config(line: Json, n_devices: int, overrides: str | None) -> RunConfig:
    flash = str(line["flash_attn"])
    return RunConfig(
        n_ctx=line["n_ctx"],
        n_batch=line["n_batch"],
        n_ubatch=line["n_ubatch"],
        n_seq_max=line.get("n_seq_max") or 1,
        kv_unified=line.get("kv_unified") == "true",
        type_k=line["type_k"],
        type_v=line["type_v"],
        flash_attn=flash if flash in ("on", "off") else "auto",
        swa_full=False,
        n_devices=n_devices,
        override_tensor=overrides.removeprefix("-ot ") if overrides else None,
    )


def _log_model(line: Json) -> tuple[ModelSpec, bool]:
    """The catalogue's model of the log's shape and quantization, and whether the file's types are
    just those."""
    try:
        quantization = canonical_quantization(line["file_type"])
    except (KeyError, OomphError):
        raise _LeftOutError("quantization that llama-quantize does not make") from None
    names = [name for name in catalogue_names() if _is_shape(_shape(name), line)]
    if not names:
        raise _LeftOutError("shape that the catalogue lacks")
    model = catalogue_model(names[0], quantization)
    counts: dict[str, int] = {}
    for tensor in model.tensors.values():
        counts[tensor.quant.name.lower()] = counts.get(tensor.quant.name.lower(), 0) + 1
    printed = {kind.lower(): n for kind, n in line["tensor_types"].items()}
    return (model, True) if counts == printed else (_with_experts(model, printed), False)


@cache
def _shape(name: str) -> ModelSpec:
    return catalogue_model(name, "F16")


def _is_shape(model: ModelSpec, line: Json) -> bool:
    found = model.arch, model.n_vocab, model.n_embd, model.n_layer, model.n_expert
    if found != tuple(
        line.get(key) for key in ("arch", "n_vocab", "n_embd", "n_layer", "n_expert")
    ):
        return False
    return model.is_moe or model.metadata.get(f"{model.arch}.feed_forward_length") == line["n_ff"]


def _with_experts(model: ModelSpec, printed: Mapping[str, int]) -> ModelSpec:
    """`model` with its experts of the types that so many tensors have: one a layer is down, two are
    gate and up."""
    tensors = dict(model.tensors)
    for kind, n in printed.items():
        for name, tensor in model.tensors.items():
            if "_exps." in name and n == model.n_layer * (1 if "down" in name else 2):
                tensors[name] = replace(tensor, quant=QUANTS[kind.upper()])
    return replace(model, tensors=tensors)
