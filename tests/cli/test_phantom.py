"""The commands that run on phantom cards, as a user types them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oomph.cli import app

pytestmark = [pytest.mark.phantom, pytest.mark.usefixtures("cuda_backend")]


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_setup_says_what_there_is() -> None:
    printed = run("phantom", "setup")
    assert "found the CUDA backend of" in printed
    assert "ready: add --phantom" in printed


def test_the_frontier_is_one_json_object_a_combination(qwen3_30b: Path) -> None:
    printed = run(
        "frontier", str(qwen3_30b), "--n-expert-used", "8,10", "--limit", "1024", "--phantom", "RTX 4090", "--json",
    )  # fmt: skip
    found = [json.loads(line) for line in printed.splitlines()]
    assert [(each["n_expert_used"], each["n_ctx"], each["reached_limit"]) for each in found] == [
        (8, 1024, True), (10, 1024, True),
    ]  # fmt: skip
    assert all(each["n_probes"] == 1 for each in found)


def test_a_combination_that_cannot_be_says_why(qwen3_30b: Path) -> None:
    printed = run(
        "frontier", str(qwen3_30b), "--type-kv", "q8_0", "--flash-attn", "off", "--limit", "1024", "--phantom", "4090",
    )  # fmt: skip
    assert "none runs (bad_config" in printed


def test_a_sweep_on_a_phantom_is_resumed(qwen3_30b: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(f'name = "s"\nmodel = "{qwen3_30b}"\n[axes]\nn_ctx = [512, 1024]\n')
    arguments = ("sweep", str(sweep), "--out", str(tmp_path / "out"), "--phantom", "RTX 4090")
    first, second = run(*arguments), run(*arguments)
    assert "2 of 2 points to measure" in first
    assert "vram CUDA0" in first
    assert "t/s" not in first
    assert "0 of 2 points to measure" in second
