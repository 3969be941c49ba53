"""The depth ladder beside llama-bench: the same table on the same machine, in turns; times and
medians.

    python bench/peers/llama_bench.py [--rounds 2]

llama-bench is built by scripts/llama-tools from the sources that llama-cpp-python carries. Both are
whole processes with the same model, threads, batches, KV type and flash attention; the order
changes from round to round, so that a machine that warms up or slows down speaks for neither. Exit
code 1 where a goal is missed.

What differs, and cannot be made equal: llama-bench makes a context for each cell, warms each up at
depth 0 and fills to each depth anew; oomph makes one context that holds the deepest cell, warms up
once and fills once. llama-bench's first token of a prompt at depth 0 is the beginning of a
sequence, oomph's are all random.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from oomph.models.demo import demo_model
from oomph.records.environment import physical_cores
from oomph.records.store import Store

DEPTHS, N_PROMPT, N_GEN, REPETITIONS = (0, 1024, 2048, 4096, 6144), 512, 32, 3
WALL_GOAL, RATIO_GOAL = 0.40, 0.03

Cell = tuple[str, int]
"""The test's label (`pp512`, `tg32`) and its depth."""

SWEEP = """
name = "llama-bench"
model = "{model}"
axes = {{ n_ctx = {n_ctx} }}

[config]
n_batch = 2048
n_ubatch = 512
type_k = "f16"
type_v = "f16"
flash_attn = "auto"
n_threads = {n}

[measure]
n_prompt = {n_prompt}
n_gen = {n_gen}
depths = {depths}
repetitions = {{ least = {repetitions}, most = {repetitions} }}
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One program's whole table: seconds from its start to its end, and nanoseconds of each sample
    by cell."""

    wall_s: float
    samples: dict[Cell, list[int]]

    def rate(self, cell: Cell) -> float:
        """Tokens per second at the median sample."""
        return int(cell[0][2:]) * 1e9 / median(self.samples[cell])


def timed(command: Sequence[str | Path]) -> tuple[float, str]:
    """Seconds that the command took, and what it printed; its complaint ends this program."""
    started = time.monotonic()
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.monotonic() - started, done.stdout


def run_llama_bench(program: Path, model: Path, threads: int) -> Run:
    """llama-bench's own table."""
    wall_s, printed = timed(
        [
            program,
            "-m",
            model,
            "-d",
            ",".join(map(str, DEPTHS)),
            "-p",
            str(N_PROMPT),
            "-n",
            str(N_GEN),
            "-r",
            str(REPETITIONS),
            "-t",
            str(threads),
            "-b",
            "2048",
            "-ub",
            "512",
            "-ctk",
            "f16",
            "-ctv",
            "f16",
            "-fa",
            "auto",
            "-o",
            "jsonl",
        ]
    )
    rows = [json.loads(line) for line in printed.splitlines()]
    return Run(
        wall_s,
        {
            (f"pp{r['n_prompt']}" if r["n_prompt"] else f"tg{r['n_gen']}", r["n_depth"]): r[
                "samples_ns"
            ]
            for r in rows
        },
    )


def run_oomph(model: Path, threads: int) -> Run:
    """The same cells as one point of a sweep, by the command that a user types."""
    with tempfile.TemporaryDirectory() as folder:
        spec, out = Path(folder) / "sweep.toml", Path(folder) / "results"
        spec.write_text(
            SWEEP.format(
                model=model,
                n_ctx=max(DEPTHS) + max(N_PROMPT, N_GEN),
                n=threads,
                n_prompt=N_PROMPT,
                n_gen=N_GEN,
                depths=list(DEPTHS),
                repetitions=REPETITIONS,
            )
        )
        wall_s, _ = timed([Path(sys.executable).parent / "oomph", "sweep", spec, "--out", out])
        (record,) = Store(out).records()
    cells = {(timing.test, timing.n_depth): timing.samples_ns for timing in record.timings}
    return Run(wall_s, {cell: cells[cell] for cell in wanted_cells()})


def wanted_cells() -> list[Cell]:
    """The table's cells, as llama-bench prints them."""
    return [(test, depth) for depth in DEPTHS for test in (f"pp{N_PROMPT}", f"tg{N_GEN}")]


def compare(theirs: Sequence[Run], ours: Sequence[Run]) -> bool:
    """Print the cells and the times; whether both goals are met."""
    print(
        f"\n{'cell':18}{'llama-bench':>12}{'oomph':>9}  t/s, median of rounds{'ratio':>10}  samples"
    )
    ratios = []
    for cell in wanted_cells():
        their_rate, our_rate = (median(run.rate(cell) for run in runs) for runs in (theirs, ours))
        ratios.append(our_rate / their_rate)
        n_samples = [sum(len(run.samples[cell]) for run in runs) for runs in (theirs, ours)]
        spread = max(run.rate(cell) for run in theirs) / min(run.rate(cell) for run in theirs) - 1
        print(
            f"{f'{cell[0]} @ d{cell[1]}':18}{their_rate:12.2f}{our_rate:9.2f}"
            f"{'':23}{ratios[-1]:10.3f}"
            f"  {n_samples[0]} / {n_samples[1]}; llama-bench's own rounds lie {spread:.1%} apart"
        )
    walls = [our.wall_s / their.wall_s for our, their in zip(ours, theirs, strict=True)]
    for name, runs in (("llama-bench", theirs), ("oomph", ours)):
        print(f"{name:12} took {', '.join(f'{run.wall_s:.1f}' for run in runs)} s")
    print(f"oomph takes {median(walls):.1%} of llama-bench's time (goal: at most {WALL_GOAL:.0%})")
    print(f"median ratio over the cells {median(ratios):.3f} (goal: within {RATIO_GOAL:.0%})")
    return median(walls) <= WALL_GOAL and abs(median(ratios) - 1) <= RATIO_GOAL


def main() -> None:
    """Build or find llama-bench, run both in turns, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=2, help="each is one table of both, some four minutes"
    )
    given = parser.parse_args()
    scripts = Path(__file__).parents[2] / "scripts"
    tools = subprocess.run(
        [scripts / "llama-tools", "llama-bench"], stdout=subprocess.PIPE, text=True, check=True
    )
    program, model, threads = (
        Path(tools.stdout.strip()) / "llama-bench",
        demo_model(),
        physical_cores(),
    )
    theirs, ours = list[Run](), list[Run]()
    for index in range(given.rounds):
        if index % 2:
            ours.append(run_oomph(model, threads))
        theirs.append(run_llama_bench(program, model, threads))
        if not index % 2:
            ours.append(run_oomph(model, threads))
        print(
            f"round {index + 1}: llama-bench {theirs[-1].wall_s:.1f} s, oomph "
            f"{ours[-1].wall_s:.1f} s",
            flush=True,
        )
    sys.exit(not compare(theirs, ours))


if __name__ == "__main__":
    main()
