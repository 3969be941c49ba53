"""Takes a sweep through executors into a store, a record at a time.

`Runner.run` is a generator: each record is on the disk before it is yielded, so a progress bar, a
notebook and a test are the same loop, and whatever ends it (an interrupt, an error, a power cut)
loses the points in hand at most. Who leaves the loop early closes the generator, which ends the
workers: an exception that leaves it keeps the generator alive.
"""

import math
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from oomph.measure.accidents import Standing, standing
from oomph.measure.drift_check import is_repeat
from oomph.measure.executors import Executor
from oomph.measure.limits import Expect
from oomph.measure.plan import Place, Plan, Subject, open_subject, plan_sweep
from oomph.measure.point import Point
from oomph.measure.pool import WorkerPool
from oomph.measure.queue import PointQueue, Task
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.heading import Heading
from oomph.records.schema import Environment, Record
from oomph.records.store import Store


class Runner:
    """Runs sweeps into `store`: one job after another on an executor of the machine that
    `environment` describes, or side by side at several places, each of which measures every point,
    `at_once` at most.

    `model` stands in for the sweep's own, as a path or opened already; `known_as` names it in the
    records, where the file is a stand-in in a folder of this machine. `prune=False` tries what
    cannot fit, too; `again` measures points that have a record, too. `expect` says how long points
    are expected to take: their timeouts are scaled by it.
    """

    def __init__(  # noqa: PLR0913 - what a sweep can be told
        self,
        store: Store,
        where: Executor | Sequence[Place],
        *,
        model: Subject | Path | str | None = None,
        prune: bool = True,
        environment: Environment | None = None,
        known_as: str | None = None,
        again: bool = False,
        expect: Expect | None = None,
        at_once: int | None = None,
    ) -> None:
        self._store, self._prune, self._again, self._expect = store, prune, again, expect
        self._model, self._known_as = model, known_as
        self._places = (
            tuple(where)
            if isinstance(where, Sequence)
            else (Place(executor=where, environment=environment or read_environment()),)
        )
        room = sum(place.at_once for place in self._places)
        self._at_once = min(at_once or room, room)
        self._opened: tuple[Sweep, Subject] | None = None
        self._planned: tuple[Sweep, list[Plan]] | None = None
        self._stands: dict[int, tuple[int, Plan, Standing[Heading]]] = {}

    def pending(self, sweep: Sweep) -> tuple[Point, ...]:
        """The points that the store has no record of yet, place by place, in the order in which
        they will be tried."""
        plans = self._plans(sweep)
        return tuple(
            plan.points[point_id]
            for plan, finished in zip(plans, map(self._finished, plans), strict=True)
            for point_id in plan.points
            if point_id not in finished
        )

    def n_points(self, sweep: Sweep) -> int:
        """How many points the sweep has over all places."""
        return sum(len(plan.points) for plan in self._plans(sweep))

    def n_pending(self, sweep: Sweep) -> int:
        """How many points the store has no record of yet, over all places."""
        return sum(len(plan.points) - len(self._finished(plan)) for plan in self._plans(sweep))

    def finished(self, sweep: Sweep) -> tuple[Record, ...]:
        """The records that the store has of the sweep's points, measured here."""
        plans = self._plans(sweep)
        ids = {each.record_id for plan in plans for each in self._finished(plan).values()}
        found = {r.record_id: r for r in self._store.records() if r.record_id in ids} if ids else {}
        return tuple(
            found[each.record_id] for plan in plans for each in self._finished(plan).values()
        )

    def again(self, sweep: Sweep) -> Counter[str]:
        """How many points are tried again, by the reason: their records tell of accidents, not of
        configurations."""
        return sum((self._standing(plan).again for plan in self._plans(sweep)), Counter[str]())

    def run(self, sweep: Sweep) -> Generator[Record, None, None]:
        """Measure what is pending, yielding each record once it is on the disk.

        Raises StoreError, ConfigError or ModelFileError before the first worker starts; StoreError
        when the disk fills or the records' file is not the one that was opened, and ModelFileError
        when the model's file changes. A point that fails is a record.
        """
        plans, every_s = self._plans(sweep), sweep.file.anchor_every_s
        deadline = time.monotonic() + (sweep.file.sweep_timeout_s or math.inf)
        pool = WorkerPool[Task]()
        with self._store as store, pool:
            queues = [
                PointQueue(plan, self._finished(plan), prune=self._prune, anchor_every_s=every_s)
                for plan in plans
            ]
            while True:
                for queue in queues:
                    for record in queue.hopeless():
                        store.append(record)
                        queue.settle(record)
                        yield record
                    if time.monotonic() < deadline:
                        self._start(pool, queue)
                if not pool.tasks:
                    return
                task, completed = pool.take()
                if completed is None:
                    task.queue.give_back(task)
                    continue
                # replaced during the load, the record would name another
                task.queue.plan.check_model()
                record = task.record_of(completed)
                store.append(record)
                if task.anchor is None:
                    task.queue.settle(record)
                yield record
                if time.monotonic() >= deadline:
                    pool.let_end()

    def _start(self, pool: WorkerPool[Task], queue: PointQueue) -> None:
        """Start what the queue's place has room for."""
        place = queue.plan.place
        while (
            len(pool.tasks) < self._at_once
            and sum(task.queue is queue for task in pool.tasks) < place.at_once
            and (task := queue.next_task())
        ):
            queue.plan.check_model(before_load=True)
            pool.start(task, place.executor, queue.plan.job(tuple(task.points.values())))

    def _plans(self, sweep: Sweep) -> list[Plan]:
        """The sweep's plans, made once: those of many points take seconds."""
        if self._planned is None or self._planned[0] is not sweep:
            subject = self._open(sweep)
            plans = [
                plan_sweep(sweep, subject, place, expect=self._expect) for place in self._places
            ]
            self._planned = (sweep, plans)
        return self._planned[1]

    def _open(self, sweep: Sweep) -> Subject:
        if isinstance(self._model, Subject):
            return self._model
        # hashing a large model takes seconds
        if self._opened is None or self._opened[0] is not sweep:
            self._opened = (sweep, open_subject(sweep, model=self._model, known_as=self._known_as))
        return self._opened[1]

    def _finished(self, plan: Plan) -> dict[str, Heading]:
        """Records of the plan's points that were measured at its place.

        A point whose machine was lost is not finished, nor one that ended in an accident too few
        times, nor, without pruning, one that was skipped, nor a reference that others wait for and
        whose log-probabilities were not kept.
        """
        found = self._standing(plan).finished
        unkept = plan.unkept(found)
        return {
            point_id: record
            for point_id, record in found.items()
            if point_id not in unkept or record.outcome.label != "ok"
        }

    def _standing(self, plan: Plan) -> Standing[Heading]:
        """What every record of the plan's points that counts here comes to, read again only where
        the file has grown since."""
        n_bytes = self._store.n_bytes
        kept = self._stands.get(id(plan.place))
        if kept is None or kept[0] != n_bytes or kept[1] is not plan:
            kept = n_bytes, plan, standing(self._records_of(plan))
            self._stands[id(plan.place)] = kept
        return kept[2]

    def _records_of(self, plan: Plan) -> Iterator[Heading]:
        unfinished = ("lost",) if self._prune else ("lost", "skipped")
        ids = frozenset(plan.points)
        for record in () if self._again else self._store.headings(ids):
            if (
                not is_repeat(record)
                and record.point_id in ids
                and plan.place.holds(record)
                and record.outcome.label not in unfinished
            ):
                yield record
