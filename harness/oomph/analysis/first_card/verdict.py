"""The verdict on a card's first day: predicted before, beside measured and calibrated.

Everything is read back from the results folder, so that a protocol which was stopped and taken up
again has the same verdict as one that ran through.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from oomph.analysis.first_card.predictions import (
    did_work,
    held_against,
    is_sealed,
    read_frontiers,
    read_outcomes,
    read_predictions,
    setting_of,
)
from oomph.calibrate.comparison import Comparison, compare, measured_vram_bytes
from oomph.calibrate.fit import fit_models
from oomph.calibrate.result import FitResult
from oomph.calibrate.sample import Part
from oomph.errors import FitError
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import is_card
from oomph.frozen import frozen
from oomph.measure.first_card.journal import Journal, JournalEntry
from oomph.measure.first_card.protocol import Protocol
from oomph.measure.first_card.visit import ballast_folder
from oomph.records.schema import CardConditions, Record
from oomph.records.store import Store
from oomph.units import MIB

EstimatorOf = Callable[[Record], Estimator]
"""The estimator, as it was before the card was seen, of the model that a record measured."""
FOLDS: Final = 2


@frozen
class QuantityErrors:
    """How far predictions of one quantity were off: bytes for memory, fractions of the measured
    rate for speed.

    `median` and `worst` are of the absolute error, `bias` is the median of the signed one;
    `coverage` is the share inside the 90 % interval, None where there is none.
    """

    quantity: str
    n: int
    median: float
    worst: float
    bias: float
    coverage: float | None

    @property
    def is_rate(self) -> bool:
        """Whether the errors are fractions."""
        return self.quantity.endswith("_per_s")


@frozen
class Judged:
    """One quantity's errors: `before` the card was seen (None where nothing was said), and
    `calibrated`, of points that the fit did not see (None without a fit). `n_disturbed`
    measurements are left aside in both."""

    quantity: str
    n_disturbed: int
    before: QuantityErrors | None
    calibrated: QuantityErrors | None


@frozen
class FrontierFound:
    """A frontier in what a ballast left: the largest context that ran full, and how the next one up
    ended."""

    step: str
    config: Mapping[str, Any]
    predicted: int | None
    measured: int | None
    failed_n_ctx: int | None
    failed: str | None
    n_probes: int


@frozen
class StageSeen:
    """A setting that was to run out of memory at a stage, how it ended, and the line of the log
    that shows it."""

    step: str
    config: Mapping[str, Any]
    predicted: str
    seen: str
    evidence: str
    n_filled: int | None


@frozen
class Views:
    """One run's memory on the card as each account has it, in bytes; None where one does not tell.

    `nvml_process` is the worker's own, `nvml_device` and `cuda` all of the card less what was there
    before, `buffers` llama.cpp's own lines.
    """

    record: Record
    nvml_process: int | None
    nvml_device: int | None
    cuda: int | None
    buffers: int | None


@frozen
class DayVerdict:
    """All that the protocol brought. `is_sealed` says whether the predictions are those of before
    the first step."""

    records: Sequence[Record]
    ballast_records: Mapping[str, Sequence[Record]]
    steps: Sequence[JournalEntry]
    is_sealed: bool
    errors: Sequence[Judged]
    comparisons: Sequence[Comparison]
    frontiers: Sequence[FrontierFound]
    stages: Sequence[StageSeen]
    views: Sequence[Views]
    facts: Mapping[str, Any] | None
    fit: FitResult | None
    unfitted: str = ""


def verdict(folder: Path, protocol: Protocol, estimator_of: EstimatorOf) -> DayVerdict:
    """What the folder holds, judged; with no record in it everything is empty."""
    records = [record for record in Store(folder).records() if record.conditions.anchor_of is None]
    worked = [record for record in records if did_work(record)]
    ballasts = {
        step.name: list(Store(folder / ballast_folder(step)).records())
        for step in protocol.step
        if step.leave is not None
    }
    journal = Journal(folder)
    comparisons = held_against(read_predictions(folder), _compared(worked, estimator_of), worked)
    fit, unfitted = _fit(_parts(worked, estimator_of))
    calibrated = _held_out(worked, estimator_of) if fit else []
    return DayVerdict(
        records=records,
        ballast_records=ballasts,
        steps=list(journal.entries().values()),
        is_sealed=is_sealed(folder),
        errors=_judged(comparisons, calibrated),
        comparisons=comparisons,
        frontiers=[
            each for step, own in ballasts.items() for each in _frontiers(step, own, folder)
        ],
        stages=[each for step, own in ballasts.items() for each in _stages(step, own, folder)],
        views=[
            _views(record)
            for record in records
            if record.outcome.label == "ok" and record.environment.gpus
        ],
        facts=journal.card_facts(),
        fit=fit,
        unfitted=unfitted,
    )


def _compared(records: Sequence[Record], estimator_of: EstimatorOf) -> list[Comparison]:
    return [
        line for estimator, own in _parts(records, estimator_of) for line in compare(estimator, own)
    ]


def _parts(records: Sequence[Record], estimator_of: EstimatorOf) -> list[Part]:
    """Each model's estimator with its records, in the order of their first."""
    by_model: dict[str, list[Record]] = {}
    for record in records:
        by_model.setdefault(record.model.header_sha256, []).append(record)
    return [(estimator_of(own[0]), own) for own in by_model.values()]


def _fit(parts: Sequence[Part]) -> tuple[FitResult | None, str]:
    try:
        return (fit_models(parts), "") if parts else (None, "there is no record")
    except FitError as error:
        return None, str(error)


def _held_out(records: Sequence[Record], estimator_of: EstimatorOf) -> list[Comparison]:
    """Every point as predicted by a fit that did not see it: points are dealt into halves by their
    ids."""
    found: list[Comparison] = []
    for fold in range(FOLDS):
        asked: list[Record] = []
        others: list[Record] = []
        for record in records:
            is_asked = zlib.crc32(record.point_id.encode()) % FOLDS == fold
            (asked if is_asked else others).append(record)
        fit, _ = _fit(_parts(others, estimator_of))
        if fit is not None:
            for estimator, own in _parts(asked, estimator_of):
                found += compare(estimator.changed(coefficients=fit.coefficients), own)
    return found


def _judged(before: Sequence[Comparison], calibrated: Sequence[Comparison]) -> list[Judged]:
    """Both sides of each quantity that was predicted, and of rates, over the same measurements
    where it was."""
    prior = {_key(each) for each in before}
    rates = (each for each in calibrated if each.quantity.endswith("_per_s"))
    quantities = dict.fromkeys(each.quantity for each in (*before, *rates))
    judged = []
    for quantity in quantities:
        told = [each for each in before if each.quantity == quantity]
        after = [
            each
            for each in calibrated
            if each.quantity == quantity and (not told or _key(each) in prior)
        ]
        judged.append(
            Judged(
                quantity=quantity,
                n_disturbed=sum(each.is_disturbed for each in told or after),
                before=_errors(quantity, told),
                calibrated=_errors(quantity, after),
            )
        )
    return judged


def _key(comparison: Comparison) -> tuple[object, ...]:
    return comparison.record_id, comparison.quantity, comparison.device, comparison.n_depth


def _errors(quantity: str, comparisons: Sequence[Comparison]) -> QuantityErrors | None:
    own = [each for each in comparisons if each.measured and not each.is_disturbed]
    if not own:
        return None
    is_rate = quantity.endswith("_per_s")
    errors = [(each.predicted - each.measured) / (each.measured if is_rate else 1) for each in own]
    told = [each for each in own if each.lower is not None and each.upper is not None]
    inside = [each for each in told if (each.lower or 0) <= each.measured <= (each.upper or 0)]
    return QuantityErrors(
        quantity=quantity,
        n=len(own),
        median=median(map(abs, errors)),
        worst=max(map(abs, errors)),
        bias=median(errors),
        coverage=len(inside) / len(told) if told else None,
    )


def _frontiers(step: str, records: Sequence[Record], folder: Path) -> list[FrontierFound]:
    predicted, found = read_frontiers(folder), []
    searches: dict[str, list[Record]] = {}
    for record in records:
        if record.sweep == "frontier":
            searches.setdefault(setting_of(record.config), []).append(record)
    for setting, probes in searches.items():
        ran = [int(record.config["n_ctx"]) for record in probes if record.outcome.label == "ok"]
        failed = [record for record in probes if record.outcome.label != "ok"]
        first = min(failed, key=lambda record: int(record.config["n_ctx"]), default=None)
        found.append(
            FrontierFound(
                step=step,
                config=probes[0].config,
                predicted=predicted.get((step, setting)),
                measured=max(ran, default=None),
                failed_n_ctx=int(first.config["n_ctx"]) if first else None,
                failed=first.outcome.label if first else None,
                n_probes=len(probes),
            )
        )
    return found


def _stages(step: str, records: Sequence[Record], folder: Path) -> list[StageSeen]:
    predicted = read_outcomes(folder)
    found = []
    for record in records:
        key = (step, setting_of(record.config), int(record.config["n_ctx"]))
        if record.sweep != "frontier" and key in predicted:
            found.append(
                StageSeen(
                    step=step,
                    config=record.config,
                    predicted=predicted[key],
                    seen=record.outcome.label,
                    evidence=next(iter(record.outcome.evidence), ""),
                    n_filled=record.conditions.n_filled,
                )
            )
    return found


def _views(record: Record) -> Views:
    card = record.conditions.cards.get("CUDA0", CardConditions())
    usable, peak = (
        record.environment.gpus[0].get("usable_bytes"),
        measured_vram_bytes(record).get("CUDA0"),
    )
    free = record.conditions.free_after_run_bytes.get("CUDA0")
    idle, most = card.idle_bytes, card.most_used_bytes
    kinds = ("model_mib", "kv_cache_mib", "recurrent_mib", "compute_mib", "output_mib")
    printed = [
        size_mib
        for kind in kinds
        for device, size_mib in record.buffer_mib(kind).items()
        if is_card(device)
    ]
    return Views(
        record=record,
        nvml_process=peak if card.vram_method == "per_process" else None,
        nvml_device=None if most is None or idle is None else most - idle,
        cuda=None if usable is None or free is None or idle is None else usable - free - idle,
        buffers=round(sum(printed) * MIB) if printed else None,
    )
