"""Tasks over a long context as tables: scores with intervals, pairs, effective lengths."""

from collections.abc import Sequence
from typing import Final

from oomph.quality.asking_time import hours_needed
from oomph.quality.comparisons import Paired, file_bytes
from oomph.quality.effective_length import KEPT, effective_length
from oomph.quality.power import smallest_shown
from oomph.quality.tasks import Score, TaskRun, score_of
from oomph.units import GIB, NOT_MEASURED, count, share
from oomph.views.table import Cell, Table, number
from oomph.views.task_words import (
    RunNames,
    finding_words,
    p_word,
    points_words,
    share_cell,
)

DISCORDANT: Final = (0.05, 0.1, 0.2, 0.3, 0.4)
"""Shares of items that only one of two settings has right, for what a number of items can show."""
MOST_EXACT: Final = 400
"""Items up to which that is computed for a page: it is summed over all outcomes."""


def scores_table(runs: Sequence[TaskRun]) -> Table:
    """One row a setting, one column a length: the share of right answers."""
    names = RunNames(runs)
    lengths = sorted({n for run in runs for n in run.lengths})
    columns = ("setting", *(count(n) for n in lengths), "all", "mean score", "items", "remarks")
    rows = []
    for run in runs:
        whole = score_of(run.of())
        if whole is None:
            continue
        by_length = (score_of(run.of(n_tokens=n)) for n in lengths)
        rows.append(
            (
                Cell(names.of(run)),
                *(_right(score) for score in by_length),
                _right(whole),
                share_cell(whole.mean, whole.mean_interval),
                number(whole.n),
                Cell("; ".join((*_graded(run), *run.missing))),
            )
        )
    caption = (
        "Right answers by setting and length in tokens, with 95 % interval (Wilson; of mean scores "
        "resampled)"
    )
    return Table(caption=caption, columns=columns, rows=tuple(rows))


def _right(score: Score | None) -> Cell:
    return Cell(NOT_MEASURED) if score is None else share_cell(score.right, score.right_interval)


def _graded(run: TaskRun) -> tuple[str, ...]:
    return () if run.graded_by in ("rule", "") else (f"graded by {run.graded_by}",)


def tasks_table(runs: Sequence[TaskRun]) -> Table:
    """One row a setting and task, all lengths together."""
    names = RunNames(runs)
    rows = tuple(
        (
            Cell(names.of(run)),
            Cell(task),
            number(score.n),
            share_cell(score.right, score.right_interval),
            share_cell(score.mean, score.mean_interval),
        )
        for run in runs
        for task in run.tasks
        if (score := score_of(run.of(task=task)))
    )
    columns = ("setting", "task", "items", "right", "mean score")
    return Table(caption="By task, all lengths together", columns=columns, rows=rows)


def pairs_table(comparisons: Sequence[Paired], runs: Sequence[TaskRun]) -> Table:
    """Each setting against its reference on the same items: the difference in points, whether it
    is shown, and what would settle it."""
    names = RunNames(runs)
    rows = tuple(
        (
            Cell(names.of(each.run)),
            Cell(names.of(each.reference)),
            Cell("all" if each.n_tokens is None else count(each.n_tokens), each.n_tokens),
            number(each.n_pairs),
            Cell(points_words(each), each.difference),
            Cell(f"{each.n_better} / {each.n_worse}", each.n_better - each.n_worse),
            Cell(p_word(each.p_right), each.p_right),
            Cell(p_word(each.p_together), each.p_together),
            Cell(finding_words(each)),
            _needed(each),
            _hours(each),
        )
        for each in comparisons
    )
    n_together = max((each.n_together for each in comparisons), default=0)
    columns = (
        "setting",
        "against",
        "length",
        "items",
        "difference",
        "right here alone / there alone",
        "p, McNemar",
        f"p among {n_together} (Holm)",
        "what it shows",
        "items that would show it",
        "hours",
    )
    by_length = "length by length, " if any(each.n_tokens for each in comparisons) else ""
    caption = (
        f"Paired on the same items, {by_length}difference of mean scores with 95 % interval "
        "(resampled); p is exact; items for 80 % power if further ones differ as these do"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _needed(comparison: Paired) -> Cell:
    if comparison.n_needed is None:
        return Cell("no difference seen" if not comparison.difference else "more than 1,000,000")
    return number(comparison.n_needed)


def _hours(comparison: Paired) -> Cell:
    hours = hours_needed(comparison)
    return number(hours, digits=1 if hours is None or hours >= 0.1 else 2)


def lengths_table(runs: Sequence[TaskRun]) -> Table:
    """How far each setting keeps the short context's score, and how sure that is."""
    names = RunNames(runs)
    rows = []
    for run in runs:
        found = effective_length(run)
        if found is None:
            continue
        end = (
            "nothing longer was asked"
            if found.is_open
            else f"{count(found.asked[found.asked.index(found.n_tokens) + 1])} falls short"
        )
        rows.append(
            (
                Cell(names.of(run)),
                number(found.n_tokens),
                Cell(f"{count(found.low)} to {count(found.high)}", found.low),
                Cell(share(found.agreed, 0), found.agreed),
                Cell(share(found.short_score), found.short_score),
                Cell(end),
            )
        )
    columns = (
        "setting",
        "effective length",
        "95 % of draws",
        "draws that agree",
        "score at the shortest",
        "beyond",
    )
    caption = f"Effective length in tokens: up to it every length keeps {share(KEPT, 0)} of the"
    return Table(caption=f"{caption} shortest one's mean score", columns=columns, rows=tuple(rows))


def power_table(n_items: Sequence[int]) -> Table:
    """The smallest true difference that so many pairs show in 80 % of tries, by how many items
    only one of the two settings has right."""
    counts = sorted({n for n in n_items if n <= MOST_EXACT})
    rows = tuple(
        (number(n), *(_shown(smallest_shown(n, discordant)) for discordant in DISCORDANT))
        for n in counts
    )
    columns = ("pairs", *(f"{share(d, 0)} differ" for d in DISCORDANT))
    caption = (
        "What so many pairs can tell apart: the smallest difference of right answers, in points, "
        "that McNemar's exact test shows in 80 % of tries; none: not even if all go one way"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def _shown(difference: float | None) -> Cell:
    return Cell("none", 1.0) if difference is None else number(difference, digits=1, unit=0.01)


def files_table(comparisons: Sequence[Paired]) -> Table:
    """One model's files against the largest of them, on the same items."""
    names = RunNames([run for each in comparisons for run in (each.run, each.reference)])
    rows = tuple(
        (
            Cell(names.of(each.run)),
            number(file_bytes(each.run), digits=2, unit=GIB),
            Cell(names.of(each.reference)),
            number(each.n_pairs),
            Cell(points_words(each), each.difference),
            Cell(f"{each.n_better} / {each.n_worse}", each.n_better - each.n_worse),
            Cell(p_word(each.p_together), each.p_together),
            Cell(finding_words(each)),
            _needed(each),
        )
        for each in comparisons
    )
    n_together = max((each.n_together for each in comparisons), default=0)
    columns = (
        "file",
        "GiB",
        "against",
        "items",
        "difference",
        "right here alone / there alone",
        f"p among {n_together} (Holm)",
        "what it shows",
        "items that would show it",
    )
    caption = "Files of one model, paired on the same items, difference with 95 % interval"
    return Table(caption=caption, columns=columns, rows=rows)
