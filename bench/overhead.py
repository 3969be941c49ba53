"""What measuring costs what is measured: the same worker with the harness around it and without.

    python bench/overhead.py [--rounds 6]

Without, the worker reads its commands from a file and writes its answers to another while this
process sleeps. With, it is run as every point is: its answers read as they come, host memory
sampled from a thread. In turns, the order changing from round to round. Exit code 1 where a goal is
missed.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from oomph.measure.executors import QUIET, WORKER, Job, LocalExecutor
from oomph.measure.sweep import Sweep
from oomph.models.demo import demo_model
from oomph.records.environment import physical_cores

GOAL = 0.01
SWEEP = """
name = "overhead"
model = "demo"
axes = { n_ctx = 1536 }

[measure]
n_prompt = 256
n_gen = 32
depths = [0, 512, 1024]
repetitions = { least = 3, most = 3, neighbours = false }
"""
LISTENER = """
import json, os, sys
replies, commands = os.fdopen(int(sys.argv[2]), "w"), open(sys.argv[1], "w")
def say(event, **values):
    print(json.dumps({"event": event, **values}), file=replies, flush=True)
def keep():
    line = sys.stdin.readline()
    print(line, end="", file=commands, flush=True)
    return line
keep()
say("ready")
say("loaded", load_ns=1)
while keep():
    say("measured", timings=[])
    keep()
    say("done", quality=None)
"""
"""A worker that only writes down what it is told."""

Rates = dict[tuple[str, int], float]
"""Tokens per second by test and depth."""


def commands_of(job: Job, folder: Path) -> Path:
    """A file with what the executor says to a worker that does this job."""
    listener, commands = folder / "listener.py", folder / "commands.jsonl"
    listener.write_text(LISTENER)
    list(LocalExecutor(worker=(str(listener), str(commands))).run(job))
    return commands


def run_bare(commands: Path, folder: Path) -> Rates:
    """The worker on its own."""
    with (
        commands.open() as told,
        (folder / "replies.jsonl").open("w+") as replies,
        (folder / "log").open("w") as log,
    ):
        subprocess.run(
            [sys.executable, *WORKER, str(replies.fileno())],
            stdin=told,
            stdout=log,
            stderr=log,
            pass_fds=(replies.fileno(),),
            env=os.environ | QUIET,
            check=True,
        )
    events = [json.loads(line) for line in (folder / "replies.jsonl").read_text().splitlines()]
    return rates_of(next(event for event in events if event["event"] == "measured")["timings"])


def run_watched(job: Job) -> tuple[Rates, float]:
    """The same as every point is run, and the share of one core that this process took
    meanwhile."""
    started, busy = time.monotonic(), cpu_seconds()
    (completed,) = LocalExecutor().run(job)
    share = (cpu_seconds() - busy) / (time.monotonic() - started)
    return rates_of(completed.reply["timings"]), share


def cpu_seconds() -> float:
    """What this process's threads have taken, in user space and in the kernel."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rates_of(timings: Sequence[dict[str, object]]) -> Rates:
    """The medians of the warm tests."""
    return {
        (str(timing["test"]), int(str(timing["n_depth"]))): int(str(timing["n_tokens"]))
        * 1e9
        / median(samples)
        for timing in timings
        if isinstance(samples := timing["samples_ns"], list)
        and not str(timing["test"]).startswith("cold")
    }


def main() -> None:
    """Run both in turns and print what the harness takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=6, help="each is one run of both, some 25 seconds"
    )
    given = parser.parse_args()
    points = Sweep.parse(SWEEP).points(n_devices=0)
    job = Job(model_path=demo_model(), arch="llama", points=points, n_threads=physical_cores())
    shares, losses = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = commands_of(job, folder)
        for index in range(given.rounds):
            bare = run_bare(commands, folder) if index % 2 else {}
            watched, share = run_watched(job)
            bare = bare or run_bare(commands, folder)
            lost = median(1 - watched[cell] / bare[cell] for cell in bare)
            print(
                f"round {index + 1}: {share:.2%} of a core, {lost:+.2%} of the tokens/s lost",
                flush=True,
            )
            shares.append(share)
            losses.append(lost)
    print(f"the harness takes {median(shares):.2%} of one core (goal: at most {GOAL:.0%})")
    print(
        f"and {median(losses):+.2%} of the tokens/s, median over tests and rounds (goal: at most "
        f"{GOAL:.0%})"
    )
    sys.exit(not (median(shares) <= GOAL and median(losses) <= GOAL))


if __name__ == "__main__":
    main()
