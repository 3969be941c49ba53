"""What a page says of tasks first: who answers better, how surely, and what cannot be told."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from oomph.models.demo import SPLIT_NAME
from oomph.quality.comparisons import Paired
from oomph.quality.effective_length import EffectiveLength, effective_length
from oomph.quality.power import smallest_shown
from oomph.quality.tasks import TaskRun, score_of
from oomph.records.schema import TASK_FAMILIES
from oomph.units import count, counted, share
from oomph.views.task_tables import MOST_EXACT
from oomph.views.task_words import RunNames

MOST_PAIRS: Final = 3
"""Settings that a headline names."""


def task_headline(runs: Sequence[TaskRun], pairs: Sequence[Paired]) -> dict[str, Any] | None:
    """What the headline says: the share of right answers of the reference (or of the first
    setting), and each of the nearest comparisons: those that experts alone tell apart come first.
    None without an item."""
    reference = pairs[0].reference if pairs else runs[0] if runs else None
    whole = score_of(reference.of()) if reference else None
    if reference is None or whole is None:
        return None
    shown = nearest_pairs(pairs)[:MOST_PAIRS]
    names = RunNames([reference, *(each.run for each in shown)] if shown else runs)
    return {
        "case": "tasks",
        "setting": names.of(reference),
        "n_items": whole.n,
        "right": whole.right,
        "low": whole.right_interval[0],
        "high": whole.right_interval[1],
        "pairs": [
            {
                "words": names.of(each.run),
                "points": each.difference,
                "low": each.interval[0],
                "high": each.interval[1],
                "finding": each.finding,
            }
            for each in shown
        ],
        "n_more": len(pairs) - len(shown),
    }


def nearest_pairs(pairs: Sequence[Paired]) -> list[Paired]:
    """The pairs that fewest knobs tell apart, the nearest number of experts first: of experts alone
    where there are such."""
    nearest = sorted(pairs, key=nearness)
    return [each for each in nearest if nearness(each)[0] == nearness(nearest[0])[0]]


def nearness(pair: Paired) -> tuple[int, int]:
    """How many knobs beside the experts are other ones, and how many experts."""
    own, other = pair.run.knobs, pair.reference.knobs
    n_other = sum(own.get(k) != other.get(k) for k in {*own, *other} - {"n_expert_used"})
    return n_other, abs((pair.run.n_expert_used or 0) - (pair.reference.n_expert_used or 0))


def task_basis(runs: Sequence[TaskRun], pairs: Sequence[Paired]) -> Iterator[str]:
    """What the items are, what so many cannot tell apart, and what the model cannot stand for."""
    if not runs:
        return
    yield _what_was_asked(runs)
    if pairs:
        yield _what_is_missed(pairs)
    if any(run.first.model.name == SPLIT_NAME.partition(".")[0] for run in runs):
        yield (
            "The model is a small dense one that was cut into experts for trying things out: what "
            "fewer of them cost it says nothing of a model that was trained with experts."
        )


def _what_was_asked(runs: Sequence[TaskRun]) -> str:
    tasks = {task for run in runs for task in run.tasks}
    lengths = sorted({n for run in runs for n in run.lengths})
    fewest, most = (end(len(run.items) for run in runs) for end in (min, max))
    n_items = count(most) if fewest == most else f"{count(fewest)} to {count(most)}"
    span = f" at {count(lengths[0])} tokens" if lengths else ""
    if len(lengths) > 1:
        ends = f"{count(lengths[0])} to {count(lengths[-1])}"
        span = f" at {len(lengths)} lengths from {ends} tokens"
    said = f"In these figures: {n_items} items a setting, of {counted(len(tasks), 'task')}{span}"
    graders = {run.graded_by for run in runs}
    if tasks <= set(TASK_FAMILIES) and graders == {"rule"}:
        return (
            f"{said}, made by oomph after RULER's families, answered greedily and graded by rule. "
            "They tell settings of this model apart and compare with no published score."
        )
    return f"{said}, graded by {', '.join(sorted(graders))}."


def _what_is_missed(pairs: Sequence[Paired]) -> str:
    """Of a comparison that shows nothing, if there is one: of those the one with the fewest pairs,
    for that is the weakest."""
    silent = [each for each in pairs if each.finding == "not shown"] or pairs
    weakest = min(silent, key=lambda each: (each.n_pairs, each.discordant))
    said = "That no difference is shown is no sign that there is none"
    if weakest.n_pairs > MOST_EXACT or not weakest.discordant:
        return f"{said}: the intervals hold what it may be."
    least = smallest_shown(weakest.n_pairs, round(weakest.discordant, 2))
    differ = f"{count(weakest.n_pairs)} pairs of which {share(weakest.discordant, 0)} differ"
    if least is None:
        return (
            f"{said}: with {differ}, one is missed more often than once in five tries, even if all "
            "of them go one way."
        )
    return (
        f"{said}: with {differ}, one of less than {100 * least:.0f} points is missed more often "
        "than once in five tries."
    )


def _length_words(found: EffectiveLength) -> str:
    end = "at least " if found.is_open else ""
    return f"{end}{count(found.n_tokens)} tokens ({count(found.low)} to {count(found.high)})"


def task_evidence(runs: Sequence[TaskRun], pairs: Sequence[Paired]) -> Iterator[str]:
    """How far each setting's context holds, how many comparisons were made, what was not asked."""
    names = RunNames(runs)
    near = nearest_pairs(pairs)[:MOST_PAIRS]
    told = [near[0].reference, *(each.run for each in near)] if near else runs[:MOST_PAIRS]
    shown = RunNames(told)
    lengths = [(run, found) for run in told if (found := effective_length(run))]
    if lengths:
        said = "; ".join(f"{_length_words(found)} with {shown.of(run)}" for run, found in lengths)
        yield f"Effective length: {said}; in brackets where 95 % of other draws of items lie."
    if len(pairs) > 1:
        yield (
            f"{len(pairs)} comparisons were made, and each p counts among all of them (Holm): one "
            "false finding in the whole table is no likelier than 5 %."
        )
    for run in runs:
        for why in run.missing:
            yield f"{names.of(run)}: {why}."
