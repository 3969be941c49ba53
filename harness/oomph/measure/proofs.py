"""Which waiting points a record has shown to need no try, without comparing each with each.

A record that ran out of memory proves something of points that are like it in what cannot grow
(`pruning.likeness`): only those are held against it, once. Points are sorted by that when the first
such record is there.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import count

from oomph.measure.accidents import ran_out
from oomph.measure.point import Point
from oomph.measure.pruning import KINDS, Likeness, dominates, kind_of, likeness
from oomph.records.heading import Tried


class Proofs:
    """What records of a plan's points prove of others, in the order in which they came."""

    def __init__(self, points: Mapping[str, Point], records: Iterable[Tried]) -> None:
        self._points = points
        self._number = count()
        self._proofs: dict[Likeness, list[tuple[int, Tried]]] = {}
        self._alike: dict[Likeness, list[str]] | None = None
        self._new: list[tuple[Likeness, Tried]] = []
        self._again: dict[str, None] = {}
        for record in records:
            self.add(record)

    def add(self, record: Tried) -> None:
        """Take in a record, if it proves anything."""
        if ran_out(record):
            kind = kind_of(record.outcome.label, at_load=record.load_ns is None)
            like = likeness(self._points[record.point_id], kind)
            self._proofs.setdefault(like, []).append((next(self._number), record))
            self._new.append((like, record))

    def ask_again(self, ids: Iterable[str]) -> None:
        """These points were in hand while others were held against records, and wait again."""
        if self._proofs:
            self._again |= dict.fromkeys(ids)

    def of(self, is_waiting: Callable[[str], bool]) -> dict[str, Tried]:
        """Of the waiting points that were not held against all records yet, those that cannot run,
        each with the first record that shows it."""
        found: dict[str, Tried] = {}
        for point_id in filter(is_waiting, self._again):
            if proof := self._first(self._points[point_id]):
                found[point_id] = proof
        for like, record in self._new:
            for point_id in self._like(like):
                if point_id not in found and is_waiting(point_id) and self._shows(record, point_id):
                    found[point_id] = record
        self._new, self._again = [], {}
        return found

    def _like(self, like: Likeness) -> list[str]:
        """The points that are like it."""
        if self._alike is None:
            self._alike = {}
            for point_id, point in self._points.items():
                for kind in KINDS:
                    self._alike.setdefault(likeness(point, kind), []).append(point_id)
        return self._alike.get(like, [])

    def _first(self, point: Point) -> Tried | None:
        known = [each for kind in KINDS for each in self._proofs.get(likeness(point, kind), [])]
        for _, record in sorted(known, key=lambda each: each[0]):
            if self._dominates(record, point):
                return record
        return None

    def _shows(self, record: Tried, point_id: str) -> bool:
        return self._dominates(record, self._points[point_id])

    def _dominates(self, record: Tried, point: Point) -> bool:
        failed, label = self._points[record.point_id], record.outcome.label
        return dominates(failed, label, at_load=record.load_ns is None, point=point)
