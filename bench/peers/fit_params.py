"""What llama.cpp's --fit chooses, as predicted and as llama.cpp's own programs do on phantom cards.

    python bench/peers/fit_params.py draw NUMBER SEED >CASES.jsonl
    python bench/peers/fit_params.py run CASES.jsonl FOLDER >ROWS.jsonl
    python bench/peers/fit_params.py compare ROWS.jsonl

`run` writes the models' sparse files into FOLDER and needs `scripts/llama-tools llama-fit-params
llama-server` and the phantom card. llama-server tells its choice by what it then takes, so its rows
hold buffers. Exit code 1 where less than 95 % of the choices are as predicted.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from fit_cases import FIT_PARAMS, SERVER, Case, choice, chosen, draw, line_of, read_cases
from oracle import server_program, sparse_file

from oomph.architectures.source import read_model
from oomph.config import padded_context
from oomph.estimate.fitting.question import Fitted
from oomph.estimate.fitting.search import fit_params
from oomph.estimate.fitting.shares import divided
from oomph.estimate.memory import MemoryModel
from oomph.measure.server_run import phantom_arguments, serving
from oomph.phantom.cards import phantom_cards
from oomph.units import GIB, MIB

GOAL: Final = 0.95
PRINTED_MIB: Final = 0.011
"""llama.cpp prints two decimals."""
LONGEST_S: Final = 400.0
MOST_ON_HOST: Final = 3 * GIB
"""What llama-server may take of the host's memory here."""
_SAID: Final = re.compile(r'-c (\d+) -ngl (-?\d+)(?: -ts ([\d,]+))?(?: -ot "(.*)")?')
_GAVE_UP: Final = re.compile(r"common_fit_params: (?:failed to fit|encountered an error).*?: (.*)")


@cache
def memory_of(model: str, *, is_dry_run: bool) -> MemoryModel:
    """The model's memory, replays kept from one case to the next."""
    return MemoryModel(read_model(model), is_dry_run=is_dry_run)


def predicted(case: Case) -> Fitted:
    """What oomph says of the case."""
    return fit_params(memory_of(case.model, is_dry_run=True), case.question())


def run(case: Case, folder: Path) -> Case:
    """The case with what the program chose."""
    path, server = sparse_file(case.model, folder), server_program()
    cards = ",".join(f"phantom:{mib}:8.6:82" for mib in case.cards_mib)
    with phantom_cards(cards, llama_cpp=server.parent) as phantom:
        words = [str(path), *case.words()]
        if case.program == SERVER:
            return replace(
                case,
                chose=_served(server, words, len(case.cards_mib), phantom.program_environment()),
            )
        devices = ",".join(f"CUDA{i}" for i in range(len(case.cards_mib)))
        done = subprocess.run(
            [server.with_name(FIT_PARAMS), "-dev", devices, "-m", *words],
            env=os.environ | phantom.program_environment(),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    if found := _SAID.search(done.stdout):
        split = [int(share) for share in (found[3] or "").split(",") if share]
        overrides = "" if "n_cpu_moe" in case.knobs else found[4] or ""  # else the user's own
        return replace(case, chose=choice(int(found[1]), int(found[2]), split, overrides))
    given_up = _GAVE_UP.search(done.stderr + done.stdout)
    return replace(case, chose={"gave_up": given_up[1] if given_up else f"exit {done.returncode}"})


def _served(
    server: Path, words: list[str], n_cards: int, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Context and buffers of a llama-server that started, by card in MiB; else that it did not."""
    command = [server, "-m", *words, "--no-warmup", *phantom_arguments(n_cards)]
    with serving(command, environment=environment) as running:
        running.await_health(120.0)
        log = running.log()
    chose: dict[str, Any] = {}
    for line in log:
        if match := _GAVE_UP.search(line):
            chose["gave_up"] = match[1]
        if match := re.search(r"llama_context: n_ctx {1,40}= {1,40}(\d+)", line):
            chose["n_ctx"] = int(match[1])
        if match := re.search(r"offloaded (\d+)/\d+ layers", line):
            chose["offloaded"] = int(match[1])
        if match := re.search(
            r" (CUDA\d+) (model|KV|RS|compute) buffer size = +([\d.]+) MiB", line
        ):
            card = chose.setdefault("cards", {}).setdefault(match[1], {})
            card[match[2]] = round(card.get(match[2], 0.0) + float(match[3]), 2)
        if "server is listening" in line or "listening on" in line:
            chose["listens"] = True
    return chose


def difference(case: Case) -> str | None:
    """Where prediction and choice part; None where they are one."""
    fitted = predicted(case)
    if case.program == FIT_PARAMS:
        said, chose = chosen(fitted), dict(case.chose)
        both_refuse = "gave_up" in said and not str(chose.get("gave_up", "abort")).endswith("abort")
        return None if said == chose or both_refuse else f"predicted {said}, chose {chose}"
    if not case.chose.get("listens"):  # died while it loaded, so that nothing tells what it chose
        return None if fitted.gave_up else f"predicted to load, and did not: {case.chose}"
    config = fitted.config
    if case.chose.get("n_ctx") != padded_context(config.n_ctx):
        return f"predicted n_ctx {config.n_ctx}, chose {case.chose.get('n_ctx')}"
    if len(case.cards_mib) > 1 and config.split_mode != "none":
        config = divided(config, case.question().free_bytes)
    devices = memory_of(case.model, is_dry_run=False).estimate(config).devices
    for name, took in case.chose["cards"].items():
        device = devices[name]
        sizes = {
            "model": device.weights_bytes,
            "KV": device.kv_cache_bytes,
            "RS": device.recurrent_bytes,
            "compute": device.compute_bytes,
        }
        for part, n_mib in took.items():
            if abs(sizes[part] / MIB - n_mib) > PRINTED_MIB * 2:
                return f"{name}: {part} {sizes[part] / MIB:.2f}, took {n_mib}"
    return None


def on_host(case: Case) -> int:
    """Bytes that the case takes of the host."""
    devices = memory_of(case.model, is_dry_run=True).estimate(predicted(case).config).devices
    return sum(
        memory.total_bytes for name, memory in devices.items() if name in ("CPU", "CUDA_Host")
    )


def main(arguments: list[str]) -> int:
    """One of the three programs; its exit code."""
    if arguments[0] == "draw":
        for case in draw(int(arguments[1]), int(arguments[2])):
            print(line_of(case))
        return 0
    cases = read_cases(Path(arguments[1]))
    if arguments[0] == "run":
        for case in cases:
            if case.program == SERVER and on_host(case) > MOST_ON_HOST:
                case = replace(case, program=FIT_PARAMS)
            started = time.monotonic()
            done = run(case, Path(arguments[2]))
            print(line_of(done), flush=True)
            print(f"{time.monotonic() - started:.1f} s {done}", file=sys.stderr)
        return 0
    return 0 if compared(cases) >= GOAL * len(cases) else 1


def compared(cases: Sequence[Case]) -> int:
    """Print each case with what was chosen and foretold; how many are equal."""
    n_equal, worst = 0, 0.0
    for case in cases:
        started = time.monotonic()
        told = difference(case)
        took = time.monotonic() - started
        n_equal, worst = n_equal + (told is None), max(worst, took)
        mark = "equal " if told is None else "DIFFER"
        cards, words = ",".join(map(str, case.cards_mib)), " ".join(case.words())
        print(f"{mark} {took:5.1f} s  {case.program} {case.model} on {cards} MiB {words}")
        if told:
            print(f"    {told}")
    print(f"{n_equal} of {len(cases)} as predicted; the slowest prediction took {worst:.1f} s")
    return n_equal


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
