"""How long items take on the machine that was measured, by its own prefill and decode rates."""

import re
from collections.abc import Sequence
from statistics import fmean

from oomph.quality.comparisons import Paired
from oomph.quality.tasks import TaskRun
from oomph.records.schema import TaskItem
from oomph.records.summary import Rate

_BEYOND = 1.25
"""How much further than it was measured a rate is taken to hold."""

Costs = Sequence[tuple[float, float]]
"""Seconds per token by depth, ascending."""


def asking_s(run: TaskRun) -> float | None:
    """Seconds of one item of the run, on average: its prompt read, and the room for its answer
    written to the end. None where the records hold no rate that reaches so deep, or no length."""
    prefill, decode = _costs(run, "pp"), _costs(run, "tg")
    if not prefill or not decode:
        return None
    each = [_item_s(item, prefill, decode) for item in run.items.values()]
    known = [seconds for seconds in each if seconds is not None]
    return fmean(known) if each and len(known) == len(each) else None


def hours_needed(comparison: Paired) -> float | None:
    """Hours in which as many items as would show this difference are asked of both settings, one
    after the other; None where that is not known, or nothing was measured of speed."""
    own, other = asking_s(comparison.run), asking_s(comparison.reference)
    if comparison.n_needed is None or own is None or other is None:
        return None
    return comparison.n_needed * (own + other) / 3600


def _costs(run: TaskRun, kind: str) -> list[tuple[float, float]]:
    """Of the record with the most rates that nothing disturbed."""
    quiet = ([r for r in each.rates(kind) if not r.is_disturbed] for each in run.summaries)
    rates: list[Rate] = max(quiet, key=len, default=[])
    return [(rate.n_depth + _n_tokens(rate) / 2, 1 / rate.tokens_per_s) for rate in rates]


def _n_tokens(rate: Rate) -> int:
    found = re.search(r"\d+", rate.test)
    return int(found[0]) if found else 0


def _item_s(item: TaskItem, prefill: Costs, decode: Costs) -> float | None:
    n_prompt, n_tokens = item.n_prompt, item.n_tokens
    if n_prompt is None or n_tokens is None or n_tokens < n_prompt:
        return None
    reading, writing = _cost(prefill, n_prompt / 2), _cost(decode, n_prompt)
    if reading is None or writing is None:
        return None
    return n_prompt * reading + (n_tokens - n_prompt) * writing


def _cost(costs: Costs, depth: float) -> float | None:
    """Seconds per token at a depth, between the two measured beside it; a token's time grows
    linearly with what attention reads."""
    before = max((each for each in costs if each[0] <= depth), default=None)
    after = min((each for each in costs if each[0] > depth), default=None)
    if before is None:
        return after[1] if after else None
    if after is None:
        return before[1] if depth <= _BEYOND * max(before[0], 1) else None
    way = (depth - before[0]) / (after[0] - before[0])
    return before[1] + way * (after[1] - before[1])
