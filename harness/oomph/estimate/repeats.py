"""Which layers of a model stand for all of them when a graph is replayed.

Layers repeat: one after the other, or in a period (sliding windows, hybrids, quantization mixes),
and the allocator soon does the same for each. So a run of repetitions is cut to its first few, once
for runs of single layers and once more for periods of what is left. Whether that was right is seen
after the replay: `Selection.must_agree` names layers after which the allocator's state must be the
same, for then it would have been the same after all that was left out.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Final

LONGEST_PERIOD: Final = 8


@dataclass(frozen=True, slots=True)
class Cut:
    """Repetitions that are kept of a run, and the two of them, counted from 1, that must leave the
    same state.

    The last repetition may be unlike the others: inputs are freed after their last use, and what
    the next layer reads first runs before the layer's end. So may the model's first layer, which
    finds an empty buffer: with `first_apart` it belongs to no run. `keep_periods` is what is kept
    of longer periods, where that is another number.
    """

    keep: int
    agree: tuple[int, int]
    first_apart: bool = False
    keep_periods: int | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Layers to replay, and pairs of them after which the allocator's state must be the same."""

    layers: tuple[int, ...]
    must_agree: tuple[tuple[int, int], ...] = ()


def select_layers(signatures: Sequence[Hashable], cut: Cut) -> Selection:
    """Cut the runs of repetitions in `signatures`, one per layer; the last layer always stays."""
    layers, pairs = list(range(len(signatures))), []
    for longest, keep in ((1, cut.keep), (LONGEST_PERIOD, cut.keep_periods or cut.keep)):
        layers, more = _cut_runs(layers, signatures, replace(cut, keep=keep), longest)
        pairs += more
    kept = set(layers)
    return Selection(tuple(layers), tuple(pair for pair in pairs if kept.issuperset(pair)))


def _cut_runs(
    layers: Sequence[int], signatures: Sequence[Hashable], cut: Cut, longest: int
) -> tuple[list[int], list[tuple[int, int]]]:
    """`layers` without the surplus of runs whose period is at most `longest`, and the pairs that
    must agree."""
    names, last = [signatures[il] for il in layers], len(layers) - 1
    i = 1 if cut.first_apart and last else 0
    kept, pairs = list(layers[:i]), []
    while i < last:
        period, times = _longest_run(names, i, last, cut.keep, longest)
        stay = period * min(times, cut.keep)
        kept += layers[i : i + stay]
        if times > cut.keep:
            first, second = (layers[i + period * rank - 1] for rank in cut.agree)
            pairs.append((first, second))
        i += period * times
    return [*kept, layers[last]], pairs


def _longest_run(
    names: Sequence[Hashable], start: int, end: int, keep: int, longest: int
) -> tuple[int, int]:
    """The period and number of repetitions from `start` that saves most layers; (1, 1) where none
    does."""
    best, saved = (1, 1), 0
    for period in range(1, min(longest, end - start) + 1):
        stop = start + period
        while stop < end and names[stop] == names[stop - period]:
            stop += 1
        times = (stop - start) // period
        if (times - keep) * period > saved:
            best, saved = (period, times), (times - keep) * period
    return best
