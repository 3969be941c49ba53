"""The commands that run on phantom cards, as a user types them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from oomph.cli.app import app

pytestmark = [pytest.mark.phantom, pytest.mark.usefixtures("cuda_backend")]

CARD_OF_96_GB = "RTX PRO 6000 Blackwell"


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
        "frontier",
        str(qwen3_30b),
        "--n-expert-used",
        "8,10",
        "--limit",
        "1024",
        "--phantom",
        "RTX 4090",
        "--json",
    )
    found = [json.loads(line) for line in printed.splitlines()]
    assert [(each["n_expert_used"], each["n_ctx"], each["reached_limit"]) for each in found] == [
        (8, 1024, True),
        (10, 1024, True),
    ]
    assert all(each["n_probes"] == 1 for each in found)


def test_a_combination_that_cannot_be_says_why(qwen3_30b: Path) -> None:
    printed = run(
        "frontier",
        str(qwen3_30b),
        "--type-kv",
        "q8_0",
        "--flash-attn",
        "off",
        "--limit",
        "1024",
        "--phantom",
        "4090",
    )
    assert "none runs (bad_config" in printed


def test_a_sweep_that_is_ended_leaves_no_process_and_no_file(
    qwen3_30b: Path, tmp_path: Path
) -> None:
    sweep, scratch = tmp_path / "sweep.toml", tmp_path / "scratch"
    scratch.mkdir()
    sweep.write_text(
        f'name = "s"\nmodel = "{qwen3_30b}"\n[config]\nn_ctx = 90_000\n[measure]\ndepths = '
        f'["full"]\n'
    )
    command = [
        sys.executable,
        "-c",
        "from oomph.cli import main; main()",
        "sweep",
        str(sweep),
        "--out",
    ]
    child = subprocess.Popen(
        [*command, str(tmp_path / "out"), "--phantom", CARD_OF_96_GB],
        env=os.environ | {"TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
    )
    while not (workers := psutil.Process(child.pid).children()):
        time.sleep(0.05)
    child.terminate()
    assert child.wait(timeout=60) == 143
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    assert list(scratch.iterdir()) == []


def test_a_sweep_on_a_phantom_is_resumed(qwen3_30b: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.toml"
    sweep.write_text(f'name = "s"\nmodel = "{qwen3_30b}"\n[axes]\nn_ctx = [512, 1024]\n')
    arguments = ("sweep", str(sweep), "--out", str(tmp_path / "out"), "--phantom", "RTX 4090")
    first, second = run(*arguments), run(*arguments)
    assert "2 of 2 points to measure" in first
    assert "vram CUDA0" in first
    assert "t/s" not in first
    assert "0 of 2 points to measure" in second
