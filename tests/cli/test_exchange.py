"""`oomph import` and `oomph export` on files: once in, not twice, and out again."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from oomph.cli import exchange
from oomph.cli.app import app as whole
from oomph.config import RunConfig
from oomph.errors import ConfigError, StoreError

ROW = {
    "model_filename": "m.gguf",
    "model_type": "llama 1B Q4_0",
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 0,
    "avg_ns": 10**9,
    "samples_ns": [10**9, 2 * 10**9],
    "gpu_info": "",
}


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


def test_an_import_comes_out_as_llama_bench_wrote_it(
    tmp_path: Path, app: typer.Typer, bench: Path
) -> None:
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


def test_what_is_no_row_is_named_line_by_line(tmp_path: Path, app: typer.Typer) -> None:
    head = "| model | size | params | backend | test | t/s |\n|-|-|-|-|-|-|\n"
    good = "| llama 7B | 3.56 GiB | 6.74 B | CUDA | pp512 | 100.00 ± 1.00 |\n"
    path = tmp_path / "bench.md"
    path.write_text(head + good + (good[:40] + "\n") * 12)
    done = CliRunner().invoke(app, ["import", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    named = done.stderr.splitlines()
    assert len(named) == 11
    assert named[0].startswith(f"{path}:4: a row that is cut: | llama 7B")
    assert named[10] == f"{path}: and 2 more such lines"
    assert done.stdout.splitlines()[0] == "1 of 1 file gave 1 record (1 of llama-bench)"


def on_a_card(folder: Path) -> Path:
    """A results folder with one run of a published model on a real card, of a machine that has a
    name."""
    path = folder / "results"
    path.mkdir()
    record = {
        "record_id": "a",
        "point_id": "b",
        "sweep": "mine",
        "label": "on zq-host",
        "wall_ns": 1,
        "started_at": "2026-11-27T10:00:00+00:00",
        "model": {
            "name": "qwen3-30b-a3b",
            "path": "qwen3-30b-a3b:Q4_K_M",
            "arch": "qwen3moe",
            "file_bytes": 18_553_832_512,
            "header_sha256": "c",
        },
        "config": RunConfig(n_ctx=4096, n_expert_used=8, flash_attn="on").to_dict(),
        "workload": {"n_prompt": 512, "n_gen": 64},
        "environment": {
            "machine": "zq-host",
            "os": "Linux zq",
            "python": "3.11",
            "cpu": "zq",
            "cpu_count": 2,
            "memory_bytes": 9,
            "backend": "cuda",
            "gpus": [
                {"name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-zq", "usable_bytes": 85_000_000_000}
            ],
        },
        "outcome": {"label": "ok", "log_tail": ["/home/zq"]},
        "timings": [{"test": "tg64", "n_tokens": 64, "samples_ns": [500_000_000]}],
        "memory": [
            {"probe": "nvml", "quantity": "vram", "device": "CUDA0", "peak_bytes": 19_000_000_000}
        ],
    }
    (path / "records.jsonl").write_text(json.dumps(record) + "\n")
    return path


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_folder_is_shared_only_once_it_was_shown_and_agreed_to(
    app: typer.Typer, tmp_path: Path
) -> None:
    folder, file = on_a_card(tmp_path), tmp_path / "card.jsonl"
    command = ["export", str(folder), "--share", str(file)]
    refused = CliRunner().invoke(app, command, input="n\n")
    assert "1 records of 2026-11-27" in refused.stdout
    assert "NVIDIA H100 80GB HBM3" in refused.stdout
    assert "nothing was written" in refused.stdout
    assert not file.exists()
    agreed = CliRunner().invoke(app, command, input="y\n")
    assert "written to" in agreed.stdout
    assert "zq" not in file.read_text()
    assert "zq" not in refused.stdout.replace(str(file), "")


def test_what_is_imported_is_cited_by_the_estimate(
    app: typer.Typer, tmp_path: Path, empty_cache: Path
) -> None:
    folder, file = on_a_card(tmp_path), tmp_path / "card.jsonl"
    CliRunner().invoke(app, ["export", str(folder), "--share", str(file), "--yes"])
    done = CliRunner().invoke(app, ["import", str(file), "--out", str(tmp_path / "theirs")])
    assert "1 of 1 records are new" in done.stdout
    assert "oomph estimate cites it" in done.stdout
    again = CliRunner().invoke(app, ["import", str(file), "--out", str(tmp_path / "theirs")])
    assert "0 of 1 records are new" in again.stdout
    asked = [
        "estimate",
        "qwen3-30b-a3b:Q4_K_M",
        "--gpu",
        "H100",
        "--n-ctx",
        "4096",
        "--flash-attn",
        "on",
        "--as",
        "llama-cpp-python",
    ]
    cited = (
        "measured on NVIDIA H100 80GB HBM3 on 2026-11-27: 18,120 MiB, decode 128 tokens/s at "
        "depth 0"
    )
    assert cited in CliRunner().invoke(whole, asked).stdout
    (line,) = CliRunner().invoke(whole, [*asked, "--json"]).stdout.splitlines()
    (measured,) = json.loads(line)["measured"]
    assert (measured["vram_bytes"], measured["decode"]) == (19_000_000_000, [0, 128.0])
    server = CliRunner().invoke(whole, asked[:-2]).stdout
    assert "at n_ctx 4,096 on 2026-11-27: decode 128 tokens/s at depth 0" in server
    other = [*asked[:3], "RTX 4090", *asked[4:]]
    assert "measured on" not in CliRunner().invoke(whole, other).stdout


def test_rows_for_the_trainer_are_a_layout(app: typer.Typer, tmp_path: Path) -> None:
    folder, file = on_a_card(tmp_path), tmp_path / "speed-mine.jsonl"
    CliRunner().invoke(
        app, ["export", str(folder), "--format", "rows", "--out", str(file)], catch_exceptions=False
    )
    (row,) = (json.loads(line) for line in file.read_text().splitlines())
    assert (row["catalogue_model"], row["quant"], row["n_gen"]) == ("qwen3-30b-a3b", "Q4_K_M", 64)
    assert row["tokens_per_s"] == pytest.approx(128)
