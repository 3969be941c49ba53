"""What records hold of tasks, by setting: items gathered, and scored by task and length.

A setting is every knob but n_ctx: an item of 4,096 tokens is the same in a context of 8,192 and of
131,072, so that settings pair over contexts. An item that was asked in several contexts of one
setting counts once, as the smallest context answered it.
"""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any, Final

from oomph.frozen import frozen
from oomph.quality.intervals import Interval, mean_interval, wilson
from oomph.records.grouping import grouped, knob_set, model_key
from oomph.records.schema import Record, TaskItem
from oomph.records.summary import RecordSummary

RIGHT: Final = 1.0
"""The score of an item that is right."""
OTHER_KNOBS: Final = frozenset({"n_ctx", "n_threads", "n_threads_batch", "load_mode"})
"""Knobs that tell no two settings of tasks apart."""


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """The items that one setting of one model was asked on one machine.

    `knobs` are the setting's, those left to the model left out; `n_expert_used` is None for a dense
    model. `items` are by their id, `summaries` the records that hold them, smallest context first.
    """

    knobs: Mapping[str, Any]
    n_expert_used: int | None
    items: Mapping[str, TaskItem]
    summaries: tuple[RecordSummary, ...]

    @property
    def first(self) -> Record:
        """The record of the smallest context."""
        return self.summaries[0].record

    @property
    def graded_by(self) -> str:
        """Who gave the scores: `rule`, or a grader's name."""
        tasks = self.first.tasks
        return tasks.graded_by if tasks else ""

    @property
    def missing(self) -> tuple[str, ...]:
        """Why not all was asked, as the records say."""
        said = (each.record.tasks.missing for each in self.summaries if each.record.tasks)
        return tuple(dict.fromkeys(why for why in said if why))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The lengths asked for, in tokens; empty where a grader gave none."""
        return tuple(sorted({i.n_tokens for i in self.items.values() if i.n_tokens is not None}))

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """The tasks' names, in the order of the items."""
        return tuple(dict.fromkeys(item.task for item in self.items.values()))

    def of(self, *, task: str | None = None, n_tokens: int | None = None) -> list[TaskItem]:
        """The items of a task, of a length, of both; None is every one."""
        return [
            item
            for item in self.items.values()
            if (task is None or item.task == task)
            and (n_tokens is None or item.n_tokens == n_tokens)
        ]


@frozen
class Score:
    """How items were answered: `right` is the share with score 1 and `mean` the mean score, each
    with its 95 % interval."""

    n: int
    n_right: int
    right: float
    right_interval: Interval
    mean: float
    mean_interval: Interval


def score_of(items: Sequence[TaskItem]) -> Score | None:
    """The score of these items, each counting alike; None of no item."""
    if not items:
        return None
    scores = [item.score for item in items]
    n_right = sum(score == RIGHT for score in scores)
    return Score(
        n=len(items),
        n_right=n_right,
        right=n_right / len(items),
        right_interval=wilson(n_right, len(items)),
        mean=fmean(scores),
        mean_interval=mean_interval(scores),
    )


def task_runs(summaries: Iterable[RecordSummary]) -> list[TaskRun]:
    """The settings that were asked tasks, those with the fewest experts first."""
    asked = [each for each in summaries if each.record.tasks and each.record.tasks.items]
    runs = [_run(own) for own in grouped(asked, _key).values()]
    return sorted(runs, key=lambda run: run.n_expert_used or 0)


def _run(summaries: Sequence[RecordSummary]) -> TaskRun:
    ordered = sorted(summaries, key=lambda each: each.n_ctx)
    items: dict[str, TaskItem] = {}
    for each in ordered:
        for item in each.record.tasks.items if each.record.tasks else ():
            items.setdefault(item.item, item)
    return TaskRun(
        knobs=setting_knobs(ordered[0]),
        n_expert_used=ordered[0].n_expert_used,
        items=items,
        summaries=tuple(ordered),
    )


def setting_knobs(summary: RecordSummary) -> dict[str, Any]:
    """The knobs that tell settings of tasks apart; experts as llama.cpp took them."""
    told = summary.record.config | {"n_expert_used": summary.n_expert_used}
    return {knob: v for knob, v in told.items() if v is not None and knob not in OTHER_KNOBS}


def _key(summary: RecordSummary) -> Hashable:
    record = summary.record
    graded_by = record.tasks.graded_by if record.tasks else ""
    return _place(record), graded_by, run_name(record), knob_set(setting_knobs(summary))


def run_name(record: Record) -> str:
    """What tells two imported runs of one model apart, whose tool says nothing of their settings;
    empty for records of oomph."""
    return str(record.workload.get("run") or "")


def _place(record: Record) -> Hashable:
    return model_key(record.model), record.environment.machine, record.environment.backend


def named_reference(run: TaskRun) -> Mapping[str, Any] | None:
    """The knobs of the setting that the run's sweep compares it with; None where it names none."""
    said = (each.record.workload.get("tasks") or {} for each in run.summaries)
    return next((each["reference"] for each in said if each.get("reference")), None)


def reference_of(run: TaskRun, runs: Sequence[TaskRun]) -> TaskRun | None:
    """The setting to compare a run with: the one that its sweep names, of the same model in the
    same place; where it names none, the first of `runs` that was asked any of its items. None for
    the reference itself and where there is none."""
    named = named_reference(run)
    if named is None:
        first = next((each for each in runs if each.items.keys() & run.items.keys()), run)
        return None if first is run else first
    wanted = {k: v for k, v in {**run.knobs, **named}.items() if k not in OTHER_KNOBS}
    own = knob_set({knob: value for knob, value in wanted.items() if value is not None})
    if own == knob_set(run.knobs):
        return None
    place = _place(run.first)
    return next(
        (each for each in runs if _place(each.first) == place and knob_set(each.knobs) == own), None
    )


def cells(run: TaskRun) -> Iterator[tuple[str, int | None, Score]]:
    """Every task at every length, in that order."""
    for task in run.tasks:
        for n_tokens in run.lengths or (None,):
            if score := score_of(run.of(task=task, n_tokens=n_tokens)):
                yield task, n_tokens, score
