"""Quality, speed and memory of each setting from the same records, and which nothing beats."""

from collections.abc import Hashable, Sequence

from oomph.frozen import frozen
from oomph.quality.tasks import score_of, setting_knobs, task_runs
from oomph.quality.text import References
from oomph.records.grouping import SettingNames, grouped, knob_set
from oomph.records.summary import RecordSummary, by_setting
from oomph.units import MIB, NOT_MEASURED, count, rate
from oomph.views.quality_cells import cost_against_reference, ratio_cell
from oomph.views.readings import run_words
from oomph.views.table import Cell, Table, number
from oomph.views.task_words import share_cell


@frozen
class Trade:
    """One setting at its largest context: the share of right answers to the items that all
    settings were asked, the ratio of its perplexity to the reference's, decoding where the context
    is emptiest, and memory. None is what was not measured."""

    name: str
    n_ctx: int
    right: Cell | None
    ratio: Cell | None
    decode_tokens_per_s: float | None
    n_bytes: int | None

    @property
    def worth(self) -> tuple[float, float, float] | None:
        """What is better when it is larger: quality, speed, less memory; None where one is not
        known. Quality is the share of right answers, else the ratio of perplexities."""
        ratio = self.ratio.key if self.ratio else None
        quality = self.right.key if self.right else None if ratio is None else -ratio
        if quality is None or self.decode_tokens_per_s is None or self.n_bytes is None:
            return None
        return quality, self.decode_tokens_per_s, -self.n_bytes

    def is_beaten_by(self, other: "Trade") -> bool:
        """Whether `other` is at least as good in all three with no smaller context, and better in
        one. By the figures as they are: intervals are in the other tables."""
        own, its = self.worth, other.worth
        if own is None or its is None or other.n_ctx < self.n_ctx:
            return False
        return own != its and all(theirs >= mine for mine, theirs in zip(own, its, strict=True))


def trades(summaries: Sequence[RecordSummary]) -> list[Trade]:
    """One a setting of those whose quality was measured; fewest experts first."""
    ran = [s for s in summaries if s.succeeded and s.memory_limit_bytes is None]
    right = _right(ran)
    references = References(each.record for each in ran)
    names = SettingNames(by_setting(ran))
    found = []
    for key, own in grouped(ran, _setting).items():
        last = max(own, key=lambda each: (bool(each.decode), each.n_ctx))
        cost = cost_against_reference(last.record, references)
        is_reference = references.of(last.record) is last.record
        ratio = Cell("1, the reference", 1.0) if is_reference else ratio_cell(cost)
        known = ratio if ratio.key is not None else None
        if key in right or known:
            rates = [each for each in last.decode if not each.is_disturbed]
            parts = sum(last.components.values()) or None
            found.append(
                Trade(
                    name=run_words(last, names).partition(", ")[2] or "as it is",
                    n_ctx=last.n_ctx,
                    right=right.get(key),
                    ratio=known,
                    decode_tokens_per_s=rates[0].tokens_per_s if rates else None,
                    n_bytes=last.peak_bytes if last.peak_bytes is not None else parts,
                )
            )
    return found


def _setting(summary: RecordSummary) -> Hashable:
    return knob_set(setting_knobs(summary))


def _right(summaries: Sequence[RecordSummary]) -> dict[Hashable, Cell]:
    """By setting, the share of right answers to the items that every setting was asked."""
    runs = task_runs(summaries)
    shared = set.intersection(*(set(run.items) for run in runs)) if runs else set()
    found = {}
    for run in runs:
        score = score_of([item for name, item in run.items.items() if name in shared])
        if score:
            found[knob_set(run.knobs)] = share_cell(score.right, score.right_interval)
    return found


def pareto_table(summaries: Sequence[RecordSummary]) -> Table:
    """One row a setting; the last column says which of the others beats it in all three. No row
    where fewer than two settings have all three measured."""
    rows = trades(summaries)
    if sum(each.worth is not None for each in rows) < 2:
        rows = []
    is_card = bool(summaries) and summaries[0].has_cards
    cells = tuple(
        (
            Cell(each.name),
            number(each.n_ctx),
            each.right or Cell(NOT_MEASURED),
            each.ratio or Cell(NOT_MEASURED),
            Cell(rate(each.decode_tokens_per_s), each.decode_tokens_per_s),
            number(each.n_bytes, unit=MIB),
            Cell(_verdict(each, rows)),
        )
        for each in rows
    )
    columns = (
        "setting",
        "n_ctx",
        "right answers",
        "perplexity, ratio to reference",
        "decode t/s",
        f"peak {'VRAM' if is_card else 'RSS'} MiB",
        "in all three",
    )
    n_items = _n_shared(summaries)
    items = f"; answers to the {count(n_items)} items that all were asked" if n_items else ""
    caption = "Quality, speed and memory, a row for each setting at its largest context"
    return Table(caption=f"{caption}{items}", columns=columns, rows=cells)


def _n_shared(summaries: Sequence[RecordSummary]) -> int:
    runs = task_runs(each for each in summaries if each.succeeded)
    return len(set.intersection(*(set(run.items) for run in runs))) if runs else 0


def _verdict(trade: Trade, others: Sequence[Trade]) -> str:
    if trade.worth is None:
        return "not all measured"
    better = [other.name for other in others if trade.is_beaten_by(other)]
    return f"beaten by {better[0]}" if better else "not beaten"
