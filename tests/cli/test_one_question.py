"""One question, one answer: every command that asks gives the same figures."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oomph.advise.launch_plan import named_launch
from oomph.architectures.source import read_model
from oomph.calibrate.frontiers import combinations
from oomph.config import RunConfig
from oomph.knob import Program
from oomph.programs.said import Said

MODEL, CARD = "gemma-3-12b:Q4_K_M", "RTX 3090"
KNOBS = {"n_ctx": 16_384, "type_k": "q8_0", "type_v": "q8_0", "n_seq_max": 2}
OPTIONS = ["-c", "16K", "-ctk", "q8_0", "-ctv", "q8_0", "-np", "2"]
Oomph = Callable[..., tuple[int, str, str]]


def asked(oomph: Oomph, command: str, *args: str) -> dict[str, Any]:
    """The first JSON line of a command."""
    _, out, _ = oomph(command, MODEL, "--gpu", CARD, "--calibration", "none", *args, "--json")
    found: dict[str, Any] = json.loads(out.splitlines()[0])
    return found


@pytest.mark.parametrize("program", ["llama-server", "llama-cpp-python", "ollama", "koboldcpp"])
def test_estimate_and_answer_ask_the_same(oomph: Oomph, program: Program) -> None:
    estimate = asked(oomph, "estimate", *OPTIONS, "--as", program)
    answer = asked(oomph, "answer", *OPTIONS, "--as", program)
    assert RunConfig.from_mapping(answer["config"]) == RunConfig.from_mapping(estimate["config"])
    assert answer["memory"]["devices"] == estimate["devices"]
    assert answer["probability"] == estimate["fit_probability"]
    assert answer["asked_as"] == estimate["asked_as"]
    assert answer["asked_as"]["program"] == program


def test_the_longest_context_is_one_figure(oomph: Oomph) -> None:
    answer = asked(oomph, "answer", "-c", "16K", "-ctk", "q8_0", "-ctv", "q8_0")
    longest = asked(oomph, "max-context", "--type-kv", "q8_0")
    assert longest["sure_n_ctx"] == answer["max_context"]


def test_the_page_begins_with_it(oomph: Oomph, tmp_path: Path) -> None:
    estimate, page = asked(oomph, "estimate", *OPTIONS), tmp_path / "page.html"
    oomph("what-if", MODEL, "--gpu", CARD, *OPTIONS, "--calibration", "none", "--out", page)
    (data,) = re.findall(
        r'<div class="what-if">\s*<script type="application/json">(.*?)</script>',
        page.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    start = json.loads(data)["start"]
    assert RunConfig.from_mapping(start) == RunConfig.from_mapping(estimate["config"])


def test_the_page_holds_what_must_be_said_again(oomph: Oomph, tmp_path: Path) -> None:
    """Four slots with a cache each are one switch away from what llama-server has by itself."""
    page, knobs = tmp_path / "page.html", ("-c", "16K", "-np", "4")
    oomph("what-if", MODEL, "--gpu", CARD, *knobs, "--calibration", "none", "--out", page)
    start = re.search(r'"start": ({.*?})', page.read_text(encoding="utf-8"))
    assert start
    assert json.loads(start[1])["kv_unified"] is False


def test_a_frontier_loads_what_an_estimate_predicts(oomph: Oomph) -> None:
    estimate = asked(oomph, "estimate", "-c", "16K", "-fa", "on")
    axes = {"type_kv": ["f16"], "flash_attn": ["on"]}
    (config,) = combinations(axes, Said(), read_model(MODEL))
    assert config.with_(n_ctx=16_384) == RunConfig.from_mapping(estimate["config"])


def test_launch_files_are_predicted_as_they_start(oomph: Oomph, tmp_path: Path) -> None:
    options = [*OPTIONS, "-np", "1", "-fa", "on", "-ub", "512"]
    estimate = asked(oomph, "estimate", *options)
    knobs = KNOBS | {"n_seq_max": 1, "flash_attn": "on", "n_ubatch": 512}
    launch, _ = named_launch(MODEL, CARD, None, Path("none"), Said(knobs=knobs), path="/m.gguf")
    assert launch.config == RunConfig.from_mapping(estimate["config"])
    assert launch.prediction.memory.total_vram_bytes == estimate["total_vram_bytes"]


def test_an_explanation_is_of_the_same_cache(oomph: Oomph) -> None:
    estimate = asked(oomph, "estimate", "-c", "16K", "-fa", "on")
    options = ("--model", MODEL, "--gpu", CARD, "-c", "16K", "--calibration", "none")
    _, text, _ = oomph("explain", "kv", *options)
    cache = estimate["devices"]["CUDA0"]["kv_cache_bytes"] / 2**20
    assert f"{cache:,.0f}" in text
    assert "Asked as llama-server 0.5.0 starts it: n_ctx 16,384 (yours)" in text
