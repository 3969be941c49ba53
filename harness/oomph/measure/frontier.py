"""The frontier: the largest context that really runs, filled to what it promises.

Loading proves nothing: without flash attention the run-time pool grows with the fill, and a context
that loads can abort thousands of tokens in. So every probe fills its context, and the search looks
for the last that survives. A prediction, where one is handed in, says where to look first; every
probe corrects it by what it saw.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from oomph.config import CONTEXT_STEP, RunConfig
from oomph.frozen import frozen
from oomph.measure.accidents import ran_out
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep, SweepFile
from oomph.records.schema import Record
from oomph.units import MIB

LIMIT: Final = 131_072
LEAST_FILL: Final = 1 / 8
"""An abort before this fraction of the context tells little of how memory grows with the fill."""

Slack = Callable[[RunConfig], float]
"""Bytes that a configuration is predicted to leave free on the card that is tightest; negative is
what is short."""


@frozen
class Frontier:
    """The end of one search. `n_ctx` is the largest that ran full, None where not even the smallest
    did.

    `reached_limit` says that nothing larger was asked; else `failed` is how the next one up
    (`failed_n_ctx`) ended: `n_filled` tokens in where it loaded, None where it did not.
    """

    config: RunConfig
    n_ctx: int | None
    predicted_n_ctx: int | None
    n_probes: int
    reached_limit: bool = False
    failed: str | None = None
    failed_n_ctx: int | None = None
    n_filled: int | None = None
    reason: str = ""

    @property
    def loads_and_aborts(self) -> bool:
        """Whether the next one up loads and dies while it is filled."""
        return self.failed == "oom_runtime"


class FrontierSearch:
    """Searches one model's frontiers through `runner`, which keeps every probe's record and finds
    it again."""

    def __init__(self, runner: Runner, *, model: str, limit: int = LIMIT) -> None:
        self._runner, self._model = runner, model
        self._limit = limit // CONTEXT_STEP * CONTEXT_STEP

    def find(self, config: RunConfig, *, slack: Slack | None = None) -> Frontier:
        """The frontier of `config`, whose own n_ctx is ignored; about three probes where `slack` is
        good."""
        search = _Search(config, self._limit, slack)
        while (n_ctx := search.next_n_ctx()) is not None:
            search.learn(n_ctx, self._probe(config.with_(n_ctx=n_ctx)))
        return search.frontier()

    def _probe(self, config: RunConfig) -> Record:
        """Load, fill and generate; the record of an earlier run where there is one."""
        sweep = filled_sweep(config, self._model)
        measured = list(self._runner.run(sweep))
        (record,) = measured or self._runner.finished(sweep)
        return record


class _Search:
    """What is known of one frontier, in contexts that are multiples of CONTEXT_STEP: `low` runs,
    `high` does not.

    At both ends it is kept how far the prediction was off; between them the error is taken as
    linear.
    """

    def __init__(self, config: RunConfig, limit: int, slack: Slack | None) -> None:
        self._config, self._limit, self._slack = config, limit, slack
        self._low, self._high = 0, limit + CONTEXT_STEP
        self._error_at_low: float | None = None
        self._error_at_high: float | None = None
        self._stride, self._ran_last = CONTEXT_STEP, True
        self._failure: Record | None = None
        self._stop = False
        self.n_probes = 0
        self._predicted = self._largest_fitting() if slack else None

    def next_n_ctx(self) -> int | None:
        """Where to look next, None when the frontier is found."""
        low, high = self._low, self._high
        if self._stop or high - low <= CONTEXT_STEP:
            return None
        if self._slack is None:
            return _middle(low, high)
        guess = self._largest_fitting()
        if not self.n_probes:
            return max(guess, CONTEXT_STEP)
        if self._ran_last:  # what ran may be the last: show that a little more does not
            return min(max(guess, low + self._stride), high - CONTEXT_STEP)
        below = min(guess, high - self._stride)
        return below if below > low else max(_middle(low, high), low + CONTEXT_STEP)

    def learn(self, n_ctx: int, record: Record) -> None:
        """Take in how a probe went."""
        self.n_probes += 1
        ran = record.outcome.label == "ok"
        if not ran:
            self._failure = record
        if not ran and not ran_out(record):
            self._stop = True
            return
        self._stride = (
            2 * self._stride if ran == self._ran_last and self.n_probes > 1 else CONTEXT_STEP
        )
        self._ran_last = ran
        seen = measured_slack(record) if ran else estimated_slack(record)
        error = (
            seen - self._slack(self._config.with_(n_ctx=n_ctx))
            if self._slack and seen is not None
            else None
        )
        if ran:
            self._low, self._error_at_low = n_ctx, error
        else:
            self._high, self._error_at_high = n_ctx, error

    def frontier(self) -> Frontier:
        """What was found."""
        failure = self._failure
        return Frontier(
            config=self._config.with_(n_ctx=self._low) if self._low else self._config,
            n_ctx=self._low or None,
            predicted_n_ctx=self._predicted,
            n_probes=self.n_probes,
            reached_limit=self._low == self._limit,
            failed=failure.outcome.label if failure else None,
            failed_n_ctx=int(failure.config["n_ctx"]) if failure else None,
            n_filled=failure.conditions.n_filled if failure else None,
            reason=failure.outcome.message if failure else "",
        )

    def _error(self, n_ctx: int) -> float:
        """By how much the prediction is off at `n_ctx`, from what the ends have shown."""
        low, high = self._error_at_low, self._error_at_high
        if low is not None and high is not None:
            return low + (high - low) * (n_ctx - self._low) / (self._high - self._low)
        return low if low is not None else high or 0.0

    def _largest_fitting(self) -> int:
        """The largest context from `low` to below `high` that fits by the prediction as
        corrected."""
        assert self._slack is not None
        low, high = self._low, self._high
        while high - low > CONTEXT_STEP:
            middle = _middle(low, high)
            if self._slack(self._config.with_(n_ctx=middle)) + self._error(middle) >= 0:
                low = middle
            else:
                high = middle
        return low


def frontiers(
    search: FrontierSearch, configs: Sequence[RunConfig], *, slack: Slack | None = None
) -> Iterator[Frontier]:
    """The frontier of each configuration, as it is found."""
    for config in configs:
        yield search.find(config, slack=slack)


def measured_slack(record: Record) -> float | None:
    """Bytes that a run left on its tightest card; None where the cards' memory was not watched."""
    peaks = {
        series.device: series.peak_bytes for series in record.memory if series.quantity == "vram"
    }
    room = _room(record)
    left = [room[device] - peak for device, peak in peaks.items() if device in room]
    return min(left, default=None)


def estimated_slack(record: Record) -> float | None:
    """Bytes that a failed run would have been short of; None where it left no trace of how many.

    A refused allocation tells what was missing for itself. An abort while filling tells at which
    depth the free memory was used up: the pool that grows with the fill would have grown on at that
    rate.
    """
    if record.outcome.short_mib is not None:
        return -record.outcome.short_mib * MIB
    n_ctx, n_filled = int(record.config["n_ctx"]), record.conditions.n_filled
    if record.outcome.label != "oom_runtime" or not n_filled or n_filled < n_ctx * LEAST_FILL:
        return None
    free = _free_after_load(record)
    return None if free is None else free * (1 - n_ctx / n_filled)


def _free_after_load(record: Record) -> float | None:
    """What llama.cpp's own buffers left on the tightest card."""
    placed = Counter[str]()
    for kind in ("model_mib", "kv_cache_mib", "recurrent_mib", "compute_mib"):
        for device, size_mib in record.buffer_mib(kind).items():
            placed[device] += round(size_mib * MIB)
    room = _room(record)
    left = [room[device] - size for device, size in placed.items() if device in room]
    return min(left, default=None)


def _room(record: Record) -> dict[str, int]:
    """What each card had for the run, less what others held; without the cards that do not tell. A
    ballast is among the others, and what is usable beside it was told already."""
    idle = {device: card.idle_bytes for device, card in record.conditions.cards.items()}
    cards = {f"CUDA{index}": card for index, card in enumerate(record.environment.gpus)}
    return {
        device: card["usable_bytes"] - max(0, held - card.get("ballast_bytes", 0))
        for device, card in cards.items()
        if card["usable_bytes"] is not None and (held := idle.get(device, 0)) is not None
    }


def filled_sweep(config: RunConfig, model: str) -> Sweep:
    """A sweep of one point: the context loaded, filled to the end, and generated into."""
    knobs: dict[str, Any] = config.to_dict()
    n_prompt = min(config.n_ubatch, config.n_ctx // 2)
    measure = {"timing": False, "depths": ("full",), "n_prompt": n_prompt, "n_gen": 4}
    return Sweep(file=SweepFile(name="frontier", model=model, config=knobs, measure=measure))


def _middle(low: int, high: int) -> int:
    return (low + high) // 2 // CONTEXT_STEP * CONTEXT_STEP
