"""Layers handed to cards in order, experts kept or left to the host: the quickest that fits.

Pure arithmetic over `Parts`. llama.cpp gives every card a run of layers, so a placement is where
the runs end and which experts stay on the host; the best runs are found by dynamic programming.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, combinations, pairwise
from math import inf
from typing import Self

from oomph.advise.placement.parts import Costs, Parts
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

Ends = tuple[int, ...]
"""The layer at which the first card begins, and where each card ends; the output is a layer."""


@frozen
class Runs:
    """`out` has the experts' matrices that stay on the host, by layer; layers before the first
    card's are there as a whole."""

    ends: Ends
    out: Mapping[int, frozenset[str]]

    @property
    def counts(self) -> tuple[int, ...]:
        """Layers of each card."""
        return tuple(b - a for a, b in pairwise(self.ends))


@frozen
class Filling(Runs):
    """Runs and their `seconds`, the sum of all parts."""

    seconds: float


class _Sums:
    """Prefix sums over the layers."""

    def __init__(self, costs: Costs, like: "_Sums | None" = None) -> None:
        """Of costs whose experts are those of sums `like` these, where there are any."""
        self.fixed = list(accumulate(costs.fixed, initial=0.0))
        if like is None:
            experts = (costs.experts(il) for il in range(len(costs.fixed)))
            self.experts = list(accumulate(experts, initial=0.0))
        else:
            self.experts = like.experts

    def without_first(self, n_out: int) -> list[float]:
        """Of all, but of the experts of the first `n_out` layers."""
        beyond = self.experts[n_out]
        if beyond == self.experts[-1]:
            return self.fixed
        return [
            fixed + max(experts - beyond, 0.0)
            for fixed, experts in zip(self.fixed, self.experts, strict=True)
        ]


class Fillings:
    """The ways to fill cards, of these kinds and with so many bytes for layers each, in order.

    `firsts` are the numbers of whole layers that may stay on the host, the fewest first;
    `moves_experts` says whether experts alone may. `runs` tells where the cards end for each of
    `firsts` where a split is given; None leaves it open.
    """

    def __init__(
        self,
        parts: Parts,
        kinds: Sequence[GpuSpec | None],
        rooms: Sequence[int],
        *,
        firsts: Sequence[int],
        moves_experts: bool,
        runs: Callable[[int], Ends] | None = None,
    ) -> None:
        self.n_bytes = parts.n_bytes
        self._parts, self._kinds, self._rooms = parts, kinds, rooms
        self._firsts, self._moves_experts, self._runs = firsts, moves_experts, runs
        self._n = len(parts.n_bytes.fixed)
        self._bytes = _Sums(parts.n_bytes)

    def with_fixed(self, n_bytes: Sequence[float]) -> Self:
        """The same with layers that hold so many bytes beside their experts, as with another
        context."""
        other = copy(self)
        other.n_bytes = replace(self.n_bytes, fixed=n_bytes)
        other._bytes = _Sums(other.n_bytes, self._bytes)
        return other

    @cached_property
    def _seconds(self) -> dict[GpuSpec | None, _Sums]:
        return {kind: _Sums(costs) for kind, costs in self._parts.times.on_card.items()}

    @cached_property
    def _host(self) -> _Sums:
        return _Sums(self._parts.times.on_host)

    @cached_property
    def _subsets(self) -> list[list[tuple[float, frozenset[str]]]]:
        return [_subsets(pieces) for pieces in self.n_bytes.pieces]

    def are_any(self) -> bool:
        """Whether anything fits: what `plain` and `closest` are then found among."""
        return self._fewest() is not None

    def plain(self) -> Filling | None:
        """With the fewest experts, of the first layers, on the host, and only then whole layers;
        cards alike are left as much as each other. None where nothing fits."""
        runs = self.plain_runs()
        return None if runs is None else self._filling(runs.ends, runs.out)

    def plain_runs(self) -> Runs | None:
        """The same without its seconds, which only unlike cards need counted."""
        fewest = self._fewest()
        if fewest is None:
            return None
        first, n_out = fewest
        sums = self._bytes.without_first(n_out)
        if self._runs:
            ends: Ends | None = self._runs(first)
        elif len(set(self._kinds)) == 1:
            ends = balanced(sums, self._rooms, first)
        else:
            timed = {kind: each.without_first(n_out) for kind, each in self._seconds.items()}
            ends = self._best_runs(
                [first], lambda card, i, j: self._plain_cost(sums, timed, card, i, j)
            )
        if ends is None:
            return None
        out = {il: frozenset(self.n_bytes.pieces[il]) for il in range(n_out)}
        return Runs(ends=ends, out={il: names for il, names in out.items() if names})

    def _fewest(self) -> tuple[int, int] | None:
        """How many whole layers, and of how many the experts, are on the host at least; None where
        nothing fits."""
        most = self._n if self._moves_experts else 0
        steps = [(self._firsts[0], n_out) for n_out in range(most + 1)]
        steps += [(first, most) for first in self._firsts[1:]]
        at = bisect_left(steps, True, key=lambda step: self._holds(*step))
        return steps[at] if at < len(steps) else None

    def closest(self) -> Filling | None:
        """With every card as full as single matrices of experts can make it; None where nothing
        fits."""
        if self._runs is None and not self.are_any():
            return None
        if self._runs:
            given = [self._runs(first) for first in self._firsts]
            costs = [self._cost_of(ends) for ends in given]
            at = min(range(len(given)), key=costs.__getitem__)
            ends = given[at] if costs[at] < inf else None
        else:
            ends = self._best_runs(self._firsts, self._kept_cost)
        if ends is None:
            return None
        out: dict[int, frozenset[str]] = {}
        for card, (i, j) in enumerate(pairwise(ends)):
            from_, kept = self._kept(card, i, j)
            for il in range(i, from_):
                names = self.n_bytes.pieces[il].keys()
                if left := frozenset(names) - (kept if il == from_ - 1 else frozenset()):
                    out[il] = left
        return self._filling(ends, out)

    def _holds(self, first: int, n_out: int) -> bool:
        """Whether the layers from `first` on fit with the experts of `n_out` on the host."""
        sums = self._bytes.without_first(n_out)
        if self._runs is None:
            return _ends(sums, self._rooms, first, 0)[-1] == self._n
        runs = pairwise(self._runs(first))
        return all(
            sums[j] - sums[i] <= room for (i, j), room in zip(runs, self._rooms, strict=True)
        )

    def _plain_cost(
        self,
        sums: Sequence[float],
        timed: Mapping[GpuSpec | None, Sequence[float]],
        card: int,
        i: int,
        j: int,
    ) -> float:
        if sums[j] - sums[i] > self._rooms[card]:
            return inf
        seconds = timed[self._kinds[card]]
        return seconds[j] - seconds[i]

    def _kept(self, card: int, i: int, j: int) -> tuple[int, frozenset[str]]:
        """Of a card's layers `i` to `j`: from which on they have their experts, and what the layer
        before that keeps of them. Beyond `j` where not even the rest fits."""
        fixed, experts = self._bytes.fixed, self._bytes.experts
        room = self._rooms[card] - (fixed[j] - fixed[i])
        if not self._moves_experts and experts[j] - experts[i] > room:
            return j + 1, frozenset()
        if room < 0:
            return j + 1, frozenset()
        from_ = bisect_left(experts, experts[j] - room, i, j + 1)
        left = room - (experts[j] - experts[from_])
        if from_ == i:
            return i, frozenset()
        subsets = self._subsets[from_ - 1]
        return from_, next((names for n_bytes, names in subsets if n_bytes <= left), frozenset())

    def _kept_cost(self, card: int, i: int, j: int) -> float:
        from_, kept = self._kept(card, i, j)
        if from_ > j:
            return inf
        seconds, kind = self._seconds[self._kinds[card]], self._kinds[card]
        cost = seconds.fixed[j] - seconds.fixed[i] + seconds.experts[j] - seconds.experts[from_]
        cost += self._host.experts[from_] - self._host.experts[i]
        for name in kept:
            cost += self._parts.times.on_card[kind].pieces[from_ - 1][name]
            cost -= self._parts.times.on_host.pieces[from_ - 1][name]
        return cost

    def _cost_of(self, ends: Ends) -> float:
        cards = sum(self._kept_cost(card, i, j) for card, (i, j) in enumerate(pairwise(ends)))
        return self._whole_on_host(ends[0]) + cards

    def _whole_on_host(self, first: int) -> float:
        return self._host.fixed[first] + self._host.experts[first]

    def _best_runs(
        self, firsts: Sequence[int], cost: Callable[[int, int, int], float]
    ) -> Ends | None:
        """The runs of the least cost; `cost(card, i, j)` is infinite from the first `j` on that is
        too much for the card, and the same on cards of one kind with as much room."""
        best = [inf] * (self._n + 1)
        for first in firsts:
            best[first] = self._whole_on_host(first)
        begins: list[list[int]] = []
        cards = list(zip(self._rooms, self._kinds, strict=True))
        costs: dict[tuple[int, int], list[float]] = {}
        for card, one in enumerate(cards):
            after, begin = [inf] * (self._n + 1), [0] * (self._n + 1)
            like = cards.index(one)
            for i, sofar in enumerate(best):
                if sofar == inf:
                    continue
                if (like, i) not in costs:
                    costs[like, i] = self._costs_from(i, card, cost)
                for j, own in enumerate(costs[like, i], i):
                    if sofar + own < after[j]:
                        after[j], begin[j] = sofar + own, i
            best = after
            begins.append(begin)
        if best[self._n] == inf:
            return None
        ends = [self._n]
        for begin in reversed(begins):
            ends.append(begin[ends[-1]])
        return tuple(reversed(ends))

    def _costs_from(self, i: int, card: int, cost: Callable[[int, int, int], float]) -> list[float]:
        """The cost of each run of the card's that begins with layer `i`, an empty one first."""
        found: list[float] = []
        for j in range(i, self._n + 1):
            own = cost(card, i, j)
            if own == inf:
                break
            found.append(own)
        return found

    def _filling(self, ends: Ends, out: Mapping[int, frozenset[str]]) -> Filling:
        """With the seconds of all its parts."""
        seconds = self._whole_on_host(ends[0])
        for card, (i, j) in enumerate(pairwise(ends)):
            of_card = self._parts.times.on_card[self._kinds[card]]
            seconds += sum(of_card.fixed[i:j])
            for il in range(i, j):
                for name, own in of_card.pieces[il].items():
                    away = name in out.get(il, ())
                    seconds += self._parts.times.on_host.pieces[il][name] if away else own
        return Filling(ends=ends, out=out, seconds=seconds)


def _subsets(pieces: Mapping[str, float]) -> list[tuple[float, frozenset[str]]]:
    """Every choice of some of the matrices, the largest first."""
    chosen = (c for n in range(1, len(pieces)) for c in combinations(pieces, n))
    sized = ((sum(pieces[name] for name in names), frozenset(names)) for names in chosen)
    return sorted(sized, key=lambda each: -each[0])


def balanced(sums: Sequence[float], rooms: Sequence[int], first: int) -> Ends:
    """Runs of the layers from `first` on that leave the most bytes on the card with the least
    left, by bisection on what every card keeps free; `sums` are the layers' prefix sums."""
    low, high = -int(sums[-1]) - 1, max(rooms)
    while high - low > 1:
        kept = (low + high) // 2
        if _ends(sums, rooms, first, kept)[-1] == len(sums) - 1:
            low = kept
        else:
            high = kept
    return _ends(sums, rooms, first, low)


def _ends(sums: Sequence[float], rooms: Sequence[int], first: int, kept: int) -> Ends:
    """Where each card's layers end if every card takes all that it can but for `kept` bytes."""
    ends = [first]
    for room in rooms:
        end = bisect_right(sums, sums[ends[-1]] + room - kept) - 1
        ends.append(max(end, ends[-1]))
    return tuple(ends)
