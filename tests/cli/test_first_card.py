"""A card's first day as a user types it: the whole protocol on a phantom card, its speed on a CPU,
what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from oomph.measure.ballast import door_to, holding
from oomph.measure.bench import open_bench
from oomph.measure.first_card.journal import Journal
from oomph.measure.first_card.protocol import Protocol
from oomph.records.store import Store
from oomph.units import GIB

Oomph = Callable[..., tuple[int, str, str]]
CARD = "RTX PRO 6000 Blackwell"
STAGES = {"oom_weights", "oom_kv", "oom_compute", "oom_runtime"}

ONE_STEP = """
size = "small"
[models]
question = "qwen3-30b-a3b:Q4_K_M"
[[step]]
name = "speed"
asks = "how fast?"
model = "question"
config = { n_threads = 1, n_expert_used = 8 }
measure = { n_prompt = 16, n_gen = 4, repetitions = { least = 2, most = 2 } }
group = [{ name = "two", axes = { n_ctx = [256, 512] }, measure = { depths = [0, "full"] } }]
[[step]]
name = "memory"
asks = "when does it run out?"
model = "question"
needs = ["card"]
leave = "1GiB"
provoke = [{ n_expert_used = 8 }]
"""


@pytest.mark.phantom
@pytest.mark.slow
@pytest.mark.usefixtures("cuda_backend")
def test_the_whole_protocol_on_a_phantom_card(oomph: Oomph, tmp_path: Path) -> None:
    command = ("first-card", "--phantom", CARD, "--size", "small", "--out", tmp_path)
    code, printed, _ = oomph(*command)
    assert code == 0
    assert printed.index("predictions are in") < printed.index("n_ctx=512: ok")
    entries = Journal(tmp_path).entries().values()
    assert {entry.state for entry in entries} == {"done"}
    beside = [record for folder in tmp_path.glob("left-*") for record in Store(folder).records()]
    provoked = {record.outcome.label for record in beside if record.sweep == "first-card"}
    assert provoked == STAGES
    for record in beside:
        wanted = record.workload["group"].removeprefix("to run out in: ")
        assert record.sweep == "frontier" or record.outcome.label == wanted
        assert record.conditions.other_processes == []
    ran = [
        int(r.config["n_ctx"]) for r in beside if r.sweep == "frontier" and r.outcome.label == "ok"
    ]
    assert f"{max(ran):,} runs full" in printed
    page = (tmp_path / "report.html").read_text()
    assert "cudaMalloc failed: out of memory" in page
    assert "were on disk, and their hash in the journal" in page
    records = len(list(Store(tmp_path).records()))
    _, again, _ = oomph(*command)
    assert again.count("done already") == len(entries) - 1  # all but the seal
    assert len(list(Store(tmp_path).records())) == records


@pytest.mark.llama
def test_speed_on_the_processor(
    oomph: Oomph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "read", classmethod(lambda cls, size: cls.parse(ONE_STEP)))
    monkeypatch.setenv("OOMPH_CACHE", str(tmp_path / "cache"))
    code, printed, _ = oomph("first-card", "--cpu", "--out", tmp_path / "out")
    assert code == 0
    assert "left out: it needs a card" in printed
    assert "random weights written" in printed
    records = list(Store(tmp_path / "out").records())
    assert [record.outcome.label for record in records] == ["ok", "ok"]
    assert {timing.test for record in records for timing in record.timings} >= {"pp16", "tg4"}
    lines = [
        json.loads(line)
        for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    ]
    assert {line["quantity"] for line in lines} >= {"host_bytes", "weights_bytes"}
    assert (tmp_path / "out" / "report.html").exists()


def test_a_plan_measures_nothing(oomph: Oomph, tmp_path: Path) -> None:
    code, printed, _ = oomph("first-card", "--cpu", "--plan", "--out", tmp_path / "out")
    assert code == 0
    assert "it needs a card" in printed
    assert not (tmp_path / "out").exists()


def test_two_places_at_once_are_refused(oomph: Oomph) -> None:
    code, _, said = oomph("first-card", "--cpu", "--phantom", CARD)
    assert (code, said) == (
        2,
        "oomph: --cpu and --phantom both say where to measure; give one of them\n",
    )


def test_a_machine_without_a_card_is_told_what_to_do(oomph: Oomph, tmp_path: Path) -> None:
    code, _, said = oomph("first-card", "--out", tmp_path / "out")
    assert code == 2
    assert said.startswith("oomph: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.phantom
@pytest.mark.usefixtures("cuda_backend")
class TestOnAPhantom:
    def test_a_card_that_is_too_old_is_refused(self, oomph: Oomph) -> None:
        code, _, said = oomph("first-card", "--phantom", "V100:16384:7.0:80")
        assert code == 2
        assert "compute capability 7.0" in said
        assert said.count("\n") == 1

    def test_a_busy_card_is_refused(
        self, oomph: Oomph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with (
            open_bench(CARD) as bench,
            holding(door_to(bench, bench.cards[0]), leave_bytes=60 * GIB) as other,
        ):
            monkeypatch.setattr(
                "oomph.analysis.first_card.opening.open_bench", lambda phantom: nullcontext(bench)
            )
            code, _, said = oomph("first-card", "--phantom", CARD, "--out", tmp_path)
        assert code == 2
        assert f"in use by process {other.pid}" in said
        assert said.count("\n") == 1

    def test_interrupted_it_ends_its_children_and_says_how_to_go_on(self, tmp_path: Path) -> None:
        script = "from oomph.cli import main; main()"
        command = [
            sys.executable,
            "-c",
            script,
            "first-card",
            "--phantom",
            CARD,
            "--size",
            "small",
            "--out",
            tmp_path,
        ]
        child = subprocess.Popen(
            [str(word) for word in command],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ,
        )
        assert child.stderr is not None
        while not list(Store(tmp_path).records()):
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        said = child.stderr.read().decode()
        assert child.wait() == 130
        assert "Stopped; what was measured is in" in said
        assert "Traceback" not in said
        assert len(list(Store(tmp_path).records())) >= 1
