"""Takes a sweep through an executor into a store, a record at a time.

`Runner.run` is a generator: each record is on the disk before it is yielded, so a progress bar, a notebook and a test
are the same loop, and whatever ends it (an interrupt, an error, a power cut) loses the point in hand at most.
"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Final

from oomph.errors import ConfigError
from oomph.facts.gguf import GGUFFile, read_gguf
from oomph.facts.modelspec import ModelSpec, spec_from_gguf
from oomph.facts.remote import is_remote
from oomph.measure.anchor import as_repeat, can_anchor, is_repeat
from oomph.measure.executors import Executor, Job
from oomph.measure.pruning import dominates
from oomph.measure.recording import Setting
from oomph.measure.sweep import Point, Sweep
from oomph.models.demo import demo_model, ranking_text
from oomph.models.download import download_model
from oomph.records.environment import physical_cores, read_environment
from oomph.records.schema import Environment, ModelIdentity, Record
from oomph.records.store import Store

DEMO: Final = "demo"
"""The `model` of a sweep that means the demo model, made on first use."""
HASHED_BYTES: Final = 2 * 1024**3
"""Up to this size a model file is hashed whole; beyond it its header, its size and its name identify it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A sweep with its model opened: everything that must be right before the first worker starts."""

    points: Mapping[str, Point]
    spec: ModelSpec
    path: Path
    texts: Mapping[str | None, str]
    setting: Setting

    def job(self, points: tuple[Point, ...]) -> Job:
        """The job that measures these points, which share a load."""
        return Job(
            model_path=self.path, arch=self.spec.arch, points=points, n_threads=physical_cores(), texts=self.texts
        )


class Runner:
    """Runs sweeps into `store`. `model` stands in for the sweep's own; `prune=False` tries what cannot fit, too.

    `again` measures points that have a record, too. `known_as` names the model in the records, where the file is a
    stand-in in a folder of this machine.
    """

    def __init__(
        self, store: Store, executor: Executor, *, model: Path | str | None = None, prune: bool = True,
        environment: Environment | None = None, known_as: str | None = None, again: bool = False,
    ) -> None:  # fmt: skip
        self._store, self._executor, self._prune = store, executor, prune
        self._known_as, self._again = known_as, again
        self._model, self._environment = model, environment or read_environment()

    def pending(self, sweep: Sweep) -> tuple[Point, ...]:
        """The points that the store has no record of yet, in the order in which they will be tried."""
        plan = self._plan(sweep)
        finished = self._finished(plan)
        return tuple(point for point_id, point in plan.points.items() if point_id not in finished)

    def finished(self, sweep: Sweep) -> tuple[Record, ...]:
        """The records that the store has of the sweep's points, measured here."""
        return tuple(self._finished(self._plan(sweep)).values())

    def run(self, sweep: Sweep) -> Iterator[Record]:
        """Measure what is pending, yielding each record once it is on the disk.

        Raises StoreError, ConfigError or ModelFileError before the first worker starts, and StoreError when the
        disk fills. A point that fails is a record.
        """
        plan = self._plan(sweep)
        started, budget_s = time.monotonic(), sweep.file.sweep_timeout_s
        anchor, anchored = None, started
        with self._store as store:
            finished = self._finished(plan)
            pending = {point_id: point for point_id, point in plan.points.items() if point_id not in finished}
            while pending and (budget_s is None or time.monotonic() - started < budget_s):
                for record in self._next_records(plan, tuple(pending.values()), finished):
                    store.append(record)
                    finished[record.point_id] = record
                    del pending[record.point_id]
                    anchor = anchor or (record if can_anchor(record) else None)
                    yield record
                if anchor and time.monotonic() - anchored > sweep.file.anchor_every_s:
                    repeated = as_repeat(self._measure_again(plan, anchor), first=anchor)
                    store.append(repeated)
                    anchored = time.monotonic()
                    yield repeated

    def _next_records(
        self, plan: _Plan, pending: tuple[Point, ...], finished: Mapping[str, Record]
    ) -> Iterator[Record]:
        """The points at the head of the queue that need no try, or else those of the load at its head."""
        hopeless = [(point, proof) for point in pending if (proof := self._proof(plan, point, finished))]
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        for point, proof in hopeless:
            because = f"{proof.label} ended with {proof.outcome.label}, and this asks for at least as much"
            yield plan.setting.skipped(point, because=because, proof=proof, at=now)
        if hopeless:
            return
        head = pending[0]
        together = tuple(takewhile(lambda point: point.load_key == head.load_key, pending))
        for completed in self._executor.run(plan.job(together[:1] if head.fresh_process else together)):
            yield plan.setting.record_of(completed)

    def _measure_again(self, plan: _Plan, record: Record) -> Record:
        (completed,) = self._executor.run(plan.job((plan.points[record.point_id],)))
        return plan.setting.record_of(completed)

    def _finished(self, plan: _Plan) -> dict[str, Record]:
        """Records of this sweep's points from this machine and these cards; without pruning a skipped point is not
        finished."""
        here = _place(self._environment)
        return {
            record.point_id: record
            for record in self._store.records()
            if not self._again
            and not is_repeat(record)
            and record.point_id in plan.points
            and _place(record.environment) == here
            and (self._prune or record.outcome.label != "skipped")
        }

    def _proof(self, plan: _Plan, point: Point, finished: Mapping[str, Record]) -> Record | None:
        """A record that shows that this point cannot run."""
        if not self._prune:
            return None
        for record in finished.values():
            label = record.outcome.label
            failed = plan.points[record.point_id]
            if label not in ("ok", "skipped", "refused") and dominates(
                failed, label, at_load=record.load_ns is None, point=point
            ):
                return record
        return None

    def _plan(self, sweep: Sweep) -> _Plan:
        reference = str(self._model or sweep.file.model)
        path = self._model_path(sweep, reference)
        file = read_gguf(path)
        spec = spec_from_gguf(file, source=str(path))
        identity = _identity(file, spec, path, self._known_as or reference)
        points = sweep.points(n_devices=len(self._environment.gpus))
        if self._environment.backend == "phantom":  # its kernels do nothing: a speed or a text's score is garbage
            points = tuple(replace(point, workload=point.workload.memory_only()) for point in points)
        _check_experts(points, spec, sweep, reference)
        _check_cards(points, sweep, n_cards=len(self._environment.gpus))
        return _Plan(
            points={point.point_id(identity.header_sha256): point for point in points}, spec=spec, path=path,
            texts=_read_texts(points, sweep), setting=Setting(
                sweep=sweep.name, model=identity, environment=self._environment, model_path=str(path)),
        )  # fmt: skip

    def _model_path(self, sweep: Sweep, reference: str) -> Path:
        if reference == DEMO:
            return demo_model()
        if is_remote(reference):
            return download_model(reference)
        base = sweep.path.parent if sweep.path and self._model is None else Path()
        return (base / Path(reference).expanduser()).resolve()


def _place(environment: Environment) -> tuple[object, ...]:
    """What two records must share to have been measured in the same place."""
    cards = tuple((card.get("name"), card.get("total_bytes")) for card in environment.gpus)
    return (environment.machine, environment.backend, cards)


def _check_experts(points: tuple[Point, ...], spec: ModelSpec, sweep: Sweep, reference: str) -> None:
    """A dense model ignores the override in silence: say so before hours are spent."""
    if not spec.is_moe and any(point.config.n_expert_used is not None for point in points):
        raise ConfigError(
            f"{sweep.path or 'sweep'}: n_expert_used is set, but {reference} is a dense model without experts; "
            "leave that axis out, or name a mixture-of-experts model"
        )


def _check_cards(points: tuple[Point, ...], sweep: Sweep, *, n_cards: int) -> None:
    """llama.cpp takes every card that it sees, so a record that says another number would be wrong."""
    for point in points:
        if point.config.n_devices != n_cards:
            raise ConfigError(
                f"{sweep.path or 'sweep'}: n_devices is {point.config.n_devices} and this machine shows {n_cards} "
                "cards; leave it out to use them all, or choose them with CUDA_VISIBLE_DEVICES or --phantom"
            )


def _identity(file: GGUFFile, spec: ModelSpec, path: Path, reference: str) -> ModelIdentity:
    with path.open("rb") as stream:
        header = hashlib.sha256(stream.read(file.data_offset)).hexdigest()
        stream.seek(0)
        whole = hashlib.file_digest(stream, "sha256").hexdigest() if file.file_bytes <= HASHED_BYTES else None
    return ModelIdentity(
        name=spec.name, path=reference, arch=spec.arch, file_bytes=file.file_bytes, header_sha256=header, sha256=whole
    )


def _read_texts(points: tuple[Point, ...], sweep: Sweep) -> dict[str | None, str]:
    """The texts that the points score, by the name the sweep gives them; None is the one that comes with oomph."""
    names = {point.workload.text.file for point in points if point.workload.text}
    texts: dict[str | None, str] = {}
    for name in names:
        if name is None:
            texts[name] = ranking_text()
            continue
        path = (sweep.path.parent if sweep.path else Path()) / name
        try:
            texts[name] = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}); check measure.text.file") from None
    return texts
