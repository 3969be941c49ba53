"""Makes the shipped coefficients from a folder of public rows.

Stands apart from `learn`, which fits, and `held_out`, which says how far to believe it: this joins
the two, adds what the memory rows say of CUDA contexts, and counts the sources. Run by
`scripts/learn_defaults DIR`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from bench.train.context_rows import SeenContext, contexts_by_card
from bench.train.held_out import LEFT_OUT, Errors, known_widths, nested_coverage, unseen_errors
from bench.train.learn import as_coefficients, learn
from bench.train.public_rows import public_observations

from oomph.calibrate.intervals import conformal_width
from oomph.calibrate.observations import SpeedObservation
from oomph.errors import FitError
from oomph.estimate.card import card_facts
from oomph.estimate.coefficients import GENERATIONS, Coefficients, definitions
from oomph.estimate.speed import ON_HOST
from oomph.estimate.tested import asked_features
from oomph.gpus import GpuSpec

WELL_KNOWN: Final = 0.2
"""Contexts whose noise is below this say how far a prediction is off."""
FEW_HOSTS: Final = 1.5
"""What widths of hosts with told RAM are multiplied with: rows are of three of them, a judgement.
"""
HOST_WIDTH: Final = 0.7
"""Half width where the host takes part and was not calibrated: a factor of two, a judgement and no
measurement."""


def learned_defaults(folder: Path) -> Coefficients:
    """The coefficients that the rows in `folder` (speed*.jsonl, memory.jsonl, vram-2026.jsonl)
    teach, to be shipped."""
    rows = public_observations(*speed_tables(folder))
    learned = learn(rows.observations)
    errors = unseen_errors(rows.observations, learned)
    groups = sorted({o.group for o in rows.observations})
    widths = {group: _widths(rows.observations, errors, group) for group in groups}
    coefficients, contexts = as_coefficients(learned), contexts_by_card(folder)
    values = {**coefficients.values, **context_values(contexts)}
    own = own_contexts(contexts, values)
    return replace(
        coefficients,
        values=values,
        cards={
            card: {**coefficients.cards.get(card, {}), **own.get(card, {})}
            for card in sorted({*coefficients.cards, *own})
        },
        interval_widths=widths
        | {"context_bytes": {"generation": conformal_width(context_errors(contexts))}},
        seen=_models_by_card(rows.observations),
        tested=_tested(rows.observations),
        covered={"n_depth": (0.0, max(o.n_depth for o in rows.observations))},
        provenance=provenance(rows.observations, rows.left_out, rows.n_rows)
        | {
            "coverage_of_what_was_left_out": {
                group: _coverage(rows.observations, errors, group) for group in groups
            }
        },
    )


def _widths(
    observations: Sequence[SpeedObservation], errors: Errors, group: str
) -> dict[str, float]:
    """A group's half widths by what is known; where a host takes part, by whether its RAM is
    told."""
    known = known_widths(observations, errors, group)
    if group.endswith(ON_HOST):
        return {"host": HOST_WIDTH, "told RAM": max(known.values()) * FEW_HOSTS}
    return known | {"host": HOST_WIDTH}


def _tested(observations: Sequence[SpeedObservation]) -> dict[str, int]:
    """How many rows had each thing that a question may ask for."""
    found: Counter[str] = Counter()
    for o in observations:
        if o.question.card and not o.question.on_card.is_idle:
            found.update(set(asked_features(o.question.card, o.question.on_card, o.test)))
    return dict(sorted(found.items()))


def speed_tables(folder: Path) -> list[Path]:
    """The files of speeds in a folder of rows, by name; FitError where there is none."""
    if found := sorted(folder.glob("speed*.jsonl")):
        return found
    raise FitError(f"{folder}: holds no speed.jsonl; give a folder of public rows")


def _coverage(asked: Sequence[SpeedObservation], errors: Errors, group: str) -> dict[str, float]:
    """The share of a group's rows covered by what was left out, with widths that did not see it
    either."""
    found = {name: nested_coverage(asked, errors, group, name) for name in LEFT_OUT}
    return {name: round(each.rows, 3) for name, each in found.items() if each}


def _models_by_card(observations: Sequence[SpeedObservation]) -> dict[str, tuple[str, ...]]:
    seen: dict[str, set[str]] = defaultdict(set)
    for observation in observations:
        seen[observation.card].add(observation.question.model)
    return {card: tuple(sorted(models)) for card, models in sorted(seen.items())}


Contexts = Mapping[GpuSpec, SeenContext]


def context_values(contexts: Contexts) -> dict[str, float]:
    """The coefficients of memory: CUDA contexts by generation, from those of cards.

    Each generation's factor is shrunk towards 1 as its prior says.
    """
    known, found = definitions(), _context_logs(contexts)
    values = {name: known[name].prior for name in known if name.startswith("memory.")}
    for generation in GENERATIONS:
        values[f"memory.context_factor.{generation}"] = float(
            np.exp(_shrunk(found.get(generation, [])))
        )
    return values


def own_contexts(contexts: Contexts, values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """By card, its own context against its generation's, shrunk as the factor's prior and the rows'
    noise say."""
    own_sd = definitions()["memory.own_context_factor"].sd
    own = {}
    for card, seen in contexts.items():
        generation = values[f"memory.context_factor.{card_facts(card).generation}"]
        expected = values["memory.context_bytes_per_sm"] * card.sm_count * generation
        kept = own_sd**2 / (own_sd**2 + seen.noise**2)
        own[card.name] = {"memory.own_context_factor": float((seen.n_bytes / expected) ** kept)}
    return own


def context_errors(contexts: Contexts) -> list[float]:
    """ln(predicted / seen) of each well-known card's context, predicted from the other cards of its
    generation."""
    return [
        _shrunk(logs[:i] + logs[i + 1 :]) - seen
        for logs in _context_logs(contexts).values()
        for i, (seen, noise) in enumerate(logs)
        if noise < WELL_KNOWN
    ]


def _context_logs(contexts: Contexts) -> dict[str, list[tuple[float, float]]]:
    """By generation, the logarithm of each card's context against the prior's, and its noise."""
    per_sm = definitions()["memory.context_bytes_per_sm"].prior
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for card, seen in contexts.items():
        found[card_facts(card).generation].append(
            (float(np.log(seen.n_bytes / (per_sm * card.sm_count))), seen.noise)
        )
    return found


def _shrunk(logs: Sequence[tuple[float, float]]) -> float:
    """Their mean, each weighing as its noise says, drawn towards 0 as the prior of a generation's
    factor says."""
    sd = definitions()[f"memory.context_factor.{GENERATIONS[0]}"].sd
    weights = [noise**-2 for _, noise in logs]
    return sum(w * log for w, (log, _) in zip(weights, logs, strict=True)) / (sum(weights) + sd**-2)


def provenance(
    observations: Sequence[SpeedObservation], left_out: Mapping[str, int], n_rows: int
) -> dict[str, Any]:
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
