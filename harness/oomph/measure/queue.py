"""What of a sweep is left to do at one place: the next load, and what needs no try.

Apart from the runner because it only decides; it starts nothing and writes nothing.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import takewhile

from oomph.frozen import frozen
from oomph.measure.accidents import ran_out
from oomph.measure.drift_check import as_repeat, can_anchor
from oomph.measure.executors import Completed
from oomph.measure.plan import Plan
from oomph.measure.pruning import dominates
from oomph.measure.sweep import Point
from oomph.records.heading import Tried
from oomph.records.schema import Record


@frozen
class Task:
    """A load that is being run, and the points of it; with `anchor` the repetition of that record's
    point."""

    queue: "PointQueue"
    points: tuple[Point, ...]
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
        self._finished: dict[str, Tried] = dict(finished)
        self._in_hand = set[str]()
        self._news = True  # whether more may be hopeless than when that was last asked
        self._anchor: Record | None = None
        self._anchored, self._measured_since = time.monotonic(), False
        self._waits_for = {
            point_id: plan.id_of(reference)
            for point_id, point in plan.points.items()
            if (reference := point.reference_point) and not point.is_reference
        }

    def next_task(self) -> Task | None:
        """What to start now; None where all is done or in hand, or waits for a reference that is in
        hand."""
        if (
            self._anchor
            and self._measured_since
            and time.monotonic() - self._anchored > self._anchor_every_s
        ):
            self._anchored, self._measured_since = time.monotonic(), False
            return Task(
                queue=self, points=(self.plan.points[self._anchor.point_id],), anchor=self._anchor
            )
        waiting = [point for point_id, point in self._waiting() if self._is_ready(point_id)]
        if not waiting:
            return None
        head = waiting[0]
        together = tuple(takewhile(lambda point: point.load_key == head.load_key, waiting))
        points = together[:1] if head.fresh_process else together
        self._in_hand |= {self.plan.id_of(point) for point in points}
        return Task(queue=self, points=points)

    def settle(self, record: Record) -> None:
        """Take in the record of a point."""
        self._finished[record.point_id] = record
        self._measured_since = True
        self._anchor = self._anchor or (record if can_anchor(record) else None)

    def give_back(self, task: Task) -> None:
        """Its job has ended; what it left undone waits again."""
        self._in_hand -= {self.plan.id_of(point) for point in task.points}
        self._news = True

    def hopeless(self) -> Iterator[Record]:
        """Records of waiting points that another has shown to need no try."""
        if not (self._prune and self._news):
            return
        self._news = False
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        for _, point in list(self._waiting()):
            if proof := self._proof(point):
                because = (
                    f"{proof.label} ended with {proof.outcome.label}, and this asks for at least "
                    "as much"
                )
                yield self.plan.setting.skipped(point, because=because, proof=proof, at=now)

    def _waiting(self) -> Iterator[tuple[str, Point]]:
        for point_id, point in self.plan.points.items():
            if point_id not in self._finished and point_id not in self._in_hand:
                yield point_id, point

    def _is_ready(self, point_id: str) -> bool:
        """A point that is compared with another comes after it, however that went."""
        reference = self._waits_for.get(point_id)
        return reference is None or reference in self._finished or reference not in self.plan.points

    def _proof(self, point: Point) -> Tried | None:
        """A record that shows that this point cannot run."""
        for record in self._finished.values():
            failed, label = self.plan.points[record.point_id], record.outcome.label
            if ran_out(record) and dominates(
                failed, label, at_load=record.load_ns is None, point=point
            ):
                return record
        return None
