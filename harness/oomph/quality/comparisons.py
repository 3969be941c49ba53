"""Two settings on the same items: their scores' mean difference, and whether it is shown."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Final, Literal

from oomph.frozen import frozen
from oomph.quality.intervals import Interval, difference_interval
from oomph.quality.paired_tests import holm, mcnemar_p, sign_flip_p
from oomph.quality.power import items_needed
from oomph.quality.tasks import RIGHT, TaskRun, reference_of
from oomph.records.grouping import knob_set, model_key

ALPHA: Final = 0.05
Finding = Literal["better", "worse", "not shown"]


@frozen
class Paired:
    """A setting against its reference over `n_pairs` items that both were asked.

    `difference` is the mean difference of scores (0.01 is a point) with its 95 % interval;
    `n_better` and `n_worse` count items that one of the two alone has right, `p_right` is
    McNemar's exact p of them. `p` is the exact p of the mean score, `p_together` the same among
    all `n_together` comparisons that were made with it (Holm). `square` is the mean squared
    difference, `n_needed` how many pairs would show this difference in 80 % of tries, None where
    there is none. `task` and `n_tokens` say of which items; None is all.
    """

    run: TaskRun
    reference: TaskRun
    task: str | None = None
    n_tokens: int | None = None
    n_pairs: int
    difference: float
    interval: Interval
    n_better: int
    n_worse: int
    p_right: float
    p: float
    p_together: float
    n_together: int = 1
    square: float
    n_needed: int | None

    @property
    def finding(self) -> Finding:
        """What the comparison shows at the 5 % level, among all that were made with it. "not shown"
        is no sign that there is no difference."""
        if self.p_together > ALPHA:
            return "not shown"
        return "better" if self.difference > 0 else "worse"

    @property
    def discordant(self) -> float:
        """The share of items that only one of the two has right."""
        return (self.n_better + self.n_worse) / self.n_pairs


def paired(
    run: TaskRun, reference: TaskRun, *, task: str | None = None, n_tokens: int | None = None
) -> Paired | None:
    """The comparison on the items that both were asked; None without one."""
    own = [i for i in run.of(task=task, n_tokens=n_tokens) if i.item in reference.items]
    if not own:
        return None
    pairs = [(item.score, reference.items[item.item].score) for item in own]
    differences = [score - other for score, other in pairs]
    n_better = sum(score == RIGHT != other for score, other in pairs)
    n_worse = sum(other == RIGHT != score for score, other in pairs)
    difference, square = fmean(differences), fmean(each * each for each in differences)
    p = sign_flip_p(differences)
    return Paired(
        run=run,
        reference=reference,
        task=task,
        n_tokens=n_tokens,
        n_pairs=len(pairs),
        difference=difference,
        interval=difference_interval(differences),
        n_better=n_better,
        n_worse=n_worse,
        p_right=mcnemar_p(n_better, n_worse),
        p=p,
        p_together=p,
        square=square,
        n_needed=items_needed(difference, square),
    )


def compare_runs(runs: Sequence[TaskRun]) -> list[Paired]:
    """Every setting against its reference, over all items; p-values count among each other."""
    found = (
        paired(run, reference) for run in runs if (reference := reference_of(run, runs)) is not None
    )
    return together(each for each in found if each)


def compare_by_length(runs: Sequence[TaskRun]) -> list[Paired]:
    """The same length by length, of settings that were asked several."""
    found = (
        paired(run, reference, n_tokens=n_tokens)
        for run in runs
        if (reference := reference_of(run, runs)) is not None and len(run.lengths) > 1
        for n_tokens in run.lengths
    )
    return together(each for each in found if each)


def compare_files(runs: Sequence[TaskRun]) -> list[Paired]:
    """One model's files against the largest that was asked the same items in the same knobs, on
    whatever machine; p-values count among each other. Largest first."""
    ordered = sorted(runs, key=lambda run: -file_bytes(run))
    found = []
    for place, run in enumerate(ordered):
        reference = next(
            (
                each
                for each in ordered[:place]
                if knob_set(each.knobs) == knob_set(run.knobs)
                and model_key(each.first.model) != model_key(run.first.model)
                and each.items.keys() & run.items.keys()
            ),
            None,
        )
        if reference and (pair := paired(run, reference)):
            found.append(pair)
    return together(found)


def file_bytes(run: TaskRun) -> int:
    """The size of the run's model, as far as its record tells."""
    model = run.first.model
    return model.file_bytes or model.tensor_bytes or 0


def together(comparisons: Iterable[Paired]) -> list[Paired]:
    """The comparisons as they count among each other."""
    found = list(comparisons)
    adjusted = holm([each.p for each in found])
    return [
        replace(each, p_together=p, n_together=len(found))
        for each, p in zip(found, adjusted, strict=True)
    ]
