"""`oomph import` and `oomph export` on files: once in, not twice, and out again."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from oomph.cli import exchange
from oomph.errors import ConfigError, StoreError

ROW = {
    "model_filename": "m.gguf", "model_type": "llama 1B Q4_0", "n_prompt": 512, "n_gen": 0, "n_depth": 0,
    "avg_ns": 10**9, "samples_ns": [10**9, 2 * 10**9], "gpu_info": "",
}  # fmt: skip


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    exchange.register(made)
    return made


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps([ROW]))
    return path


def test_the_same_file_is_imported_once(tmp_path: Path, app: typer.Typer, bench: Path) -> None:
    out = tmp_path / "results"
    command = ["import", str(bench), "--out", str(out)]
    assert "1 of 1 records are new" in CliRunner().invoke(app, command).stdout
    assert "0 of 1 records are new" in CliRunner().invoke(app, command).stdout
    assert len((out / "records.jsonl").read_text().splitlines()) == 1


def test_an_import_comes_out_as_llama_bench_wrote_it(tmp_path: Path, app: typer.Typer, bench: Path) -> None:
    out = str(tmp_path / "results")
    CliRunner().invoke(app, ["import", str(bench), "--out", out])
    (row,) = json.loads(CliRunner().invoke(app, ["export", out]).stdout)
    assert (row["n_prompt"], row["samples_ns"]) == (512, ROW["samples_ns"])
    assert row["avg_ts"] == pytest.approx((512 + 256) / 2)
    written = tmp_path / "out.json"
    CliRunner().invoke(app, ["export", out, "--out", str(written)])
    assert json.loads(written.read_text()) == [row]


def test_what_cannot_be_is_one_sentence(tmp_path: Path, app: typer.Typer, bench: Path) -> None:
    out = str(tmp_path / "results")
    missing = CliRunner().invoke(app, ["import", str(tmp_path / "none.json"), "--out", out])
    assert isinstance(missing.exception, StoreError)
    CliRunner().invoke(app, ["import", str(bench), "--out", out])
    layout = CliRunner().invoke(app, ["export", out, "--format", "xml"])
    assert isinstance(layout.exception, ConfigError)
    nowhere = CliRunner().invoke(app, ["export", out, "--out", str(tmp_path / "no" / "x.json")])
    assert "cannot be written" in str(nowhere.exception)
