"""Cards filled in order: nothing else divides better, and nothing else takes less time."""

from itertools import accumulate, combinations_with_replacement, pairwise
from math import inf

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.advise.placement.filling import Filling, Fillings, balanced
from oomph.advise.placement.parts import Costs, Parts, Times
from oomph.gpus import GpuSpec, gpu

FAST, SLOW = gpu("RTX 5090"), gpu("RTX 3060")
ON_HOST = 9.0
"""Times as long as the fast card takes."""


@given(
    layers=st.lists(st.integers(0, 1000), min_size=1, max_size=80),
    rooms=st.lists(st.integers(0, 40_000), min_size=1, max_size=5),
)
def test_no_other_division_leaves_more_on_the_fullest(layers: list[int], rooms: list[int]) -> None:
    sums = list(accumulate(layers, initial=0))
    split = [b - a for a, b in pairwise(balanced(sums, rooms, 0))]
    assert sum(split) == len(layers)

    def least(counts: list[int]) -> int:
        ends = np.cumsum([0, *counts])
        parts = (sum(layers[a:b]) for a, b in pairwise(ends))
        return min(n - part for n, part in zip(rooms, parts, strict=True))

    best = least(split)
    for i in range(len(split) - 1):  # neighbours: one layer more or less on a card
        for step in (-1, 1):
            other = [*split]
            other[i], other[i + 1] = other[i] + step, other[i + 1] - step
            assert min(other) < 0 or least(other) <= best


@st.composite
def machines(draw: st.DrawFn) -> tuple[Parts, list[GpuSpec | None], list[int]]:
    """Layers with or without experts, on two cards of different speed and any size."""
    n = draw(st.integers(2, 5))
    fixed = draw(st.lists(st.integers(1, 20), min_size=n, max_size=n))
    pieces = [
        {name: draw(st.integers(1, 20)) for name in ("up", "down")} if draw(st.booleans()) else {}
        for _ in range(n)
    ]

    def costs(factor: float) -> Costs:
        return Costs(
            fixed=[factor * size for size in fixed],
            pieces=[{name: factor * size for name, size in each.items()} for each in pieces],
        )

    parts = Parts(
        costs(1),
        (FAST, SLOW),
        lambda: Times(on_card={FAST: costs(1), SLOW: costs(3)}, on_host=costs(ON_HOST)),
    )
    kinds: list[GpuSpec | None] = [FAST, SLOW] if draw(st.booleans()) else [SLOW, FAST]
    return parts, kinds, draw(st.lists(st.integers(0, 90), min_size=2, max_size=2))


def ways(
    parts: Parts, kinds: list[GpuSpec | None], rooms: list[int], *, moves_experts: bool
) -> Fillings:
    n = len(parts.n_bytes.fixed)
    return Fillings(parts, kinds, rooms, firsts=range(n), moves_experts=moves_experts)


def taken(parts: Parts, filling: Filling, card: int) -> float:
    """Bytes of a card's layers."""
    i, j = filling.ends[card], filling.ends[card + 1]
    kept = (
        size
        for il in range(i, j)
        for name, size in parts.n_bytes.pieces[il].items()
        if name not in filling.out.get(il, ())
    )
    return sum(parts.n_bytes.fixed[i:j]) + sum(kept)


@settings(max_examples=150, deadline=None)
@given(machine=machines(), moves_experts=st.booleans())
def test_what_is_filled_fits_and_the_closest_is_never_slower(
    machine: tuple[Parts, list[GpuSpec | None], list[int]], moves_experts: bool
) -> None:
    parts, kinds, rooms = machine
    found = ways(parts, kinds, rooms, moves_experts=moves_experts)
    plain, closest = found.plain(), found.closest()
    assert (plain is None) == (closest is None)
    for filling in (plain, closest):
        if filling is not None:
            assert filling.ends[-1] == len(parts.n_bytes.fixed)
            assert all(taken(parts, filling, card) <= rooms[card] for card in range(2))
            assert moves_experts or not filling.out
    if plain and closest:
        assert closest.seconds <= plain.seconds + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(3, 9),
    fixed=st.floats(0.1, 3),
    piece=st.floats(1, 9),
    rooms=st.lists(st.integers(5, 60), min_size=2, max_size=2),
)
def test_of_equally_quick_runs_the_first_card_takes_the_most_layers(
    n: int, fixed: float, piece: float, rooms: list[int]
) -> None:
    """Rounding decides nothing, though sums of thirds are never quite the same."""

    def costs(factor: float) -> Costs:
        own = {"up": factor * piece / 3, "down": factor * piece / 3}
        return Costs(fixed=[factor * fixed / 3] * n, pieces=[own] * n)

    times = Times(on_card={FAST: costs(1 / 7)}, on_host=costs(ON_HOST / 7))
    parts = Parts(costs(1), (FAST,), lambda: times)
    kinds: list[GpuSpec | None] = [FAST, FAST]
    found = Fillings(parts, kinds, rooms, firsts=[0], moves_experts=True).closest()
    every = [
        Fillings(
            parts, kinds, rooms, firsts=[0], moves_experts=True, runs=lambda _, k=k: (0, k, n)
        ).closest()
        for k in range(n + 1)
    ]
    seconds = {each.ends[1]: each.seconds for each in every if each}
    if found is None:
        assert not seconds
        return
    least = min(seconds.values())
    assert found.ends[1] == max(k for k, own in seconds.items() if own <= least * (1 + 1e-9))


@settings(max_examples=100, deadline=None)
@given(machine=machines())
def test_no_other_runs_of_whole_layers_take_less_time(
    machine: tuple[Parts, list[GpuSpec | None], list[int]],
) -> None:
    parts, kinds, rooms = machine
    n = len(parts.n_bytes.fixed)
    sizes = [parts.n_bytes.fixed[il] + parts.n_bytes.experts(il) for il in range(n)]

    def seconds(first: int, middle: int) -> float:
        runs = [(first, middle), (middle, n)]
        if any(sum(sizes[i:j]) > room for (i, j), room in zip(runs, rooms, strict=True)):
            return inf
        rates = [1 if kind == FAST else 3 for kind in kinds]
        on_cards = sum(rate * sum(sizes[i:j]) for (i, j), rate in zip(runs, rates, strict=True))
        return on_cards + ON_HOST * sum(sizes[:first])

    ends = combinations_with_replacement(range(n + 1), 2)
    best = min(seconds(first, middle) for first, middle in ends if first < n)
    closest = ways(parts, kinds, rooms, moves_experts=False).closest()
    assert best == (inf if closest is None else closest.seconds)


def test_a_given_split_stays() -> None:
    costs = Costs(fixed=[10.0] * 4, pieces=[{"up": 10.0}] * 4)
    parts = Parts(costs, (FAST,), lambda: Times(on_card={FAST: costs}, on_host=costs))
    given = Fillings(
        parts, [FAST, FAST], [30, 50], firsts=[0], moves_experts=True, runs=lambda _: (0, 2, 4)
    )
    for filling in (given.plain(), given.closest()):
        assert filling is not None
        assert filling.ends == (0, 2, 4)
        assert list(filling.out) == [0]
