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
from oomph.calibrate.least_squares import Array, solve
from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.parameters import STEP
from oomph.calibrate.speed_fit import CAUCHY
from oomph.errors import FitError
from oomph.estimate.coefficients import Coefficients, definitions
from oomph.estimate.overhead import resident_threads
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
        | {"context_bytes": {"other cards": conformal_width(context_errors(contexts))}},
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


MEASURED: Final = Path(__file__).parent / "measured"
"""Our own tables: the rows that `training_rows` makes of published records in results/."""


def speed_tables(folder: Path) -> list[Path]:
    """The files of speeds in a folder of rows, by name, and our own; FitError where it has none."""
    if found := sorted(folder.glob("speed*.jsonl")):
        return [*found, *sorted(MEASURED.glob("speed*.jsonl"))]
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


_CONTEXT: Final = ("memory.context_base_bytes", "memory.context_bytes_per_thread")


def context_values(contexts: Contexts) -> dict[str, float]:
    """The coefficients of memory; those of CUDA contexts fitted under their priors, each card
    weighing as its noise says."""
    known = definitions()
    values = {name: known[name].prior for name in known if name.startswith("memory.")}
    return values | dict(zip(_CONTEXT, np.exp(_context_fit(contexts)).tolist(), strict=True))


def own_contexts(contexts: Contexts, values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """By card, its own context against what its threads make expect, shrunk as the factor's prior
    and the rows' noise say."""
    own_sd = definitions()["memory.own_context_factor"].sd
    own = {}
    for card, seen in contexts.items():
        expected = values[_CONTEXT[0]] + values[_CONTEXT[1]] * resident_threads(card)
        kept = own_sd**2 / (own_sd**2 + seen.noise**2)
        own[card.name] = {"memory.own_context_factor": float((seen.n_bytes / expected) ** kept)}
    return own


def context_errors(contexts: Contexts) -> list[float]:
    """ln(predicted / seen) of each well-known card's context, predicted from the other cards'."""
    found = []
    for card, seen in contexts.items():
        if seen.noise < WELL_KNOWN:
            others = {other: each for other, each in contexts.items() if other != card}
            (error,) = _log_errors(_context_fit(others), {card: seen})
            found.append(float(error))
    return found


def _context_fit(contexts: Contexts) -> Array:
    """The logarithms of `_CONTEXT`'s values."""
    known = [definitions()[name] for name in _CONTEXT]
    start = np.log([d.prior for d in known])
    if not contexts:
        return start

    def evaluate(x: Array) -> tuple[Array, Array]:
        at = _log_errors(x, contexts)
        slopes = [(_log_errors(x + step, contexts) - at) / STEP for step in np.eye(2) * STEP]
        return at, np.stack(slopes, axis=1)

    own_sd = definitions()["memory.own_context_factor"].sd
    noise = np.array([np.hypot(seen.noise, own_sd) for seen in contexts.values()])
    return solve(
        evaluate,
        start,
        lower=np.log([d.lower for d in known]),
        upper=np.log([d.upper for d in known]),
        prior_sd=np.array([d.sd for d in known]),
        weights=noise**-2,
        noise_sd=1.0,
        robust_scale=CAUCHY,
    ).parameters


def _log_errors(x: Array, contexts: Contexts) -> Array:
    """ln(predicted / seen) of each card's context with these logarithms of `_CONTEXT`'s values."""
    base, per_thread = np.exp(x)
    predicted = [base + per_thread * resident_threads(card) for card in contexts]
    return np.log(predicted) - np.log([seen.n_bytes for seen in contexts.values()])


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
