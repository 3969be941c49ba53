"""The figures of tasks and positions: which settings they show, their words and their data."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from oomph.quality.positions import PositionCost, costs_by_position
from oomph.quality.tasks import TaskRun, reference_of, score_of, task_runs
from oomph.quality.text import References
from oomph.records.grouping import SettingNames
from oomph.records.summary import RecordSummary
from oomph.units import count, share
from oomph.views.figures import Picture
from oomph.views.material import Material
from oomph.views.plots_tasks import plot_costs, plot_scores
from oomph.views.readings import run_words
from oomph.views.table import Cell, Table, number
from oomph.views.task_words import RunNames, share_cell

MOST_LINES: Final = 6
"""Lines that can still be told apart."""


def shown_runs(runs: Sequence[TaskRun]) -> dict[str, TaskRun]:
    """The settings of a figure by their names: those that only the experts tell from the reference
    where there are more than can be told apart."""
    with_lengths = [run for run in runs if run.lengths]
    if len(with_lengths) > MOST_LINES:
        references = [reference_of(run, runs) for run in with_lengths]
        first = next((each for each in references if each), with_lengths[0])
        with_lengths = [run for run in with_lengths if _same_but_experts(run, first)][:MOST_LINES]
    names = RunNames(with_lengths)
    return {names.of(run): run for run in with_lengths}


def _same_but_experts(run: TaskRun, other: TaskRun) -> bool:
    return {**run.knobs, "n_expert_used": None} == {**other.knobs, "n_expert_used": None}


def costs_of(summaries: Sequence[RecordSummary]) -> dict[str, tuple[PositionCost, ...]]:
    """What settings cost against their reference by position, by their names, at the longest
    context; those first that fewest knobs tell from it."""
    scored = [each for each in summaries if each.succeeded and each.record.quality]
    longest = max((each.n_ctx for each in scored), default=0)
    scored = [each for each in scored if each.n_ctx == longest]
    references = References(each.record for each in scored)
    compared = [
        (
            sum(value != its.config.get(knob) for knob, value in each.record.config.items()),
            each,
            its,
        )
        for each in scored
        if (its := references.of(each.record)) is not None and its is not each.record
    ]
    shown: list[tuple[RecordSummary, tuple[PositionCost, ...]]] = []
    for _, each, its in sorted(compared, key=lambda found: found[0]):
        if each.record.quality and its.quality and len(shown) < MOST_LINES:
            bins = costs_by_position(each.record.quality, its.quality)
            shown += [(each, bins)] if len(bins) > 1 else []
    names = SettingNames(dict.fromkeys(each.setting for each, _ in shown))
    return {
        run_words(each, names).partition(", ")[2] or "the setting": bins for each, bins in shown
    }


def task_pictures(material: Material) -> Iterator[Picture]:
    """Right answers against length."""
    runs = shown_runs(task_runs(material.summaries))
    if runs and any(len(run.lengths) > 1 for run in runs.values()):
        whole = {name: score_of(run.of()) for name, run in runs.items()}
        said = "; ".join(f"{name}: {share(s.right, 0)} of {s.n}" for name, s in whole.items() if s)
        yield Picture(
            name="score-by-length",
            figure=plot_scores(runs),
            table=_scores_data(runs),
            caption="Right answers by length, with 95 % intervals (Wilson). Intervals that overlap "
            "tell nothing of a pair: the same items are compared in the tables.",
            alt=f"Share of right answers by setting and length: {said}",
        )


def cost_pictures(material: Material) -> Iterator[Picture]:
    """What settings cost against position."""
    costs = costs_of(material.summaries)
    if costs:
        said = "; ".join(
            f"{name}: {math.exp(bins[0].loss_nats.value):.3f} up to {count(bins[0].last)} tokens, "
            f"{math.exp(bins[-1].loss_nats.value):.3f} from {count(bins[-1].first)}"
            for name, bins in costs.items()
        )
        yield Picture(
            name="cost-by-position",
            figure=plot_costs(costs),
            table=costs_table(costs),
            caption="Perplexity beside the reference's by how much context a token was given, "
            "paired token by token, with 95 % intervals.",
            alt=f"Ratio of perplexities by setting and context: {said}",
        )


def _scores_data(runs: Mapping[str, TaskRun]) -> Table:
    rows = tuple(
        (
            Cell(name),
            number(n_tokens),
            number(score.n_right),
            number(score.n),
            share_cell(score.right, score.right_interval),
        )
        for name, run in runs.items()
        for n_tokens in run.lengths
        if (score := score_of(run.of(n_tokens=n_tokens)))
    )
    columns = ("setting", "length", "right", "items", "share")
    return Table(caption="Right answers by length", columns=columns, rows=rows)


def costs_table(costs: Mapping[str, Sequence[PositionCost]]) -> Table:
    """The ratio of perplexities and the KL divergence by bins of context."""
    rows = tuple(
        (
            Cell(name),
            Cell(f"{each.first:,} to {each.last:,}", each.first),
            number(each.loss_nats.n),
            ratio_of(each),
            number(each.divergence_nats.value if each.divergence_nats else None, digits=4),
        )
        for name, bins in costs.items()
        for each in bins
    )
    columns = ("setting", "context", "tokens", "ratio to reference", "KL divergence, nats")
    return Table(caption="Cost by position in the context", columns=columns, rows=rows)


def ratio_of(cost: PositionCost) -> Cell:
    """`1.016 (1.011 to 1.021)`: the ratio of perplexities of a bin and its 95 % interval."""
    ratio, ends = math.exp(cost.loss_nats.value), cost.loss_nats.interval()
    words = f" ({math.exp(ends[0]):,.3f} to {math.exp(ends[1]):,.3f})" if ends else ""
    return Cell(f"{ratio:,.3f}{words}", ratio)
