"""What large results folders take: a real record varied 1,000 to 100,000 times, and the commands
that read it.

Every row is one command in a process of its own: its processor time and its peak memory, beside
what it takes for a tenth of the records. Linear is a ratio of 10 or less. `resume` starts a sweep
that is done, once in a folder of its own records and once in one of another sweep's.

    python bench/large_folders.py                       # all commands, 1,000 to 100,000 records
    python bench/large_folders.py report 1000,10000     # one command
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, product
from pathlib import Path
from random import Random
from typing import Any, Final

from oomph.architectures.catalogue import catalogue_model
from oomph.measure.executors import LocalExecutor
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.models.synth import write_synthetic
from oomph.records.store import Store

ROOT: Final = Path(__file__).parents[1]
COUNTS: Final = (1_000, 10_000, 100_000)
COMMANDS: Final = (
    "resume",
    "resume beside others",
    "report",
    "calibrate",
    "records export",
    "export",
)
KV_TYPES: Final = ("f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
MICRO_BATCHES: Final = (64, 128, 256, 512, 1024)
N_EXPERTS: Final = 8
N_CONTEXTS: Final = 400
FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)
SWEEP: Final = """name = "large"
model = "{model}"
"""
GROUP: Final = """[[group]]
name = "group {number}"
axes.n_ctx = {contexts}
axes.n_seq_max = [1, 2, 3, 4]
axes.type_k = ["f16", "q8_0", "q5_1", "q4_0"]
"""
CONTEXTS_OF_A_GROUP: Final = 500
POINTS_OF_A_CONTEXT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a command took: seconds of processor time, MiB at its peak, lines of progress."""

    cpu_s: float
    peak_mib: float
    n_lines: int


def specimen() -> dict[str, Any]:
    """A real record of the demo's."""
    path = ROOT / "tests" / "data" / "record_v1.jsonl"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    return found


def varied(number: int, knobs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The specimen as another point: other knobs, an id and a time of its own, and samples that
    scatter as a machine's do."""
    record, source = specimen(), Random(number)
    record["config"] |= knobs
    record |= {
        "record_id": f"{number:012x}-{source.randrange(1 << 32):08x}",
        "point_id": f"{number:012x}",
        "label": " ".join(f"{name}={value}" for name, value in knobs.items()),
        "started_at": (FIRST + timedelta(seconds=number)).isoformat(timespec="milliseconds"),
        **more,
    }
    for timing in record["timings"]:
        timing["samples_ns"] = [
            round(ns * source.lognormvariate(0, 0.03)) for ns in timing["samples_ns"]
        ]
    record["quality"]["nll_nats"] = [
        nats * source.lognormvariate(0, 0.001) for nats in record["quality"]["nll_nats"]
    ]
    return record


def line_of(record: Mapping[str, Any]) -> str:
    """The record's line, laid out as the store writes it."""
    return json.dumps(record, separators=(",", ":")) + "\n"


def knobs_of_points() -> Iterator[dict[str, Any]]:
    """Knobs of 112,000 points, no two alike."""
    for n_ubatch, kind, n_used, i in product(
        MICRO_BATCHES, KV_TYPES, range(1, N_EXPERTS + 1), range(N_CONTEXTS)
    ):
        yield {
            "n_ctx": 512 * (i + 1),
            "n_expert_used": n_used,
            "type_k": kind,
            "type_v": kind,
            "n_ubatch": n_ubatch,
        }


def write_folder(folder: Path, n: int) -> None:
    """A results folder of `n` records of the demo's kind."""
    step = max(1, len(MICRO_BATCHES) * len(KV_TYPES) * N_EXPERTS * N_CONTEXTS // n)
    folder.mkdir(parents=True)
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for number, knobs in enumerate(islice(knobs_of_points(), 0, step * n, step)):
            file.write(line_of(varied(number, knobs)))


def write_sweep(folder: Path, n: int) -> Path:
    """A sweep of `n` points and a small model that it measures; its file."""
    model = folder / "model.gguf"
    if not model.exists():
        write_synthetic(catalogue_model("qwen3-0.6b", "Q4_K_M"), model)
    path = folder / f"sweep-{n}.toml"
    contexts = [512 + 16 * i for i in range(-(-n // POINTS_OF_A_CONTEXT))]
    groups = [
        GROUP.format(number=at, contexts=contexts[at : at + CONTEXTS_OF_A_GROUP])
        for at in range(0, len(contexts), CONTEXTS_OF_A_GROUP)
    ]
    path.write_text(SWEEP.format(model=model) + "".join(groups), encoding="utf-8")
    return path


def write_finished(folder: Path, sweep: Path) -> None:
    """A results folder in which every point of the sweep was measured on this machine."""
    runner = Runner(Store(folder), LocalExecutor())
    (plan,) = runner._plans(Sweep.load(sweep))
    environment = plan.place.environment.model_dump(mode="json")
    model = plan.subject.identity.model_dump(mode="json")
    folder.mkdir(parents=True)
    with (folder / "records.jsonl").open("w", encoding="utf-8") as file:
        for number, (point_id, point) in enumerate(plan.points.items()):
            more = {"point_id": point_id, "environment": environment, "model": model}
            record = varied(number, point.config.to_dict(), **more)
            file.write(line_of(record))


def run(words: list[str]) -> Taken:
    """The command in a process of its own; SystemExit with its last line where it fails."""
    with tempfile.TemporaryFile() as told, tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"XDG_CONFIG_HOME": cache, "CUDA_VISIBLE_DEVICES": ""}
        command = [str(Path(sys.executable).parent / "oomph"), *words]
        process = subprocess.Popen(command, stdout=told, stderr=told, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        told.seek(0)
        lines = told.read().decode(errors="replace").splitlines()
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"oomph {' '.join(words)} failed: {lines[-1:]}")
    n_lines = sum("are read" in line or "records" in line for line in lines)
    return Taken(
        cpu_s=used.ru_utime + used.ru_stime, peak_mib=used.ru_maxrss / 1024, n_lines=n_lines
    )


def words_of(command: str, folder: Path, n: int) -> list[str]:
    """What is typed after `oomph`, with what it needs written first."""
    records, out = folder / f"records-{n}", folder / "out"
    if command.startswith("resume"):
        sweep = write_sweep(folder, n if command == "resume" else 64)
        results = folder / f"{command.replace(' ', '-')}-{n}"
        if not results.exists():
            write_finished(results, sweep)
            if command != "resume":
                with (results / "records.jsonl").open("ab") as file:
                    file.write((records / "records.jsonl").read_bytes())
        return ["sweep", str(sweep), "--out", str(results)]
    out.mkdir(exist_ok=True)
    return {
        "report": ["report", str(records), "--out", str(out / f"report-{n}.md")],
        "calibrate": ["calibrate", str(records), "--out", str(out / "calibration.json")],
        "records export": ["records", "export", str(records), str(out / "records.csv")],
        "export": ["export", str(records), "--out", str(out / "rows.jsonl")],
    }[command]


def measure(commands: list[str], counts: list[int]) -> None:
    """Print the table."""
    print("| command | records | CPU s | peak MiB | CPU of a tenth | progress lines |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in counts:
            write_folder(folder / f"records-{n}", n)
        for command in commands:
            before: Taken | None = None
            for n in counts:
                taken = run(words_of(command, folder, n))
                ratio = f"{taken.cpu_s / before.cpu_s:.1f} x" if before else "–"
                print(
                    f"| {command} | {n:,} | {taken.cpu_s:.2f} | {taken.peak_mib:.0f} | {ratio} | "
                    f"{taken.n_lines} |",
                    flush=True,
                )
                before = taken


if __name__ == "__main__":
    measure(
        [sys.argv[1]] if len(sys.argv) > 1 else list(COMMANDS),
        [int(n) for n in sys.argv[2].split(",")] if len(sys.argv) > 2 else list(COUNTS),
    )
