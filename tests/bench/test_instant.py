"""How questions are timed: whole processes, beside `python -c pass`, the worst with its name."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench import instant


def row(multiple: float, **changes: object) -> instant.Row:
    one = instant.Row(
        command="estimate",
        model="qwen3-8b",
        n_cards=1,
        n_ctx=40_960,
        cache="cold",
        cpu_s=multiple * 0.01,
        wall_s=0.1,
        peak_bytes=50 << 20,
        pass_s=0.01,
        code=0,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


@pytest.fixture
def launcher() -> Iterator[instant.Launcher]:
    made = instant.Launcher()
    yield made
    made.close()


def test_a_process_is_charged_what_it_takes_and_not_what_its_parent_holds(
    launcher: instant.Launcher, tmp_path: Path
) -> None:
    held = bytearray(os.urandom(256) * (1 << 20))  # by this process
    environment = instant.usual_environment(tmp_path)
    busy = "x = b'x' * (64 << 20)\nfor i in range(2_000_000): pass\nraise SystemExit(3)"
    taken = launcher.timed((sys.executable, "-c", busy), environment)
    assert taken.code == 3
    assert taken.peak_bytes is not None
    assert 64 << 20 < taken.peak_bytes < len(held)
    assert launcher.pass_seconds() < taken.cpu_s


def test_every_command_is_asked_on_every_number_of_cards_and_at_both_contexts() -> None:
    asked = list(instant.questions("qwen3-30b-a3b"))
    by_command = {each.command for each in asked}
    assert by_command == {"estimate", "answer", "explain", "max-context"}
    assert {each.n_ctx for each in asked} == {0, 40_960, 131_072}
    assert len(asked) == 3 * (2 * 3 + 1)
    assert asked[-1].words == ("max-context", "qwen3-30b-a3b", "--gpu", "8xRTX 4090")


@pytest.mark.parametrize(
    ("n", "found"), [(None, "abcde"), (9, "abcde"), (3, "ace"), (2, "ae"), (1, "a")]
)
def test_a_sample_is_spread_over_the_catalogue(n: int | None, found: str) -> None:
    assert instant.sampled("abcde", n) == list(found)


def test_the_table_names_the_worst(tmp_path: Path) -> None:
    rows = [row(multiple) for multiple in range(1, 100)]
    rows += [row(300, model="deepseek-v3"), row(2, command="--help", model="", n_ctx=0, n_cards=0)]
    rows += [row(9, command="dry run", peak_bytes=None)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in rows))
    _, _, estimate, front, dry = instant.table(instant.read_rows(path)).splitlines()
    cells = [cell.strip() for cell in estimate.strip("|").split("|")]
    assert cells[:3] == ["estimate", "cold", "1"]
    assert cells[3:7] == ["100", "50.5", "95.0", "300.0"]
    assert cells[7:] == ["deepseek-v3 at 40,960", "3.00", "50"]
    assert "| – | 1 | 2.0 | 2.0 | 2.0 | – |" in front
    assert dry.endswith("| – |")


def test_another_program_is_asked_with_the_models_file(
    launcher: instant.Launcher, tmp_path: Path
) -> None:
    file = tmp_path / "a b.gguf"
    peer = f"reader={sys.executable} -c 'import sys; open(sys.argv[1])' {{file}}"
    assert instant.beside(launcher, peer, "qwen3-8b", file).code == 1
    file.write_bytes(b"GGUF")
    found = instant.beside(launcher, peer, "qwen3-8b", file)
    assert (found.command, found.model, found.code) == ("reader", "qwen3-8b", 0)
