"""The whole of it on the real demo model, with a sweep small enough for a test."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from oomph.cli import demo

SWEEP = """
name = "demo"
model = "demo"
[config]
n_threads = 1
[axes]
n_ctx = 512
n_expert_used = [7, 8]
[measure]
n_prompt = 32
n_gen = 2
repetitions = { least = 2, most = 2 }
text = { n_tokens = 64 }
"""


@pytest.mark.llama
def test_one_command_goes_from_the_model_to_the_page(tmp_path: Path) -> None:
    app, spec, out = typer.Typer(), tmp_path / "small.toml", tmp_path / "results"
    demo.register(app)
    spec.write_text(SWEEP)
    command = ["--spec", str(spec), "--out", str(out)]
    told = CliRunner().invoke(app, command, catch_exceptions=False)
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-1] == f"The page: {out / 'report.html'}"
    assert "By number of active experts" in told.stdout
    assert "- Perplexity by active experts:" in told.stdout
    assert "- Predicted compute buffer is equal to 0.01 MiB" in told.stdout
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "SmolLM2-135M-Instruct-8x192" in page
    assert page.count("<svg") >= 5
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "0 of 2 points to measure" in again.stdout
