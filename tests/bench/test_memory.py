"""The side-by-side of VRAM: rows read, errors taken, rows left out for a reason."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from oomph.architectures.catalogue import catalogue_model


def log(**changes: Any) -> dict[str, Any]:
    """A whole log of one card,
    with the sizes that llama.cpp 0.5.0 prints for Qwen3-8B at Q4_K_M."""
    model, counts = catalogue_model("qwen3-8b", "Q4_K_M"), dict[str, int]()
    for tensor in model.tensors.values():
        counts[tensor.quant.name] = counts.get(tensor.quant.name, 0) + 1
    base = {
        "id": "a",
        "fork": "llama.cpp",
        "quality": "full",
        "date": "2026-04-25",
        "build": "b11000 (0123abcd)",
        "arch": "qwen3",
        "n_vocab": 151936,
        "n_embd": 4096,
        "n_layer": 36,
        "n_expert": 0,
        "n_ff": 12288,
        "file_type": "Q4_K - Medium",
        "tensor_types": counts,
        "file_size_gib": 4.68,
        "n_gpu_layers": "37/37",
        "n_ctx": 16384,
        "n_batch": 2048,
        "n_ubatch": 512,
        "n_seq_max": 1,
        "kv_unified": "false",
        "flash_attn": "on",
        "type_k": "f16",
        "type_v": "f16",
        "model_buffer": {"CUDA0": 4455.34, "CPU_Mapped": 333.84},
        "kv_buffer": {"CUDA0": 2304.0},
        "compute_buffer": {"CUDA0": 304.75, "CUDA_Host": 32.01},
    }
    return base | changes


def read(path: Path, *lines: dict[str, Any]) -> tuple[list[Any], dict[str, int]]:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    left_out: dict[str, int] = {}
    return list(import_module("memory_rows").log_rows(path, left_out)), left_out


def test_a_log_becomes_a_model_a_configuration_and_bytes(tmp_path: Path) -> None:
    (row,), left_out = read(tmp_path / "logs.jsonl", log())
    assert not left_out
    assert (row.build, row.has_types, row.is_whole) == (11_000, True, True)
    assert (row.config.n_ctx, row.config.flash_attn, row.config.swa_full) == (16384, "on", False)
    assert row.total_mib == pytest.approx(4455.34 + 2304.0 + 304.75)
    answer = import_module("memory").Answers().answer(row)
    assert {part: error for part, error, _ in answer.errors} == pytest.approx(
        dict.fromkeys(row.cards["CUDA0"], 0.0), abs=0.011
    )
    assert set(answer.totals) == {"oomph", *import_module("formulas").FORMULAS}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fork": "ik_llama.cpp"}, "another program around llama.cpp"),
        ({"date": "2024-05-11"}, "before 2025"),
        ({"quality": "buffers"}, "incomplete log"),
        ({"n_embd": 4097}, "shape that the catalogue lacks"),
        ({"n_gpu_layers": "20/37"}, "layers off the card"),
        ({"file_type": "Q9_X"}, "quantization that llama-quantize does not make"),
        (
            {"model_buffer": {"CUDA0": 1000.0}},
            "weights off the cards by rules that the log does not name",
        ),
    ],
)
def test_what_cannot_be_compared_is_counted_by_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    rows, left_out = read(tmp_path / "logs.jsonl", log(**changes))
    assert (rows, left_out) == ([], {reason: 1})


def test_a_log_without_a_build_has_the_newest_of_its_day(tmp_path: Path) -> None:
    rows, _ = read(
        tmp_path / "logs.jsonl",
        log(),
        log(id="b", build=None),
        log(id="c", build="b11400", date="2026-06-01"),
    )
    assert [row.build for row in rows] == [11_000, 11_000, 11_400]


def test_another_mixture_of_types_is_known_as_one(tmp_path: Path) -> None:
    (row,), _ = read(tmp_path / "logs.jsonl", log(tensor_types={"f32": 145, "q8_0": 254}))
    assert not row.has_types
