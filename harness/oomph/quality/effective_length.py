"""The effective length of a setting: how far a context goes before answers get worse."""

from collections.abc import Mapping, Sequence
from random import Random
from statistics import fmean
from typing import Final

from oomph.frozen import frozen
from oomph.quality.intervals import SEED, middle_of
from oomph.quality.tasks import TaskRun

KEPT: Final = 0.85
"""The share of the short-context score that a length must keep."""
LEAST: Final = 0.1
"""Of a shortest length that scores less there is nothing to keep."""
N_DRAWS: Final = 1000

Cells = Mapping[int, Mapping[str, Sequence[float]]]
"""Scores by length and task."""


@frozen
class EffectiveLength:
    """The longest length in tokens, of those asked, up to which every one keeps 85 % of the score
    at the shortest.

    `low` and `high` are the middle 95 % of what other draws of as many items would give, `agreed`
    the share of them that give the same. `asked` are the lengths; the last is no end where it is
    reached, only the end of what was asked.
    """

    n_tokens: int
    low: int
    high: int
    agreed: float
    short_score: float
    asked: tuple[int, ...]

    @property
    def is_open(self) -> bool:
        """Whether nothing that was asked fell short."""
        return self.n_tokens == self.asked[-1]


def effective_length(run: TaskRun) -> EffectiveLength | None:
    """None where fewer than two lengths were asked, or where the shortest scores less than a tenth.

    A length's score is the mean over the tasks that were asked at it and at the shortest. Draws are
    from the Beta distribution of a share with the cell's score and number of items (Jeffreys'
    prior): for scores between 0 and 1 it is wider than theirs.
    """
    by_length: dict[int, dict[str, list[float]]] = {}
    for item in run.items.values():
        if item.n_tokens is not None:
            by_length.setdefault(item.n_tokens, {}).setdefault(item.task, []).append(item.score)
    if len(by_length) < 2:
        return None
    means = {n: {t: fmean(s) for t, s in tasks.items()} for n, tasks in by_length.items()}
    short_score, found = fmean(means[min(means)].values()), longest_kept(means)
    if found is None or short_score < LEAST:
        return None
    random = Random(SEED)
    drawn = sorted(longest_kept(_draw(by_length, random)) or 0 for _ in range(N_DRAWS))
    low, high = middle_of(drawn)
    return EffectiveLength(
        n_tokens=found,
        low=round(low),
        high=round(high),
        agreed=drawn.count(found) / N_DRAWS,
        short_score=short_score,
        asked=tuple(sorted(by_length)),
    )


def longest_kept(means: Mapping[int, Mapping[str, float]]) -> int | None:
    """The longest length up to which all keep KEPT of the shortest's score, by mean scores of
    length and task; None where that score is 0."""
    shortest, *longer = sorted(means)
    short, reached = means[shortest], shortest
    if not fmean(short.values()):
        return None
    for n_tokens in longer:
        shared = [task for task in means[n_tokens] if task in short]
        if not shared:
            break
        kept = fmean(means[n_tokens][task] for task in shared)
        if kept < KEPT * fmean(short[task] for task in shared):
            break
        reached = n_tokens
    return reached


def _draw(cells: Cells, random: Random) -> dict[int, dict[str, float]]:
    return {
        n_tokens: {
            task: random.betavariate(sum(scores) + 0.5, len(scores) - sum(scores) + 0.5)
            for task, scores in sorted(tasks.items())
        }
        for n_tokens, tasks in sorted(cells.items())
    }
