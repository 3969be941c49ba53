"""Public tables: names and dates resolved, rows that cannot be compared counted with their
reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from bench.train.public_rows import public_observations, resolved_gpu, row_year
from bench.train.row_models import quantization

from oomph.errors import FitError, UnknownNameError
from oomph.estimate.build import build_year
from oomph.estimate.coefficients import default_coefficients

ROW: dict[str, Any] = {
    "source_url": "https://example.org/a",
    "date": "2025-10-01",
    "build": "6600",
    "engine": "llama.cpp",
    "gpu": "NVIDIA GeForce RTX 3090",
    "gpu_count": 1,
    "backend": "CUDA",
    "model": "llama 8B Q4_K - Medium",
    "size_gib": 4.58,
    "params_b": 8.03,
    "n_expert_used": None,
    "ngl": 99,
    "n_batch": None,
    "n_ubatch": None,
    "flash_attn": None,
    "type_k": None,
    "type_v": None,
    "tensor_overrides": None,
    "n_cpu_moe": None,
    "power_limit_w": None,
    "test": "pp512",
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 0,
    "tokens_per_s": 4000.0,
    "stddev": 3.0,
    "notes": None,
}


def written(folder: Path, *changes: dict[str, Any]) -> Path:
    path = folder / "speed.jsonl"
    path.write_text(
        "".join(json.dumps(ROW | change) + "\n" for change in changes), encoding="utf-8"
    )
    return path


def test_a_row_becomes_an_observation_of_the_catalogues_model_and_card(tmp_path: Path) -> None:
    (row,) = public_observations(written(tmp_path, {})).observations
    assert (row.card, row.model, row.group) == (
        "NVIDIA GeForce RTX 3090",
        "llama-3.1-8b:Q4_K_M",
        "prefill dense",
    )
    assert row.question.flash, "the default since September 2025"
    assert row.question.build_year == pytest.approx(2025.75, abs=0.01)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"engine": "ik_llama.cpp"}, "a fork or a branch of llama.cpp"),
        ({"gpu_count": 2}, "several cards"),
        ({"n_cpu_moe": 4}, "tensors on a host of unknown memory"),
        ({"ngl": 20}, "layers on the host"),
        ({"stddev": 900.0}, "standard deviation above 15 %"),
        ({"backend": "Vulkan"}, "not CUDA"),
        ({"size_gib": 60.0}, "larger than the card"),
        ({"model": "strange 9B Q4_0"}, "model, quantization or card in no catalogue"),
        ({"gpu": "a card of nobody"}, "model, quantization or card in no catalogue"),
        ({"n_prompt": 0}, "length unknown or timed through a server"),
    ],
)
def test_a_row_that_cannot_be_compared_is_counted_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    rows = public_observations(written(tmp_path, change, {}))
    assert rows.left_out == {reason: 1}
    assert (rows.n_rows, len(rows.observations)) == (2, 1)


def test_many_rows_of_one_run_weigh_less_than_as_many_facts(tmp_path: Path) -> None:
    rows = public_observations(
        written(tmp_path, *({"n_depth": 1024 * i} for i in range(8)))
    ).observations
    assert sum(row.weight for row in rows) == pytest.approx(8**0.4)


NEW: dict[str, Any] = ROW | {
    "model": "Qwen3.8-27B",
    "catalogue_model": "qwen3.6-27b",
    "quant": "Q4_K_M",
    "size_gib": None,
    "build": None,
    "build_est": 10392,
    "tool": "llama-bench",
    "os": "Linux",
    "quality": "clean",
    "date": "2026-08-13",
}
"""A row of a table that names the catalogue's model, the program and the system."""


def test_a_table_may_name_the_catalogues_model(tmp_path: Path) -> None:
    (row,) = public_observations(written(tmp_path, NEW)).observations
    assert row.model == "qwen3.6-27b:Q4_K_M"
    assert row.question.build_year == pytest.approx(build_year(10392))
    assert row.question.flash, "llama-bench's default since b9700"
    assert not row.is_doubted


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quality": "suspect"}, "contradicts itself, or says too little"),
        (
            {"quality": "noisy", "quality_reason": "several cards"},
            "contradicts itself, or says too little",
        ),
        ({"spec_type": "draft-mtp"}, "speculative decoding"),
        ({"n_parallel": 4}, "several sequences"),
        ({"n_cpu_moe": 4}, "tensors on a host of unknown memory"),
        ({"gpu": "RTX 3060"}, "larger than the card"),
        ({"quant": "UD-Q9"}, "model, quantization or card in no catalogue"),
    ],
)
def test_what_such_a_table_doubts_is_left_out(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    assert public_observations(written(tmp_path, NEW | change)).left_out == {reason: 1}


def test_a_doubted_row_weighs_less(tmp_path: Path) -> None:
    doubted = NEW | {"quality": "noisy", "quality_reason": "no command told", "gpu": "RTX 4090"}
    sure, other = public_observations(written(tmp_path, NEW, doubted)).observations
    assert other.is_doubted
    assert other.weight < sure.weight


def test_rows_of_one_submitter_are_one_machines(tmp_path: Path) -> None:
    rows = [
        NEW | {"submitter": "somebody", "source_url": f"https://example.org/{i}", "n_depth": i}
        for i in range(4)
    ]
    assert sum(row.weight for row in public_observations(written(tmp_path, *rows)).observations) < 4


def test_a_mix_without_a_name_is_read_by_its_size(tmp_path: Path) -> None:
    mixes = [NEW | {"quant": "UD-Q4_K_XL", "size_gib": size} for size in (14.0, 17.5)]
    small, large = public_observations(written(tmp_path, *mixes)).observations
    assert small.model == large.model == "qwen3.6-27b:Q4_K_M"
    ratio = large.question.on_card.weight_bytes(1) / small.question.on_card.weight_bytes(1)
    assert ratio == pytest.approx(17.5 / 14.0)


def test_the_machine_of_a_row_is_asked_about(tmp_path: Path) -> None:
    told = {
        "os": "Windows 11",
        "power_limit_w": 250,
        "n_cpu_moe": 4,
        "notes": "host Ryzen, DDR4-3200, PCIe 4",
    }
    moe = NEW | {"catalogue_model": "qwen3.6-35b-a3b"} | told
    (row,) = public_observations(written(tmp_path, moe)).observations
    card = row.question.card
    assert card is not None
    assert card.is_windows
    assert card.is_capped
    assert row.question.host_bandwidth_bytes_per_s == 51.2e9
    assert row.group == "prefill with the host"


def test_a_servers_row_pays_for_sampling(tmp_path: Path) -> None:
    gen = NEW | {"n_prompt": 0, "n_gen": 128, "test": "tg128"}
    bench, server = public_observations(
        written(tmp_path, gen, gen | {"tool": "llama-server"})
    ).observations
    values = default_coefficients().values
    assert server.seconds_per_token(values) > bench.seconds_per_token(values)


@pytest.mark.parametrize(
    ("date", "build", "year"),
    [
        ("Thu May  9 01:17:34 2024", "2824", 2024.354),
        ("2025-09-04", None, 2025.675),
        ("collected 2026-04-05", None, 2025.75),
        (None, "b6500", 2025.71),
        (None, None, 2025.8),
        ("1735689600", None, 2025.0),
    ],
)
def test_dates_of_any_spelling_are_years(date: str | None, build: str | None, year: float) -> None:
    assert row_year(date, build) == pytest.approx(year, abs=0.01)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("llama 8B Q4_K - Medium", "Q4_K_M"),
        ("qwen2 7B Q8_0", "Q8_0"),
        ("gpt-oss 120B Q8_0", "MXFP4"),
        ("glm4 GLM Z1 32B 0414 IQ4_XS - 4.25 bpw", "IQ4_XS"),
        ("llama 8B F16", "F16"),
    ],
)
def test_a_label_names_its_quantization(label: str, name: str) -> None:
    assert quantization(label) == name


def test_a_label_without_one_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="names no quantization"):
        quantization("llama 8B")


def test_a_form_factor_that_is_not_said_is_sxm() -> None:
    assert resolved_gpu("NVIDIA H100 80 GB").bandwidth_bytes_per_s > 3e12


def test_a_folder_without_rows_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FitError, match=r"speed\.jsonl: cannot be read"):
        public_observations(tmp_path / "speed.jsonl")
