"""Layers handed to cards in order, experts kept or left to the host: the quickest that fits.

Pure arithmetic over `Parts`. llama.cpp gives every card a run of layers, so a placement is where
the runs end and which experts stay on the host; the best runs are found by dynamic programming.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, combinations, pairwise
from math import inf
from typing import Final, Self

from oomph.advise.placement.parts import Costs, Parts
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

_ROUNDED: Final = 1 + 1e-12
"""What sums of equal parts may differ by."""

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


@frozen
class _Choices:
    """Every choice of some of a layer's matrices, the smallest first."""

    n_bytes: list[float]
    names: list[frozenset[str]]


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
    def _choices(self) -> list[_Choices]:
        return [_choices(pieces) for pieces in self.n_bytes.pieces]

    @cached_property
    def _gains(self) -> dict[GpuSpec | None, list[list[float]]]:
        """The seconds that a card of each kind adds to the host's with each choice of a layer's
        matrices: negative where it is the quicker."""
        on_host = self._parts.times.on_host.pieces
        return {
            kind: [
                [sum(own[name] - host[name] for name in names) for names in choices.names]
                for own, host, choices in zip(costs.pieces, on_host, self._choices, strict=True)
            ]
            for kind, costs in self._parts.times.on_card.items()
        }

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
                [first], lambda card, i: self._plain_costs(sums, timed[self._kinds[card]], card, i)
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
            ends = self._best_runs(self._firsts, self._kept_costs)
        if ends is None:
            return None
        out: dict[int, frozenset[str]] = {}
        for card, (i, j) in enumerate(pairwise(ends)):
            _, from_, chosen = next(self._kept(card, i, [j]))
            kept = self._choices[from_ - 1].names[chosen] if chosen >= 0 else frozenset()
            for il in range(i, from_):
                names = frozenset(self.n_bytes.pieces[il])
                if left := names - (kept if il == from_ - 1 else frozenset()):
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

    def _plain_costs(
        self, sums: Sequence[float], seconds: Sequence[float], card: int, i: int
    ) -> list[float]:
        """The seconds of each run of the card's that begins with layer `i`, an empty one first."""
        end = bisect_right(sums, sums[i] + self._rooms[card])
        return [seconds[j] - seconds[i] for j in range(i, end)]

    def _kept_costs(self, card: int, i: int) -> list[float]:
        """The same where each card is filled with single matrices."""
        return [seconds for seconds, _, _ in self._kept(card, i, range(i, self._n + 1))]

    def _kept(self, card: int, i: int, ends: Iterable[int]) -> Iterator[tuple[float, int, int]]:
        """Of the card's runs from layer `i` to each of `ends`, until one is too much: the seconds,
        from which layer on it has its experts, and which choice of its matrices the layer before
        that keeps there, -1 for none."""
        kind = self._kinds[card]
        fixed, experts, room = self._bytes.fixed, self._bytes.experts, self._rooms[card]
        own, host = self._seconds[kind], self._host.experts
        for j in ends:
            left = room - (fixed[j] - fixed[i])
            if left < 0 or (not self._moves_experts and experts[j] - experts[i] > left):
                return
            from_, chosen = bisect_left(experts, experts[j] - left, i, j + 1), -1
            seconds = own.fixed[j] - own.fixed[i] + own.experts[j] - own.experts[from_]
            seconds += host[from_] - host[i]
            if from_ > i:
                left -= experts[j] - experts[from_]
                chosen = bisect_right(self._choices[from_ - 1].n_bytes, left) - 1
                if chosen >= 0:
                    seconds += self._gains[kind][from_ - 1][chosen]
            yield seconds, from_, chosen

    def _cost_of(self, ends: Ends) -> float:
        cost = self._whole_on_host(ends[0])
        for card, (i, j) in enumerate(pairwise(ends)):
            seconds, _, _ = next(self._kept(card, i, [j]), (inf, j, -1))
            cost += seconds
        return cost

    def _whole_on_host(self, first: int) -> float:
        return self._host.fixed[first] + self._host.experts[first]

    def _best_runs(
        self, firsts: Sequence[int], costs_from: Callable[[int, int], list[float]]
    ) -> Ends | None:
        """The runs of the least cost, of equal ones those whose first cards take the most layers:
        they leave experts of the first layers to the host, which -ncmoe says in a number.

        `costs_from(card, i)` are those of the card's runs that begin with layer `i`, an empty one
        first, as long as the card holds them: the same on cards of one kind with as much room.
        """
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
                    costs[like, i] = costs_from(card, i)
                for j, own in enumerate(costs[like, i], i):
                    if sofar + own <= after[j] * _ROUNDED:
                        after[j], begin[j] = sofar + own, i
            best = after
            begins.append(begin)
        if best[self._n] == inf:
            return None
        ends = [self._n]
        for begin in reversed(begins):
            ends.append(begin[ends[-1]])
        return tuple(reversed(ends))

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


def _choices(pieces: Mapping[str, float]) -> _Choices:
    chosen = (c for n in range(1, len(pieces)) for c in combinations(pieces, n))
    sized = [(sum(pieces[name] for name in names), frozenset(names)) for names in chosen]
    ascending = sorted(sized, key=lambda each: -each[0])[::-1]  # of equals, the first comes last
    return _Choices(
        n_bytes=[n_bytes for n_bytes, _ in ascending], names=[names for _, names in ascending]
    )


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
