"""Errors on rows that a fit did not see, and the widths of the intervals that follow.

Stands apart from `learn`, which fits: a width is honest only where neither the row that it is held
to, nor what is alike, was in the fit. What is alike depends on what a question leaves unknown, so
each kind of knowledge has a label that is left out in turn. Doubted rows tell no width.
"""

import math
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Final

from bench.train.learn import Learned, fits_without, held_out_errors

from oomph.calibrate.intervals import conformal_width, coverage
from oomph.calibrate.observations import SpeedObservation
from oomph.estimate.speed_prefill import uses_int8

Label = Callable[[SpeedObservation], str]
Errors = Mapping[str, Sequence[float]]
"""ln(predicted / measured) of every row by what was left out; NaN where nothing of its kind
remained to learn from."""

ROW_FOLDS: Final = 40
"""Parts into which rows are dealt, to hold out some settings of a known model on a known card."""


def row_of(observation: SpeedObservation) -> str:
    """Left out to ask for other settings of a model that was measured on the card."""
    text = f"{observation.card} {observation.model} {observation.source} {observation.label}"
    return str(zlib.crc32(text.encode()) % ROW_FOLDS)


def pair_of(observation: SpeedObservation) -> str:
    """Left out to ask for a known model on a known card, where the two never met."""
    return f"{observation.card} {model_of(observation)}"


def card_of(observation: SpeedObservation) -> str:
    """Left out to ask for a card never seen."""
    return observation.card


def model_of(observation: SpeedObservation) -> str:
    """Left out to ask for a model never seen, in whatever quantization."""
    return observation.model.partition(":")[0]


LEFT_OUT: Final[Mapping[str, Label]] = {
    "row": row_of,
    "model on card": pair_of,
    "card": card_of,
    "model": model_of,
}
"""What is left out in turn, by name."""
TELLS: Final[Mapping[str, tuple[str, ...]]] = {
    "model on card": ("row",),
    "model elsewhere": ("model on card", "card"),
    "new model": ("model",),
}
"""Which of them tell the width for what is known of a question: a card's other models say little of
a further one."""


def unseen_errors(
    observations: Sequence[SpeedObservation], whole: Learned
) -> dict[str, list[float]]:
    """The errors of the observations with each of `LEFT_OUT` left out of them in turn.

    `whole` is the fit of them all, to begin from.
    """
    found: dict[str, list[float]] = {}
    for name, label in LEFT_OUT.items():
        errors = held_out_errors(observations, label, fits_without(observations, label, whole))
        found[name] = where_kin_remains(observations, errors) if name == "model" else errors
    return found


def where_kin_remains(
    observations: Sequence[SpeedObservation], errors: Sequence[float]
) -> list[float]:
    """Without the rows whose model is the only one with its kind of kernel on its generation of
    cards.

    The fit of all rows has seen every kind that a new model can ask for; one without that model has
    not.
    """
    models: dict[tuple[str, str, str], set[str]] = {}
    for o in observations:
        models.setdefault(_kernels_of(o), set()).add(model_of(o))
    return [
        error if len(models[_kernels_of(o)]) > 1 else math.nan
        for o, error in zip(observations, errors, strict=True)
    ]


def _kernels_of(observation: SpeedObservation) -> tuple[str, str, str]:
    """What runs on which generation: prompts on int8 or in 16 bits, and one token at a time."""
    card, year = observation.question.card, observation.question.build_year
    assert card is not None, "rows of tables are of cards"
    in_16_bits = "f16" in observation.question.on_card.dense_flops or not uses_int8(card, year)
    return (
        observation.group,
        card.generation,
        "" if observation.test == "decode" else "16" if in_16_bits else "8",
    )


def known_widths(asked: Sequence[SpeedObservation], errors: Errors, group: str) -> dict[str, float]:
    """Half widths of a group by what is known of a question; the widest of them for knowledge that
    no row tells of.

    Empty where the group has none but doubted rows.
    """
    told = {known: _errors_of(asked, errors, group, names) for known, names in TELLS.items()}
    widths = {known: _width(found, known) for known, found in told.items() if found}
    return dict.fromkeys(TELLS, max(widths.values())) | widths if widths else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How an interval held for what was left out when its width was chosen without that too.

    `rows` is the share of rows that it covered, `labels` the mean of the shares of each label,
    `width` the median half width.
    """

    rows: float
    labels: float
    width: float


def nested_coverage(
    asked: Sequence[SpeedObservation], errors: Errors, group: str, left_out: str
) -> Coverage | None:
    """The coverage of a group with what `left_out` names left out; None where it has one label
    only."""
    known, names = next((known, names) for known, names in TELLS.items() if left_out in names)
    by_label: dict[str, list[_Unseen]] = {}
    for each in _errors_of(asked, errors, group, names):
        by_label.setdefault(LEFT_OUT[left_out](each.row), []).append(each)
    found: list[tuple[float, int, float]] = []
    for label, own in by_label.items():
        others = [each for other, rows in by_label.items() if other != label for each in rows]
        mine = [each.error for each in own if each.left_out == left_out]
        if others and mine:
            width = _width(others, known)
            found.append((coverage(mine, width), len(mine), width))
    if not found:
        return None
    shares, counts, widths = zip(*found, strict=True)
    rows = sum(share * n for share, n in zip(shares, counts, strict=True)) / sum(counts)
    return Coverage(rows=rows, labels=mean(shares), width=median(widths))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unseen:
    """A row's error with `left_out` left out."""

    row: SpeedObservation
    left_out: str
    error: float


def _errors_of(
    asked: Sequence[SpeedObservation], errors: Errors, group: str, names: Sequence[str]
) -> list[_Unseen]:
    return [
        _Unseen(row=row, left_out=name, error=error)
        for name in names
        for row, error in zip(asked, errors[name], strict=True)
        if row.group == group and math.isfinite(error) and not row.is_doubted
    ]


def _width(found: Sequence[_Unseen], known: str) -> float:
    """Rows count as they would be asked for: each where a sweep is completed, as in the fit where
    card and model meet.

    Where models are new, halfway between each row and each model once: two models have most of the
    rows.
    """
    of_model = Counter(model_of(each.row) for each in found)
    weights = {
        "model on card": [1.0 for _ in found],
        "model elsewhere": [each.row.weight for each in found],
        "new model": [of_model[model_of(each.row)] ** -0.5 for each in found],
    }
    return conformal_width([each.error for each in found], weights[known])
