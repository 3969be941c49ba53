"""From how a point went to its record.

Pure: it touches neither process nor file, so each shape of failure can be tested by what it leaves
behind.
"""

import secrets
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from oomph.frozen import frozen
from oomph.measure.energy import energy_of
from oomph.measure.executors import Completed
from oomph.measure.logs.contexts import RIDING, buffers_by_context
from oomph.measure.logs.outcome import SIGKILL_CODES, classify
from oomph.measure.logs.reported import disagreement, read_reported
from oomph.measure.point import Point
from oomph.measure.tasks.grading import grade
from oomph.measure.tasks.items import asked_items
from oomph.measure.worker import protocol
from oomph.measure.worker.ladder import MAD_SCALE
from oomph.records.heading import Tried
from oomph.records.schema import (
    Environment,
    ModelIdentity,
    Outcome,
    Quality,
    Recall,
    Record,
    TaskItem,
    Tasks,
    Timing,
)
from oomph.units import mib

LOG_TAIL: Final = 40
OUTLIER_MADS: Final = 3.5
_LABEL_OF_STAGE: Final = {
    "config": "bad_config",
    "backend": "driver_missing",
    "quality": "bad_config",
}
"""What the worker's own complaint means where the log says no more."""
_FREE: Final = ("free_after_load_bytes", "free_after_context_bytes", "free_after_run_bytes")
"""What CUDA says is left of each card, by llama.cpp's device name."""


@frozen
class Setting:
    """What all records of one run share; `environment` is that of points that do not bring their
    own."""

    sweep: str
    model: ModelIdentity
    environment: Environment
    model_path: str

    def record_of(self, completed: Completed) -> Record:
        """The record of a point that was tried."""
        reported = read_reported(completed.log)
        reply = completed.reply
        return self._record(
            completed.point,
            outcome=self._outcome(completed, disagreement(completed.point.config, reported)),
            started_at=completed.started_at.isoformat(timespec="milliseconds"),
            wall_ns=completed.wall_ns,
            environment=completed.environment or self.environment,
            reported=reported,
            buffers=buffers_by_context(completed.log, RIDING)[0],
            load_ns=reply.get("load_ns"),
            timings=[_timing(raw, completed.conditions) for raw in reply.get("timings", [])],
            memory=list(completed.memory),
            quality=_quality(completed),
            recall=_recall(completed),
            tasks=_tasks(completed),
            conditions=_conditions(completed),
        )

    def skipped(self, point: Point, *, because: str, proof: Tried, at: str) -> Record:
        """The record of a point that was not tried, and the record that shows why it cannot be."""
        outcome = Outcome(label="skipped", message=because, evidence=[f"record {proof.record_id}"])
        return self._record(
            point, outcome=outcome, started_at=at, wall_ns=0, environment=self.environment
        )

    def _record(self, point: Point, **values: Any) -> Record:
        point_id = point.point_id(self.model.header_sha256)
        return Record(
            record_id=f"{point_id}-{secrets.token_hex(4)}",
            point_id=point_id,
            sweep=self.sweep,
            label=point.label,
            model=self.model,
            config=point.config.to_dict(),
            workload={
                **point.workload.model_dump(mode="json"),
                "group": point.group,
                "load_mode": point.load_mode,
            },
            limits=point.limits.model_dump(mode="json"),
            **values,
        )

    def _outcome(self, completed: Completed, disagreed: str | None) -> Outcome:
        if completed.lost:
            return Outcome(label="lost", message=completed.lost)
        if completed.exit_code is None:
            return Outcome(label="refused", message=disagreed) if disagreed else Outcome(label="ok")
        oom_killed = None
        if completed.oom_kills is not None:  # else the kernel does not tell
            oom_killed = completed.oom_kills > 0 and not completed.was_ended
        found = classify(
            completed.exit_code, completed.log, timed_out=completed.timed_out, oom_killed=oom_killed
        )
        stage, said = completed.failure or (None, "")
        label = found.outcome if found.failed else "crash"
        if (
            label == "killed" and completed.was_ended
        ):  # by the parent, which it gave no answer that means anything
            label, said = "crash", said or "the worker said what is no answer, and was ended"
        if label == "crash" and stage in _LABEL_OF_STAGE:
            label = _LABEL_OF_STAGE[stage]
        if not said and completed.exit_code == 0:
            said = "the worker ended without an answer"
        if completed.conditions.get("lost_devices"):
            label, said = (
                "device_lost",
                f"{', '.join(completed.conditions['lost_devices'])} stopped answering",
            )
        elif completed.timed_out:
            said = _too_late(completed)
        limit = completed.point.limits.memory_bytes
        limited = (
            f"this ran under limits.memory_bytes = {mib(limit)}"
            if limit and label == "host_oom"
            else ""
        )
        return Outcome(
            label=label,
            stage=found.stage or stage,
            message="; ".join(filter(None, (said, limited, found.advice if found.failed else ""))),
            evidence=[*_counted(completed, label), *map(self._redact, found.evidence)],
            exit_code=completed.exit_code,
            asked_mib=found.refusal.asked_mib if found.refusal else None,
            short_mib=found.refusal.short_mib if found.refusal else None,
            log_tail=[self._redact(line) for line in completed.log[-LOG_TAIL:]],
        )

    def _redact(self, line: str) -> str:
        """The line with the model's place on this machine left out: records are published."""
        return line.replace(self.model_path, self.model.path)


def _counted(completed: Completed, label: str) -> list[str]:
    """The kernel's own word, where a worker was killed and nothing else says for what."""
    if label != "host_oom" or completed.exit_code not in SIGKILL_CODES or not completed.oom_kills:
        return []
    return [
        f"oom_kill rose by {completed.oom_kills} in {completed.oom_kills_by} while the worker lived"
    ]


def _too_late(completed: Completed) -> str:
    timeouts = completed.point.timeouts
    what, limit = ("point", timeouts.point) if completed.loaded else ("load", timeouts.load)
    return f"the {what} took longer than its limit of {limit}"


def _conditions(completed: Completed) -> dict[str, Any]:
    """What the probes saw, with what puts a figure in doubt gathered over the cards."""
    cards = {
        device: {key: value for key, value in card.items() if key != "energy_readings"}
        for device, card in completed.conditions.get("cards", {}).items()
    }
    return {
        **completed.conditions,
        **({"cards": cards} if cards else {}),
        "context_ns": completed.reply.get("context_ns"),
        "scored_ns": completed.reply.get("scored_ns"),
        "n_filled": completed.reply.get("n_filled"),
        **{key: free for key in _FREE if (free := completed.reply.get(key))},
        "throttle_reasons": _gathered(cards, "throttle", sort=True),
        "other_processes": _gathered(cards, "other_processes"),
    }


def _gathered(cards: Mapping[str, Any], name: str, *, sort: bool = False) -> list[Any] | None:
    """What the cards tell under `name`, together; None where there are cards and none tells."""
    told = [card[name] for card in cards.values() if card[name] is not None]
    if cards and not told:
        return None
    found = [each for one in told for each in one]
    return sorted(set(found)) if sort else found


def _timing(raw: protocol.Timing, conditions: Mapping[str, Any]) -> Timing:
    """A test as it is kept: with its outliers, and the energy that all cards took over its
    samples."""
    said: dict[str, Any] = {key: value for key, value in raw.items() if key != "ended_ns"}
    spans = [
        (end - ns, end) for ns, end in zip(raw["samples_ns"], raw.get("ended_ns", ()), strict=False)
    ]
    energies = [
        energy_of(spans, card.get("energy_readings", ()))
        for card in conditions.get("cards", {}).values()
    ]
    told = [joules for joules in energies if joules is not None]
    energy_j = sum(told) if told and len(told) == len(energies) else None
    return Timing(**said, outliers=outliers(raw["samples_ns"]), energy_j=energy_j)


def outliers(samples: list[int]) -> list[int]:
    """Indices of samples further than 3.5 scaled median absolute deviations from the median; they
    are kept."""
    middle = median(samples)
    spread = MAD_SCALE * median(abs(sample - middle) for sample in samples)
    return [
        index
        for index, sample in enumerate(samples)
        if spread and abs(sample - middle) > OUTLIER_MADS * spread
    ]


def _quality(completed: Completed) -> Quality | None:
    text, said = completed.point.workload.text, completed.reply.get("quality")
    if text is None or said is None:
        return None
    return Quality(text=text.file or "default", n_tokens=len(said["nll_nats"]), **said)


def _recall(completed: Completed) -> Recall | None:
    said = completed.reply.get("recall")
    return Recall.model_validate(said) if said else None


def _tasks(completed: Completed) -> Tasks | None:
    """The items that were asked, graded, also of a point that ended before all were."""
    point, reply = completed.point, completed.reply
    test, answered = point.workload.tasks, reply.get("task_items", ())
    if test is None or (completed.exit_code is not None and not answered):
        return None
    n_ctx = point.config.n_ctx_seq
    asked = asked_items(test, seed=point.workload.seed, n_ctx=n_ctx)
    missing = reply.get("tasks_missing")
    if not asked:
        shortest = min(length for length in test.lengths if length != "full")
        missing = f"no length fits: the shortest is {shortest} tokens, the context has {n_ctx}"
    elif completed.exit_code is not None:
        missing = f"the point ended early: {len(answered)} of {len(asked)} items asked"
    items = [TaskItem(**said, score=grade(said["answer"], said["expected"])) for said in answered]
    return Tasks(items=items, graded_by="rule", missing=missing)
