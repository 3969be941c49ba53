"""What of a sweep is left to do at one place: the next load, and what needs no try.

Apart from the runner because it only decides; it starts nothing and writes nothing. A point is
looked at when it is taken, when what it waits for has been measured, and when a record shows what
may hold for it: a sweep of ten times the points takes ten times as long here.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush

from oomph.frozen import frozen
from oomph.measure.drift_check import as_repeat, can_anchor
from oomph.measure.executors import Completed
from oomph.measure.plan import Plan
from oomph.measure.point import Point
from oomph.measure.proofs import Proofs
from oomph.records.heading import Tried
from oomph.records.schema import Record


@frozen
class Task:
    """A load that is being run, and the points of it by their ids; with `anchor` the repetition of
    that record's point."""

    queue: "PointQueue"
    points: Mapping[str, Point]
    anchor: Record | None = None

    def record_of(self, completed: Completed) -> Record:
        """The record of one of its points."""
        record = self.queue.plan.setting.record_of(completed)
        return as_repeat(record, first=self.anchor) if self.anchor else record


class PointQueue:
    """The points of a plan that are not `finished`, in the order of the plan."""

    def __init__(
        self, plan: Plan, finished: Mapping[str, Tried], *, prune: bool, anchor_every_s: float
    ) -> None:
        self.plan, self._prune, self._anchor_every_s = plan, prune, anchor_every_s
        self._finished = set(finished)
        self._in_hand = set[str]()
        self._news = True  # whether more may be hopeless than when that was last asked
        self._proofs = Proofs(plan.points, finished.values())
        self._anchor: Record | None = None
        self._anchored, self._measured_since = time.monotonic(), False
        self._place = {point_id: place for place, point_id in enumerate(plan.points)}
        self._ids = list(plan.points)
        self._next = [place for point_id, place in self._place.items() if point_id not in finished]
        heapify(self._next)  # places in the plan of points that wait, and of some that no longer do
        self._waits_for = {
            point_id: plan.id_of(reference)
            for point_id, point in plan.points.compared()
            if (reference := point.reference_point) and not point.is_reference
        }
        self._held_up: dict[str, list[str]] = {}  # by the reference that they wait for

    def next_task(self) -> Task | None:
        """What to start now; None where all is done or in hand, or waits for a reference that is in
        hand."""
        if (
            self._anchor
            and self._measured_since
            and time.monotonic() - self._anchored > self._anchor_every_s
        ):
            self._anchored, self._measured_since = time.monotonic(), False
            again = self._anchor.point_id
            return Task(queue=self, points={again: self.plan.points[again]}, anchor=self._anchor)
        ids = self._take()
        if not ids:
            return None
        self._in_hand.update(ids)
        return Task(queue=self, points={each: self.plan.points[each] for each in ids})

    def settle(self, record: Record) -> None:
        """Take in the record of a point."""
        self._finished.add(record.point_id)
        self._proofs.add(record)
        self._wait(*self._held_up.pop(record.point_id, ()))
        self._measured_since = True
        self._anchor = self._anchor or (record if can_anchor(record) else None)

    def give_back(self, task: Task) -> None:
        """Its job has ended; what it left undone waits again."""
        self._in_hand.difference_update(task.points)
        undone = [point_id for point_id in task.points if point_id not in self._finished]
        self._wait(*undone)
        self._proofs.ask_again(undone)
        self._news = True

    def hopeless(self) -> Iterator[Record]:
        """Records of waiting points that another has shown to need no try."""
        if not (self._prune and self._news):
            return
        self._news = False
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        found = self._proofs.of(self._is_waiting)
        for point_id in sorted(found, key=self._place.__getitem__):
            proof = found[point_id]
            because = (
                f"{proof.label} ended with {proof.outcome.label}, and this asks for at least "
                "as much"
            )
            point = self.plan.points[point_id]
            yield self.plan.setting.skipped(point, because=because, proof=proof, at=now)

    def _take(self) -> list[str]:
        """The first point that can be measured, and those after it that share its load."""
        head = self._pop_ready()
        if head is None:
            return []
        taken, load = [head], self.plan.points.load_key(head)
        if self.plan.points[head].fresh_process:
            return taken
        while (found := self._pop_ready()) is not None:
            if self.plan.points.load_key(found) != load:
                self._wait(found)
                break
            taken.append(found)
        return taken

    def _pop_ready(self) -> str | None:
        """Take the first waiting point out that waits for no reference; others are laid aside until
        theirs has been measured."""
        while self._next:
            point_id = self._ids[heappop(self._next)]
            if not self._is_waiting(point_id):
                continue
            reference = self._waits_for.get(point_id)
            if reference is None or reference in self._finished:
                return point_id
            if reference not in self.plan.points:
                return point_id
            self._held_up.setdefault(reference, []).append(point_id)
        return None

    def _wait(self, *ids: str) -> None:
        for point_id in ids:
            heappush(self._next, self._place[point_id])

    def _is_waiting(self, point_id: str) -> bool:
        return point_id not in self._finished and point_id not in self._in_hand
