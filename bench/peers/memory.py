"""VRAM as predicted from the header, ours beside the formulas of others, on the same rows.

    python bench/peers/memory.py PHANTOM.jsonl LOGS.jsonl PROGRAM FOLDER

PHANTOM.jsonl holds runs of llama.cpp 0.5.0's CUDA backend on a phantom card, whose models PROGRAM
writes into FOLDER (`PROGRAM gguf MODEL MIX PATH`); LOGS.jsonl what llama.cpp printed on real cards.
Exit code 1 where a goal is missed.
"""

import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from formulas import FORMULAS, question
from memory_rows import Row, log_rows, phantom_rows

from oomph.estimate.build import build_of
from oomph.estimate.memory import MemoryModel
from oomph.estimate.overhead import pool_bytes
from oomph.estimate.prediction import MemoryEstimate, is_card
from oomph.gpus import gpu
from oomph.units import MIB

PRINTED_MIB: Final = 0.011
"""llama.cpp prints two decimals."""
UNDER: Final = 0.005
NEAR_MIB, NEAR_SHARE = 4.0, 0.02
"""What is near on a real card."""
EXACT_GOAL, NEAR_GOAL = 0.99, 0.90


@dataclass(frozen=True, slots=True)
class Answer:
    """Everyone's total of one row in MiB by name, and our errors by component: (component,
    predicted - printed)."""

    row: Row
    totals: Mapping[str, float]
    errors: Sequence[tuple[str, float, float]]


class Answers:
    """Asks; what was replayed for one row is kept for the next of its model and build."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, int | None], MemoryModel] = {}

    def answer(self, row: Row) -> Answer:
        """Everyone's answers to the question that `row` settles."""
        key = row.label, row.build
        if key not in self._models:
            self._models[key] = MemoryModel(row.model, build_of(row.build))
        memory = self._models[key].estimate(row.config)
        cards = [device for name, device in memory.devices.items() if is_card(name)]
        cache = sum(device.kv_cache_bytes + device.recurrent_bytes for device in cards)
        pool = pool_bytes(row.model, row.config, gpu(row.gpu)) if row.gpu else 0
        asked = question(row.model, row.config, file_bytes=row.file_bytes, cache_bytes=cache)
        totals = {"oomph": (memory.total_vram_bytes + pool * len(cards)) / MIB}
        totals |= {name: formula(asked) for name, formula in FORMULAS.items()}
        return Answer(row, totals, _errors(row, memory))


def _errors(row: Row, memory: MemoryEstimate) -> list[tuple[str, float, float]]:
    return [
        (part, getattr(memory.devices[name], part) / MIB - printed, printed)
        for name, (_, parts) in zip(
            (device for device in memory.devices if is_card(device)), row.cards.items(), strict=True
        )
        for part, printed in parts.items()
    ]


def print_totals(title: str, answers: Sequence[Answer]) -> None:
    """The table of totals: |predicted - allocated| in MiB, and how often one is too low."""
    print(f"\n{title}: {len(answers)} rows, all cards of a run together\n")
    print(
        f"{'':32}{'median':>10}{'p95':>10}{'worst':>10}{'under':>8}   MiB; under: by more than "
        f"{UNDER:.1%}"
    )
    for name in ("oomph", *FORMULAS):
        errors = [
            (answer.totals[name] - answer.row.total_mib, answer.row.total_mib) for answer in answers
        ]
        sizes = sorted(abs(error) for error, _ in errors)
        under = sum(error < -UNDER * total for error, total in errors) / len(errors)
        p95 = sizes[min(int(0.95 * len(sizes)), len(sizes) - 1)]
        print(f"{name:32}{median(sizes):10,.1f}{p95:10,.1f}{sizes[-1]:10,.1f}{under:8.1%}")
    there = shutil.which("node-llama-cpp") is not None
    why = (
        "its answer is text for people, which is not read here"
        if there
        else "it is not installed here, and needs a card or its backend"
    )
    print(f"{'node-llama-cpp inspect estimate':32}   not run: {why}")


def print_exact(answers: Iterable[Answer]) -> float:
    """Print how many sizes are equal to what was printed, by component; the share of compute
    buffers."""
    equal: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for answer in answers:
        for part, error, _ in answer.errors:
            seen[part] += 1
            equal[part] += abs(error) <= PRINTED_MIB
    print("\n   sizes equal to what llama.cpp printed, by card:")
    for part, n in seen.items():
        print(f"      {part:18}{equal[part]:6} of {n:6}  {equal[part] / n:7.1%}")
    return equal["compute_bytes"] / max(seen["compute_bytes"], 1)


def print_near(answers: Sequence[Answer]) -> float:
    """Print the real logs' compute buffers by group of rows, and the rows that are not near; the
    share that is."""
    groups: dict[str, list[bool]] = {}
    print(
        f"\n   rows with every card's compute buffer within max({NEAR_MIB:.0f} MiB, "
        f"{NEAR_SHARE:.0%}):"
    )
    for answer in answers:
        compute = [
            (error, printed) for part, error, printed in answer.errors if part == "compute_bytes"
        ]
        near = all(abs(error) <= max(NEAR_MIB, NEAR_SHARE * printed) for error, printed in compute)
        groups.setdefault(answer.row.group, []).append(near)
        if not near:
            print(
                f"      far: {answer.row.label}: "
                f"{', '.join(f'{e:+.2f} of {p:.2f}' for e, p in compute)}"
            )
    for group, found in groups.items():
        print(f"      {group:28}{sum(found):5} of {len(found):5}  {sum(found) / len(found):7.1%}")
    everything = [near for found in groups.values() for near in found]
    return sum(everything) / max(len(everything), 1)


def main(phantom: Path, logs: Path, program: Path, folder: Path) -> bool:
    """Print both tables; whether both goals are met."""
    answers, left_out = Answers(), dict[str, int]()
    allocated = [answers.answer(row) for row in phantom_rows(phantom, program, folder)]
    whole = [answer for answer in allocated if answer.row.is_whole and not answer.row.group]
    print_totals(
        "llama.cpp 0.5.0's CUDA backend, everything on the cards, after the last step", whole
    )
    print(f"\n   every placement: {len(allocated)} rows")
    exact = print_exact(allocated)
    printed = [answers.answer(row) for row in log_rows(logs, left_out)]
    same = [answer for answer in printed if answer.row.has_types and answer.row.is_whole]
    print_totals(
        "Real cards, mainline builds from 2025 on, files of llama-quantize's own mixtures", same
    )
    print(
        f"\n   every mainline log from 2025 on with a known shape and placement: {len(printed)} "
        "rows"
    )
    near = print_near(printed)
    print_exact(same)
    print("\n   left out:")
    for reason, n in left_out.items():
        print(f"      {n:5} {reason}")
    return exact >= EXACT_GOAL and near >= NEAR_GOAL


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    sys.exit(not main(*map(Path, sys.argv[1:])))
