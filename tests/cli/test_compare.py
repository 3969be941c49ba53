"""`oomph compare` and `oomph report` on folders: what they print and how they end."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from oomph.cli import compare, report
from oomph.errors import ConfigError, StoreError


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    compare.register(made)
    report.register(made)
    return made


def _write(
    folder: Path, *, decode_ns: int, driver: str = "570", n_prompt: int = 512, outcome: str = "ok"
) -> Path:
    folder.mkdir()
    record: dict[str, Any] = {
        "record_id": "r",
        "point_id": "p",
        "sweep": "s",
        "label": "n_ctx=1024",
        "started_at": "2026-01-01T00:00:00Z",
        "wall_ns": 1,
        "config": {"n_ctx": 1024, "n_devices": 0},
        "workload": {"n_prompt": n_prompt},
        "outcome": {"label": outcome},
        "model": {
            "name": "m",
            "path": str(folder / "gone.gguf"),
            "arch": "llama",
            "file_bytes": 1,
            "header_sha256": "",
        },
        "environment": {
            "machine": "a",
            "os": "Linux",
            "python": "3.11",
            "cpu": "c",
            "cpu_count": 2,
            "memory_bytes": 1,
            "backend": "cpu",
            "driver": driver,
        },
        "timings": [
            {
                "test": "tg32",
                "n_tokens": 32,
                "samples_ns": [decode_ns, decode_ns + 1, decode_ns + 2],
            }
        ],
    }
    (folder / "records.jsonl").write_text(json.dumps(record) + "\n")
    return folder


def test_a_regression_ends_with_1_only_beyond_the_threshold(
    tmp_path: Path, app: typer.Typer
) -> None:
    before, after = (
        _write(tmp_path / "a", decode_ns=10**8),
        _write(tmp_path / "b", decode_ns=11 * 10**7, driver="580"),
    )
    runner = CliRunner()
    told = runner.invoke(app, ["compare", str(before), str(after), "--markdown"])
    assert told.exit_code == 0
    assert "| driver | 570 | 580 |" in told.stdout
    assert (
        "| n_ctx=1024 | tg32, tokens/s | 320 | 291 | -9.1 % | -9.1 % to -9.1 % | regression |"
        in told.stdout
    )
    assert (
        runner.invoke(app, ["compare", str(before), str(after), "--fail-over", "5%"]).exit_code == 1
    )
    assert (
        runner.invoke(app, ["compare", str(before), str(after), "--fail-over", "0.2"]).exit_code
        == 0
    )
    assert (
        runner.invoke(app, ["compare", str(after), str(before), "--fail-over", "5%"]).exit_code == 0
    )


def test_a_gate_that_compared_nothing_lets_nothing_pass(tmp_path: Path, app: typer.Typer) -> None:
    one = _write(tmp_path / "a", decode_ns=10**8)
    other = _write(tmp_path / "b", decode_ns=10**8, n_prompt=64)
    failed = [_write(tmp_path / name, decode_ns=1, outcome="oom_kv") for name in "cd"]
    for folders, words in (
        ((one, other), "no point of one side has the n_prompt (512 before, 64 after)"),
        (failed, "--fail-over has nothing to judge: 1 pair of points"),
    ):
        asked = ["compare", *map(str, folders), "--fail-over", "5%"]
        done = CliRunner().invoke(app, asked)
        assert isinstance(done.exception, ConfigError)
        assert words in str(done.exception)


def test_a_page_leads_with_the_verdict_and_says_why_points_did_not_pair(
    tmp_path: Path, app: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = _write(tmp_path / "a", decode_ns=10**8)
    after = _write(tmp_path / "b", decode_ns=11 * 10**7)
    more = json.loads((after / "records.jsonl").read_text())
    more |= {"label": "n_ctx=4096", "point_id": "q", "config": {"n_ctx": 4096, "n_devices": 0}}
    with (after / "records.jsonl").open("a") as file:
        file.write(json.dumps(more) + "\n")
    done = CliRunner().invoke(app, ["compare", str(before), str(after), "--html"])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "compare.html",
        "Pairs: 1.",
        "Without a partner: 0 before, 1 after.",
        "1 of 1 difference is a regression, the worst at n_ctx=1024: tg32 -9.1 %.",
    ]
    page = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert "<h1>1 of 1 difference is a regression, the worst at n_ctx=1024" in page
    assert "n_ctx (4096, not 1024)" in page
    assert page.index("<svg") < page.index("Regressions first") < page.index("did not pair")
    gate = ["compare", str(before), str(after), "--out", "g.html", "--fail-over", "5%"]
    assert CliRunner().invoke(app, gate).exit_code == 1
    assert (tmp_path / "g.html").exists()


@pytest.mark.parametrize("text", ["five", "-1%", "500%"])
def test_a_threshold_that_is_none_is_named(text: str, tmp_path: Path, app: typer.Typer) -> None:
    before = _write(tmp_path / "a", decode_ns=10**8)
    result = CliRunner().invoke(app, ["compare", str(before), str(before), "--fail-over", text])
    assert isinstance(result.exception, ConfigError)
    assert "give a percentage such as 5%" in str(result.exception)


def test_a_report_is_written_without_its_model_and_says_so(
    tmp_path: Path, app: typer.Typer
) -> None:
    folder = _write(tmp_path / "a", decode_ns=10**8)
    result = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "page")])
    assert result.exit_code == 0
    assert result.stdout.strip() == str(tmp_path / "page" / "report.html")
    assert "no predictions for m" in result.stderr
    assert "gone.gguf does not exist" in result.stderr
    assert "<h1>" in (tmp_path / "page" / "report.html").read_text(encoding="utf-8")


def test_a_folder_without_records_is_named(tmp_path: Path, app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(result.exception, StoreError)
    assert "has no records" in str(result.exception)


def test_two_folders_of_one_point_are_compared_and_not_mixed(
    tmp_path: Path, app: typer.Typer
) -> None:
    folders = [_write(tmp_path / name, decode_ns=10**8) for name in ("a", "b")]
    done = CliRunner().invoke(app, ["report", *map(str, folders)])
    assert isinstance(done.exception, ConfigError)
    assert "`oomph compare` sets them side by side" in str(done.exception)
