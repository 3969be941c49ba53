"""Makes the shipped coefficients from a folder of public rows.

Stands apart from `learn`, which fits, and `held_out`, which says how far to believe it: this joins the two, adds what
the memory rows say of CUDA contexts, and counts the sources. Run by `scripts/learn_defaults DIR`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from oomph.errors import UnknownNameError
from oomph.estimate.card import card_facts
from oomph.estimate.coefficients import GENERATIONS, Coefficients, definitions
from oomph.facts.gpus import GpuSpec, gpu
from oomph.fitting.held_out import LEFT_OUT, Errors, known_widths, nested_coverage, unseen_errors
from oomph.fitting.intervals import conformal_width
from oomph.fitting.learn import as_coefficients, learn
from oomph.fitting.observations import SpeedObservation
from oomph.fitting.public_rows import public_observations, read_rows
from oomph.units import MIB

HOST_WIDTH: Final = 0.7
"""Half width where the host takes part and was not calibrated: a factor of two, a judgement and no measurement."""
CONTEXT_NOISE: Final = 0.1
"""Scatter of the logarithm of a CUDA context between drivers."""


def learned_defaults(folder: Path) -> Coefficients:
    """The coefficients that the rows in `folder` (speed.jsonl, memory.jsonl) teach, ready to be shipped."""
    path = folder / "speed.jsonl"
    rows = public_observations(path)
    undated = public_observations(path, dated=False).observations
    learned = learn(rows.observations)
    coefficients = as_coefficients(learned)
    errors = unseen_errors(rows.observations, undated, learned)
    groups = sorted({o.group for o in undated})
    widths = {group: known_widths(undated, errors, group) | {"host": HOST_WIDTH} for group in groups}
    return replace(
        coefficients,
        values={**coefficients.values, **context_values(folder / "memory.jsonl")},
        interval_widths=widths | {
            "context_bytes": {"generation": conformal_width(context_errors(folder / "memory.jsonl"))}
        },
        seen=_models_by_card(rows.observations),
        covered={"n_depth": (0.0, max(o.n_depth for o in rows.observations))},
        provenance=provenance(rows.observations, rows.left_out, rows.n_rows)
        | {"coverage_of_what_was_left_out": {group: _coverage(undated, errors, group) for group in groups}},
    )  # fmt: skip


def _coverage(asked: Sequence[SpeedObservation], errors: Errors, group: str) -> dict[str, float]:
    """The share of a group's rows covered by what was left out, with widths that did not see it either."""
    found = {name: nested_coverage(asked, errors, group, name) for name in LEFT_OUT}
    return {name: round(each.rows, 3) for name, each in found.items() if each}


def _models_by_card(observations: Sequence[SpeedObservation]) -> dict[str, tuple[str, ...]]:
    seen: dict[str, set[str]] = defaultdict(set)
    for observation in observations:
        seen[observation.card].add(observation.question.model)
    return {card: tuple(sorted(models)) for card, models in sorted(seen.items())}


def context_values(path: Path) -> dict[str, float]:
    """CUDA contexts by generation, from what cards had in use when llama.cpp started on them.

    A desktop or another process only adds, so the least that a card was seen with counts; each generation's factor is
    shrunk towards 1 as its prior says.
    """
    known, found = definitions(), _context_logs(path)
    values = {name: known[name].prior for name in known if name.startswith("memory.")}
    for generation in GENERATIONS:
        values[f"memory.context_factor.{generation}"] = float(np.exp(_shrunk(found.get(generation, []))))
    return values


def context_errors(path: Path) -> list[float]:
    """ln(predicted / seen) of each card's context, predicted from the other cards of its generation."""
    return [
        _shrunk(logs[:i] + logs[i + 1 :]) - seen
        for logs in _context_logs(path).values()
        for i, seen in enumerate(logs)
    ]  # fmt: skip


def _context_logs(path: Path) -> dict[str, list[float]]:
    """By generation, the logarithm of each card's context against the prior's."""
    per_sm = definitions()["memory.context_bytes_per_sm"].prior
    found: dict[str, list[float]] = defaultdict(list)
    for card, least in _least_in_use(read_rows(path)).items():
        found[card_facts(card).generation].append(float(np.log(least / (per_sm * card.sm_count))))
    return found


def _shrunk(logs: Sequence[float]) -> float:
    """Their mean, drawn towards 0 as the prior of a generation's factor says."""
    sd = definitions()[f"memory.context_factor.{GENERATIONS[0]}"].sd
    return sum(logs) / (len(logs) + (CONTEXT_NOISE / sd) ** 2)


MOST_CONTEXT_BYTES: Final = 800 * MIB
"""More in use than any context takes: something else was on the card."""


def _least_in_use(rows: Sequence[Mapping[str, Any]]) -> dict[GpuSpec, float]:
    least: dict[GpuSpec, float] = {}
    for row in rows:
        for name, in_use_mib in _in_use(row):
            try:
                card = gpu(name)
            except UnknownNameError:
                continue
            if 0 < in_use_mib * MIB < MOST_CONTEXT_BYTES:
                least[card] = min(least.get(card, np.inf), in_use_mib * MIB)
    return least


def _in_use(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """(card, MiB in use) as llama.cpp found it at its start, from the device lines of a row."""
    total, free = row.get("gpu_total_mib") or {}, row.get("gpu_free_at_load_mib") or {}
    for name, device in zip(row["gpu"], total, strict=False):
        if device in free:
            yield name, total[device] - free[device]


def provenance(observations: Sequence[SpeedObservation], left_out: Mapping[str, int], n_rows: int) -> dict[str, Any]:
    """Counts by group, card and source, and why rows were left out: what the figures rest on."""
    return {
        "rows": n_rows,
        "kept": len(observations),
        "left_out": dict(left_out),
        "groups": dict(Counter(o.group for o in observations)),
        "cards": dict(Counter(o.card for o in observations).most_common()),
        "models": dict(Counter(o.model for o in observations).most_common()),
        "sources": dict(Counter(o.source for o in observations).most_common()),
    }
