"""Where contexts end, of the records of a search: the rows that answer it, what is in them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from oomph.frozen import frozen
from oomph.records.grouping import SettingNames, grouped
from oomph.records.summary import RecordSummary, by_setting
from oomph.units import count, mib
from oomph.views.map_squares import memory_map
from oomph.views.readings import cards_word, experts_word, stage_words
from oomph.views.table import Cell, Table, number

if TYPE_CHECKING:
    from oomph.advise.memory_map import MemoryGrid
    from oomph.analysis.real_card import RealCard


@frozen
class End:
    """Where one combination's contexts end.

    `ran` is the largest that ran to its end, `failed` the record of the smallest beyond it that
    did not; `predicted` and `on_real_card` are estimates, the latter beside a CUDA context, and
    only for a phantom.
    """

    setting: str
    n_expert_used: int | None
    ran: int | None
    failed: RecordSummary | None
    predicted: int | None
    on_real_card: int | None


def ends_of(
    summaries: Sequence[RecordSummary],
    grids: Sequence["MemoryGrid"] = (),
    real: "RealCard | None" = None,
) -> list[End]:
    """One for each setting and number of experts, in the order of the records."""
    groups = by_setting(each for each in summaries if each.memory_limit_bytes is None)
    names = SettingNames(groups)
    ends = []
    for key, own in groups.items():
        chart = memory_map(own, {})
        grid = next((g for g in grids if own[0].record.record_id in g.record_ids), None)
        for experts in chart.experts:
            row = [each for each in own if each.n_expert_used == experts]
            ran, _ = chart.measured(experts)
            failed = [each for each in row if not each.succeeded and each.n_ctx > (ran or 0)]
            ends.append(
                End(
                    setting=names.of(key),
                    n_expert_used=experts,
                    ran=ran,
                    failed=min(failed, key=lambda each: each.n_ctx, default=None),
                    predicted=grid.frontier.get(experts) if grid and ran else None,
                    on_real_card=real.n_ctx.get((key, experts)) if real else None,
                )
            )
    return ends


def ends_table(ends: Sequence[End]) -> Table:
    """What runs full, how the next one ended, what was predicted: one row for the numbers of
    experts that end alike."""
    alike = grouped(ends, lambda end: (end.setting, *(cell.text for cell in _cells(end))))
    rows = tuple(
        (Cell(own[0].setting), _experts([end.n_expert_used for end in own]), *_cells(own[0]))
        for own in alike.values()
    )
    columns = (
        "setting",
        "n_expert_used",
        "runs full to n_ctx",
        "the next one tried",
        "predicted",
        "beside a CUDA context",
    )
    return Table(caption="The largest context, filled to its end", columns=columns, rows=rows)


def _experts(values: Sequence[int | None]) -> Cell:
    return Cell(", ".join(map(experts_word, values)), values[0])


def _cells(end: End) -> tuple[Cell, ...]:
    return (
        number(end.ran) if end.ran else Cell("none runs", 0),
        Cell(_failure(end)),
        number(end.predicted),
        number(end.on_real_card),
    )


def _failure(end: End) -> str:
    if end.failed is None:
        return "nothing larger was tried"
    if end.ran is None:
        return stage_words(end.failed.record)
    return f"{count(end.failed.n_ctx)}: {stage_words(end.failed.record)}"


def frontier_findings(ends: Sequence[End], summary: RecordSummary) -> dict[str, Any] | None:
    """What the headline says of the setting with the most contexts that ran; None where none
    did."""
    groups: dict[str, list[End]] = {}
    for end in ends:
        if end.ran is not None:
            groups.setdefault(end.setting, []).append(end)
    if not groups:
        return None
    own = max(groups.values(), key=len)
    ran = [end.ran for end in own if end.ran is not None]
    real = [end.on_real_card for end in own if end.on_real_card is not None]
    return {
        "case": "frontier",
        "least": min(ran),
        "most": max(ran),
        "is_open": all(end.failed is None for end in own),
        "setting": own[0].setting,
        "card": cards_word(summary.record),
        "least_real": min(real, default=None),
        "most_real": max(real, default=None),
    }


def basis(summaries: Sequence[RecordSummary], real: "RealCard | None" = None) -> Iterator[str]:
    """What is in the figures of memory, and what is not."""
    first = summaries[0].record
    if not summaries[0].has_cards:
        yield (
            "In these figures: the buffers that llama.cpp allocates in RAM. Not in them: the "
            "program itself, and the operating system."
        )
        return
    if first.environment.backend != "phantom":
        yield (
            "In these figures: all that NVML counts on the card while the model runs, the CUDA "
            "context too. Not in them: a reserve for a desktop or other programs."
        )
        return
    context = f", about {mib(real.context_bytes)} by prediction" if real else ""
    yield (
        "In these figures: weights, KV cache, compute buffers, and what CUDA's backend allocates "
        "while a context is filled to its end. "
        f"Not in them: the CUDA context that a process holds on a real card{context}, and a "
        "reserve for a desktop or other programs (0 MiB). A phantom card computes nothing, so "
        "there is no speed."
    )
