"""Tables in a pipe, and streams that are closed or full."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oomph.cli.output import render_plain
from oomph.views.table import Cell, Table, number


def test_plain_table_is_aligned_complete_and_without_control_characters() -> None:
    table = Table(
        caption="caption",
        columns=("name", "MiB", "empty"),
        rows=(
            (Cell("short"), number(5.0), Cell("")),
            (Cell("a\x1b[2Jlonger name" * 9), number(12345.0), Cell("")),
        ),
    )
    caption, head, first, second, _ = render_plain(table).split("\n")
    assert caption == "caption"
    assert head.split() == ["name", "MiB"]
    assert len({len(head), len(first), len(second)}) == 1
    assert second.endswith("12,345")
    assert "\x1b" not in second


MAIN = "from oomph.cli import main; main()"
ASKS = {
    "answer": ["answer", "qwen3-0.6b:Q4_K_M", "--gpu", "RTX 4090", "-c", "4096", "--json"],
    "table": ["gpus"],
    "refused": ["gpus", "no such card"],
    "stdin": ["answer", "--command", "-", "--gpu", "RTX 4090"],
}


@pytest.mark.parametrize("closed", ["0", "1", "2", "0,1,2"])
@pytest.mark.parametrize("asked", ASKS)
def test_closed_streams_lead_nowhere(asked: str, closed: str, tmp_path: Path) -> None:
    """As of a service or a window that has none."""
    close = "import os,sys; [os.close(int(n)) for n in sys.argv[1].split(',')]; "
    run = "os.execv(sys.executable, [sys.executable, '-c', sys.argv[2], *sys.argv[3:]])"
    done = subprocess.run(
        [sys.executable, "-c", close + run, closed, MAIN, *ASKS[asked]],
        capture_output=True,
        text=True,
        input="llama-server -m qwen3-0.6b-Q4_K_M.gguf",
        check=False,
        env=os.environ | {"OOMPH_CACHE": str(tmp_path)},
    )
    fails = asked == "refused" or (asked == "stdin" and "0" in closed)
    assert done.returncode == (2 if fails else 0), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("asked", ["answer", "table"])
def test_a_full_output_is_a_sentence(asked: str, tmp_path: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *ASKS[asked]],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"OOMPH_CACHE": str(tmp_path)},
        )
    assert done.returncode == 2
    assert done.stderr.startswith("oomph: a disk is full")
