"""One worker per card: jobs side by side on one machine, each on all the cards it asks for.

A worker sees its own cards only (CUDA_VISIBLE_DEVICES), and its record names only these. How many
workers ran beside it is in the record's conditions: they share the host's memory bandwidth and the
way to the cards with it.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from oomph.frozen import frozen
from oomph.measure.child import GLANCE_S
from oomph.measure.executors import Completed, Executor, Job
from oomph.measure.nvml import NvmlCard
from oomph.records.environment import physical_cores
from oomph.records.schema import Environment


@frozen
class Share:
    """A part of a machine: an executor that uses no more of it, what its records say of the
    machine, and the CPUs that its worker is kept to (none: all)."""

    executor: Executor
    environment: Environment
    cpus: tuple[int, ...] = ()


class Company:
    """The workers that run on one machine at the same time, whichever executor started them."""

    def __init__(self) -> None:
        self._lock, self.n_workers = threading.Lock(), 0

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """One more of them, for as long as the block."""
        with self._lock:
            self.n_workers += 1
        try:
            yield
        finally:
            with self._lock:
                self.n_workers -= 1


class CardsExecutor:
    """Runs jobs on `cards`; `share` makes the part of the machine that has some of them. `at_once`
    is how many jobs it will be given at once, `company` counts the workers of the whole machine."""

    def __init__(
        self,
        cards: Sequence[NvmlCard],
        share: Callable[[tuple[NvmlCard, ...]], Share],
        *,
        at_once: int,
        company: Company,
    ) -> None:
        self._share, self._at_once, self._company = share, at_once, company
        self._free, self._all = list(cards), tuple(cards)
        self._turn, self._changed = threading.Lock(), threading.Condition()

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn, once as many cards are free as it asks for; see
        `Executor`."""
        with self._taken(job.points[0].config.n_devices, stop or threading.Event()) as cards:
            if not cards:
                return
            share = self._share(cards)
            with self._company.joined():
                at_start = self._company.n_workers
                for completed in share.executor.run(
                    replace(job, n_threads=self._threads(cards, share)), stop
                ):
                    seen: dict[str, Any] = {
                        "n_workers_beside": max(at_start, self._company.n_workers) - 1
                    }
                    if share.cpus:
                        seen["cpus"] = list(share.cpus)
                    conditions = {**completed.conditions, **seen}
                    machine = completed.environment or share.environment
                    yield replace(completed, environment=machine, conditions=conditions)
                    at_start = self._company.n_workers

    @contextlib.contextmanager
    def _taken(self, n_cards: int, stop: threading.Event) -> Iterator[tuple[NvmlCard, ...]]:
        """So many cards, first come first served; none where the wait was called off."""
        with self._turn, self._changed:
            while len(self._free) < n_cards and not stop.is_set():
                self._changed.wait(GLANCE_S)
            cards = () if stop.is_set() else tuple(self._free[:n_cards])
            self._free = [card for card in self._free if card not in cards]
        try:
            yield cards
        finally:
            with self._changed:
                self._free = [card for card in self._all if card in cards or card in self._free]
                self._changed.notify_all()

    def _threads(self, cards: tuple[NvmlCard, ...], share: Share) -> int:
        """Cores for one worker: those it is kept to, shared with the workers that may be kept to
        them, too."""
        n_cores, sharing = physical_cores(), len(self._all)
        if share.cpus:
            n_cores = n_cores * len(share.cpus) // len(os.sched_getaffinity(0))
            sharing = sum(card.cpus == share.cpus for card in self._all)
        return max(1, n_cores // max(1, min(self._at_once, sharing // len(cards))))


def shared_cpus(cards: Sequence[NvmlCard]) -> tuple[int, ...]:
    """The CPUs near all of these cards; none where they are on several nodes or the driver does not
    tell."""
    return cards[0].cpus if len({card.cpus for card in cards}) == 1 else ()
