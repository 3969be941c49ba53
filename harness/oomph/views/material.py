"""What a chapter is made of: records of one model on one machine, and what follows of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from oomph.estimate.prediction import Prediction
from oomph.quality.comparisons import Paired, compare_runs
from oomph.quality.tasks import TaskRun, task_runs
from oomph.records.grouping import SettingNames
from oomph.records.summary import RecordSummary, by_setting
from oomph.views.readings import card_bytes
from oomph.views.tables import memory_word

if TYPE_CHECKING:
    from oomph.advise.memory_map import MemoryGrid
    from oomph.analysis.real_card import RealCard
    from oomph.calibrate.comparison import Comparison
    from oomph.calibrate.result import FitResult


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a chapter is made of: records of one model on one machine, and what is computed around
    them.

    `dry_runs` are records of the same configurations on phantom cards, by the record id of the real
    run; `real` is what a phantom's frontiers become on a real card.
    """

    summaries: Sequence[RecordSummary]
    predictions: Mapping[str, Prediction] = field(default_factory=dict)
    comparisons: Sequence["Comparison"] = ()
    fit: "FitResult | None" = None
    memory_grids: Sequence["MemoryGrid"] = ()
    dry_runs: Mapping[str, RecordSummary] = field(default_factory=dict)
    real: "RealCard | None" = None

    @property
    def has_memory(self) -> bool:
        """Whether any record tells of memory: rows of others' tables have speeds alone."""
        return any(each.components or each.peak_bytes for each in self.summaries)

    @property
    def cards(self) -> bool:
        """Whether the memory that counts is a card's."""
        return self.summaries[0].has_cards

    @property
    def card_bytes(self) -> int | None:
        """What all cards of these records have to give; None without one, or where a record does
        not say."""
        return card_bytes(self.summaries[0].record)

    @property
    def memory_word(self) -> str:
        """`VRAM` or `Memory`, to begin a sentence with."""
        return memory_word(self.summaries).replace("memory", "Memory")

    @cached_property
    def task_runs(self) -> list[TaskRun]:
        """The settings that were asked tasks."""
        return task_runs(self.summaries)

    @cached_property
    def task_pairs(self) -> list[Paired]:
        """Each of them against its reference, over all items."""
        return compare_runs(self.task_runs)

    @cached_property
    def free(self) -> list[RecordSummary]:
        """Those that had the whole machine."""
        return [summary for summary in self.summaries if summary.memory_limit_bytes is None]

    @property
    def shown_comparisons(self) -> list["Comparison"]:
        """The comparisons without those of prompts that a page does not show, and without a
        phantom's host, where no driver takes memory."""
        depths = {r.record.record_id: {t.n_depth for t in r.timings} for r in self.summaries}
        phantom = self.summaries[0].record.environment.backend == "phantom"
        return [
            each
            for each in self.comparisons
            if (not each.quantity.startswith("prefill") or each.n_depth in depths[each.record_id])
            and not (phantom and each.quantity == "host_bytes")
        ]

    def leading(self, counts: Callable[[RecordSummary], bool]) -> list[RecordSummary]:
        """Of `free`, the setting in which `counts` holds for the most records."""
        return max(self.settings, key=lambda group: sum(map(counts, group)), default=[])

    @cached_property
    def settings(self) -> list[list[RecordSummary]]:
        """`free`, setting by setting."""
        return list(by_setting(self.free).values())

    @cached_property
    def _names(self) -> SettingNames:
        return SettingNames(group[0].setting for group in self.settings)

    def words(self, summaries: Sequence[RecordSummary]) -> str:
        """` (KV f16, flash_attn on)`: what tells these records' setting from the others; empty for
        the only one."""
        words = self._names.of(summaries[0].setting) if summaries else ""
        return f" ({words})" if words else ""

    def grid(self, summaries: Sequence[RecordSummary]) -> "MemoryGrid | None":
        """What is predicted around these records."""
        return next(
            (
                each
                for each in self.memory_grids
                if summaries and summaries[0].record.record_id in each.record_ids
            ),
            None,
        )
