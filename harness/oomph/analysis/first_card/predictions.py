"""What was predicted before a card was seen: on disk, sealed, held against what came.

Predictions are lines of `predictions.jsonl`, written before the first step; the journal keeps the
file's hash, so that a later change shows. A line is keyed by what `compare` keys its own by,
because it is made by `compare` itself, of a record that has no measurement yet.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from oomph.analysis.first_card.expectations import Foreseen
from oomph.calibrate.comparison import Comparison, compare
from oomph.frozen import frozen
from oomph.measure.first_card.journal import Journal, JournalEntry, Lines
from oomph.measure.first_card.protocol import Protocol, Step
from oomph.measure.first_card.visit import Models
from oomph.measure.plan import Subject, as_measurable
from oomph.measure.point import Point
from oomph.measure.worker.ladder import depths_within
from oomph.records.schema import Environment, Record

FILE: Final = "predictions.jsonl"
SEAL: Final = "predictions"
"""The journal's entry of the file's hash."""
_BUFFERS: Final = ("model_mib", "kv_cache_mib", "compute_mib")

Key = tuple[str, str, str, int | None]
"""A point's id, a quantity, a device, a depth."""


class _Line(BaseModel):
    """A line of the file: of a point's quantity, of a frontier, or of a stage."""

    step: str
    quantity: str
    predicted: float | str
    lower: float | None = None
    upper: float | None = None
    point_id: str = ""
    device: str = ""
    n_depth: int | None = None
    setting: str = ""
    n_ctx: int = 0


@frozen
class PriorPrediction:
    """One prediction of a sweep's point; `lower` and `upper` are its 90 % interval, if any."""

    key: Key
    predicted: float
    lower: float | None
    upper: float | None


def write_predictions(
    steps: Sequence[Step],
    protocol: Protocol,
    models: Models,
    foreseen: Foreseen,
    environment: Environment,
    folder: Path,
) -> int:
    """Predict every step that has neither predictions nor an end yet, and seal the file; the number
    of new lines.

    StoreError where the disk does not take them; OomphError where a model cannot be had.
    """
    lines, journal = Lines(folder / FILE), Journal(folder)
    known = {line.step for line in _lines(folder)} | journal.entries().keys()
    fresh = [
        {"step": step.name, "model": subject.identity.path, **line}
        for step in steps
        if step.name not in known
        for subject in [models.resolve(protocol.models[step.model])[0]]
        for line in _predictions(step, subject, foreseen, environment)
    ]
    if fresh:
        lines.append(*fresh)
        journal.note(
            JournalEntry(
                step=SEAL,
                state="done",
                facts={
                    "sha256": _hash(lines.path),
                    "n_lines": len(fresh),
                    "size": protocol.size,
                    "model": protocol.models.get("question"),
                },
            )
        )
    return len(fresh)


def asked_protocol(folder: Path) -> Protocol:
    """The protocol that the predictions were made for: oomph's own, asking about their model."""
    entry = Journal(folder).entries().get(SEAL)
    facts = (entry.facts or {}) if entry else {}
    protocol = Protocol.read("small" if facts.get("size") == "small" else "full")
    model = facts.get("model")
    return protocol.asking(str(model)) if model and "question" in protocol.models else protocol


def is_sealed(folder: Path) -> bool:
    """Whether the predictions are those that the journal sealed."""
    entry, path = Journal(folder).entries().get(SEAL), folder / FILE
    return path.exists() and entry is not None and (entry.facts or {}).get("sha256") == _hash(path)


def read_predictions(folder: Path) -> dict[Key, PriorPrediction]:
    """The predictions of sweeps' points."""
    return {
        key: PriorPrediction(key=key, predicted=line.predicted, lower=line.lower, upper=line.upper)
        for line in _lines(folder)
        if line.point_id and isinstance(line.predicted, float)
        for key in [(line.point_id, line.quantity, line.device, line.n_depth)]
    }


def read_frontiers(folder: Path) -> dict[tuple[str, str], int]:
    """The predicted frontiers, by step and setting (as `setting_of` spells it)."""
    return {
        (line.step, line.setting): int(line.predicted)
        for line in _lines(folder)
        if line.quantity == "frontier_n_ctx" and isinstance(line.predicted, float)
    }


def read_outcomes(folder: Path) -> dict[tuple[str, str, int], str]:
    """The predicted stages at which settings run out of memory, by step, setting and context."""
    return {
        (line.step, line.setting, line.n_ctx): str(line.predicted)
        for line in _lines(folder)
        if line.quantity == "outcome"
    }


def _lines(folder: Path) -> Iterator[_Line]:
    """The predictions that were written down; a line that is none is passed over."""
    for line in Lines(folder / FILE).read():
        with suppress(ValidationError):
            yield _Line.model_validate(line)


def setting_of(config: Mapping[str, Any]) -> str:
    """The knobs of a frontier as one key: all but the context."""
    return " ".join(
        f"{knob}={value}"
        for knob, value in sorted(config.items())
        if knob != "n_ctx" and value is not None
    )


def held_against(
    prior: Mapping[Key, PriorPrediction],
    comparisons: Iterable[Comparison],
    records: Iterable[Record],
) -> list[Comparison]:
    """The comparisons whose prediction was written down before, with that prediction in place of
    their own."""
    point = {record.record_id: record.point_id for record in records}
    found = []
    for each in comparisons:
        before = prior.get((point[each.record_id], each.quantity, each.device, each.n_depth))
        if before is not None:
            found.append(
                replace(each, predicted=before.predicted, lower=before.lower, upper=before.upper)
            )
    return found


def did_work(record: Record) -> bool:
    """Whether its context was used: without a prompt the pool has not grown, which every estimate
    counts."""
    return bool(record.workload.get("n_prompt") or record.workload.get("n_gen"))


def _predictions(
    step: Step, subject: Subject, foreseen: Foreseen, environment: Environment
) -> Iterator[dict[str, Any]]:
    estimator = foreseen.estimator(subject.spec)
    for point in step.points(n_devices=len(environment.gpus)):
        record = unmeasured(as_measurable(point, environment, subject.spec), subject, environment)
        if not did_work(record):
            continue
        for line in compare(estimator, [record]):
            if foreseen.gpu is None and line.quantity.endswith("_per_s"):
                continue  # of a processor nothing is known before it is calibrated
            yield {
                "point_id": record.point_id,
                "label": line.label,
                "quantity": line.quantity,
                "device": line.device,
                "n_depth": line.n_depth,
                "predicted": line.predicted,
                "lower": line.lower,
                "upper": line.upper,
            }
    for provoked in foreseen.provoked(step, subject):
        setting = setting_of(provoked.config.to_dict())
        n_ctx = provoked.config.n_ctx
        yield {
            "quantity": "outcome",
            "setting": setting,
            "n_ctx": n_ctx,
            "predicted": provoked.stage,
        }
    for config in step.configs("frontier"):
        longest = foreseen.frontier(step, subject, config)
        if longest is not None:
            yield {
                "quantity": "frontier_n_ctx",
                "setting": setting_of(config.to_dict()),
                "predicted": longest,
            }


def unmeasured(point: Point, subject: Subject, environment: Environment) -> Record:
    """The record that the point will have, with every quantity that is predicted and no figure of
    its own."""
    workload = point.workload
    stops = depths_within(
        point.config.n_ctx_seq, workload.depths, n_prompt=workload.n_prompt, n_gen=workload.n_gen
    )
    tests = [
        (kind, n)
        for kind, n in (("pp", workload.n_prompt), ("tg", workload.n_gen))
        if n and workload.timing
    ]
    cards = [f"CUDA{index}" for index in range(point.config.n_devices)]
    return Record.model_validate(
        {
            "record_id": "unmeasured",
            "point_id": point.point_id(subject.identity.header_sha256),
            "sweep": point.group,
            "label": point.label,
            "started_at": "",
            "wall_ns": 0,
            "model": subject.identity.model_dump(),
            "config": point.config.to_dict(),
            "workload": workload.model_dump(mode="json"),
            "environment": environment.model_dump(),
            "outcome": {"label": "ok"},
            "timings": [
                {
                    "test": f"{kind}{n}",
                    "n_tokens": n,
                    "n_depth": stop,
                    "n_parallel": point.config.n_parallel,
                    "samples_ns": [1],
                }
                for stop in stops
                for kind, n in tests
            ],
            "memory": [
                {"probe": "nvml", "quantity": "vram", "device": card, "peak_bytes": 0}
                for card in cards
            ]
            + [{"probe": "host", "quantity": "rss", "device": "host", "peak_bytes": 0}],
            "buffers": {part: {card: [0.0] for card in cards or ["CPU"]} for part in _BUFFERS},
        }
    )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
