"""Takes a card through the protocol: a step after the other, within its minutes.

What the measured side cannot know (how long a step takes, where a frontier lies, which setting runs
out at which stage) is asked of a `Foresight`, which is handed in. `Visit.run` is a generator, so a
terminal, a notebook and a test are the same loop, and whatever ends it loses the point in hand at
most.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from oomph.config import RunConfig
from oomph.errors import OomphError, StoreError
from oomph.frozen import frozen
from oomph.measure.ballast import BallastedExecutor, ballasted, door_to, holding
from oomph.measure.bench import Bench
from oomph.measure.executors import Executor
from oomph.measure.first_card.facts import card_facts
from oomph.measure.first_card.journal import FACTS, Journal, JournalEntry
from oomph.measure.first_card.protocol import Protocol as Steps
from oomph.measure.first_card.protocol import Step, provoked_sweep
from oomph.measure.frontier import Frontier, FrontierSearch, Slack
from oomph.measure.nvml import NvmlCard
from oomph.measure.plan import Subject
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.schema import Environment, Record
from oomph.records.store import Store
from oomph.units import gib, size, wait

"""The step before all others, where there is a card."""
FACTS_S: Final = 3.0
LEAST_S: Final = 5.0
"""With less time left nothing is begun."""
TIME_IS_UP: Final = "the time is up; the same command goes on"


@frozen
class Provoked:
    """A setting that is predicted to run out of memory at `stage`: `oom_weights`, `oom_kv` and so
    on."""

    stage: str
    config: RunConfig


class Foresight(Protocol):
    """What is expected, from above; every answer may be wrong, and none decides what is
    recorded."""

    def seconds(self, step: Step, subject: Subject, *, is_there: bool) -> float:
        """How long a step is expected to take, with the making of its model's file unless that is
        there."""

    def slack(self, subject: Subject, usable_bytes: int) -> Slack | None:
        """What a setting leaves of so much memory; None where nothing is known of the card."""

    def provoked(self, step: Step, subject: Subject) -> Sequence[Provoked]:
        """A setting for each stage at which the step's model can run out of the step's memory."""


@frozen
class Opened:
    """A model that is there: `note` says what it took to make it so, empty where it was there."""

    subject: Subject
    note: str = ""


class Models(Protocol):
    """Where the protocol's models come from; both raise OomphError where one cannot be had."""

    def resolve(self, reference: str) -> tuple[Subject, bool]:
        """What a reference names, before its file is made, and whether the file is there
        already."""

    def open(self, reference: str) -> Opened:
        """The same with its file."""


@frozen
class Planned:
    """A step and how long it is expected to take; `done` where an earlier run did it, `why` if it
    is not for here."""

    name: str
    asks: str
    seconds: float | None
    done: bool = False
    why: str = ""


@frozen
class VisitEvent:
    """Something to tell: a step that begins or ends, a record, or a frontier that was found."""

    step: str
    text: str = ""
    record: Record | None = None
    frontier: Frontier | None = None


Ending = Generator[VisitEvent, None, JournalEntry]
"""What happens in a step, and how it ended."""


class Visit:
    """One card (or the CPU, without one) taken through `steps` into `folder` within `minutes`.

    Raises nothing until it is run.
    """

    def __init__(
        self,
        steps: Steps,
        bench: Bench,
        *,
        folder: Path,
        minutes: float,
        foresight: Foresight,
        models: Models,
    ) -> None:
        self._steps, self._bench, self._folder = steps, bench, folder
        self._foresight, self._models = foresight, models
        self._card: NvmlCard | None = bench.cards[0] if bench.cards else None
        share = bench.share(bench.cards[:1], False) if bench.cards else None
        self._executor: Executor = share.executor if share else bench.executor
        self.environment: Environment = share.environment if share else bench.environment
        self._journal = Journal(folder)
        self._ends = time.monotonic() + minutes * 60
        self._pace = 1.0

    def plan(self) -> list[Planned]:
        """Every step in its order, with the time that it is expected to take."""
        done = {name for name, entry in self._journal.entries().items() if entry.state == "done"}
        plan, made = [], set[str]()
        if self._card:
            asks = "what do NVML and CUDA say of the card, and what does a CUDA context take?"
            plan.append(Planned(name=FACTS, asks=asks, seconds=FACTS_S, done=FACTS in done))
        for step in self._steps.step:
            is_done, reference = step.name in done, self._steps.models[step.model]
            try:
                why = self._unfit(step)
                seconds = None if why or is_done else self._seconds(step, is_made=reference in made)
            except OomphError as error:
                why, seconds = str(error), None
            if seconds:
                made.add(reference)
            plan.append(
                Planned(name=step.name, asks=step.asks, seconds=seconds, done=is_done, why=why)
            )
        return plan

    def run(self) -> Generator[VisitEvent, None, None]:
        """What is not done yet. StoreError where the disk does not take it; another OomphError ends
        its step only."""
        steps = {step.name: step for step in self._steps.step}
        for planned in self.plan():
            if planned.done:
                yield VisitEvent(step=planned.name, text="done already")
                continue
            step = steps.get(planned.name)
            seconds = None if planned.why else self._seconds(step) if step else FACTS_S
            if why := planned.why or self._too_late(seconds or 0.0):
                yield self._note(JournalEntry(step=planned.name, state="left out", why=why))
                continue
            started = time.monotonic()
            try:
                entry = yield from self._step(step) if step else self._facts()
            except StoreError:
                raise
            except OomphError as error:
                entry = JournalEntry(step=planned.name, state="failed", why=str(error))
            took = time.monotonic() - started
            if entry.state == "done" and seconds:  # what is slower than foreseen stays slower
                self._pace = max(self._pace, took / seconds)
            yield self._note(replace(entry, seconds=round(took, 1)))

    def _seconds(self, step: Step, *, is_made: bool = False) -> float:
        subject, is_there = self._models.resolve(self._steps.models[step.model])
        return self._foresight.seconds(step, subject, is_there=is_there or is_made)

    def _note(self, entry: JournalEntry) -> VisitEvent:
        self._journal.note(entry)
        text = entry.state + (f" in {wait(entry.seconds)}" if entry.seconds else "")
        text += f": {entry.why}" if entry.why else ""
        return VisitEvent(step=entry.step, text=text)

    def _facts(self) -> Ending:
        assert self._card is not None
        yield VisitEvent(step=FACTS, text="NVML, the driver, and a context that allocates nothing")
        return JournalEntry(step=FACTS, state="done", facts=card_facts(self._bench, self._card))

    def _step(self, step: Step) -> Ending:
        yield VisitEvent(step=step.name, text=step.asks)
        opened = self._models.open(self._steps.models[step.model])
        if opened.note:
            yield VisitEvent(step=step.name, text=opened.note)
        return (
            yield from self._ballast(step, opened.subject)
            if step.leave
            else self._sweep(step, opened.subject)
        )

    def _sweep(self, step: Step, subject: Subject) -> Ending:
        """The sweep's points that have no record yet, as far as the time goes."""
        sweep = step.sweep(str(subject.identity.path))
        runner = self._runner(self._folder, subject, self._executor, self.environment)
        yield from self._measured(step, runner, sweep)
        left = runner.n_pending(sweep)
        why = f"{left} points are left for want of time"
        return (
            JournalEntry(step=step.name, state="stopped", why=why)
            if left
            else JournalEntry(step=step.name, state="done")
        )

    def _measured(self, step: Step, runner: Runner, sweep: Sweep) -> Iterator[VisitEvent]:
        limited = sweep.file.model_copy(update={"sweep_timeout_s": max(1.0, self._left_s())})
        with closing(runner.run(Sweep(file=limited))) as records:
            for record in records:
                yield VisitEvent(step=step.name, record=record)

    def _ballast(self, step: Step, subject: Subject) -> Ending:
        """Frontiers and every stage of running out, in what a ballast leaves of the card."""
        assert self._card is not None
        assert step.leave is not None
        folder = self._folder / ballast_folder(step)
        with holding(door_to(self._bench, self._card), leave_bytes=step.leave) as ballast:
            said = ballast.said
            held, left = size(said["held_bytes"]), size(said["free_bytes"])
            yield VisitEvent(step=step.name, text=f"a ballast holds {held}; CUDA has {left} left")
            executor = BallastedExecutor(self._executor, ballast)
            environment = ballasted(self.environment, ballast, step.leave)
            runner = self._runner(folder, subject, executor, environment)
            search = FrontierSearch(runner, model=subject.identity.path, limit=step.limit)
            slack = self._foresight.slack(subject, said["free_bytes"])
            for provoked in self._foresight.provoked(step, subject):
                if self._left_s() < LEAST_S:
                    return JournalEntry(step=step.name, state="stopped", why=TIME_IS_UP)
                sweep = provoked_sweep(provoked.config, subject.identity.path, stage=provoked.stage)
                yield from self._measured(step, runner, sweep)
            for config in step.configs("frontier"):
                if self._left_s() < LEAST_S:
                    return JournalEntry(step=step.name, state="stopped", why=TIME_IS_UP)
                yield VisitEvent(step=step.name, frontier=search.find(config, slack=slack))
        return JournalEntry(step=step.name, state="done")

    def _runner(
        self, folder: Path, subject: Subject, executor: Executor, environment: Environment
    ) -> Runner:
        return Runner(Store(folder), executor, model=subject, environment=environment)

    def _unfit(self, step: Step) -> str:
        """Why a step is not for this machine, empty where it is."""
        if self._card is None:
            return "it needs a card" if "card" in step.needs else ""
        spec = self._models.resolve(self._steps.models[step.model])[0].spec
        weights, has = spec.n_bytes, self._card.usable_bytes
        if has is None:
            return "" if step.leave is None else "the card does not tell its memory"
        if step.leave is None and weights > has:
            return f"the weights alone take {gib(weights)}, and the card has {gib(has)}"
        if step.leave is not None and step.leave > has:
            return f"the card has {gib(has)} itself"
        return ""

    def _left_s(self) -> float:
        return self._ends - time.monotonic()

    def _too_late(self, seconds: float) -> str:
        """Why a step is not begun, empty where there is time for it."""
        needed, left = max(seconds * self._pace, LEAST_S), self._left_s()
        return (
            f"it would take about {wait(needed)}, and {wait(max(0.0, left))} are left"
            if needed > left
            else ""
        )


def ballast_folder(step: Step) -> str:
    """The folder of a ballast's records within the results'."""
    return "left-" + "-".join(step.name.lower().split())
