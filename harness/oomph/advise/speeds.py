"""How fast a configuration is where a user waits: empty, full, and the first token.

Stands apart from `estimate.speed`, which answers for one depth: what a context costs is the way
from empty to full.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from oomph.advise.evidence import is_of, settled
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import MemoryEstimate, SpeedEstimate
from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.records.schema import Record


Interval = tuple[float, float]


@frozen
class Speeds:
    """Predictions for one configuration: `empty` at depth 0; `full` decodes in a full context of
    `n_ctx` tokens.

    That is one sequence's: its share where several have a cache of their own, and `slots` of `full`
    is all of them at once. `full`'s prefill is the mean over a prompt that fills the context, and
    `first_token_s` the seconds that it takes, with a 90 % interval where there is one.
    """

    n_ctx: int
    empty: SpeedEstimate
    full: SpeedEstimate
    first_token_s: float
    first_token_interval_90: Interval | None


@frozen
class MeasuredRate:
    """One measured median: prefill of `n_prompt` tokens after `n_depth` cells, or decode at that
    mean depth."""

    test: Literal["prefill", "decode"]
    n_prompt: int
    n_depth: int
    tokens_per_s: float
    record_id: str


def speeds(estimator: Estimator, config: RunConfig, memory: MemoryEstimate) -> Speeds | None:
    """The speeds of `config`, which takes `memory`; None where no card is named and, on a machine
    without one, nothing was calibrated; and for what cannot load."""
    n_ctx = config.deepest
    empty, prompt, decode = (
        estimator.speed(config.with_(n_depth=n), memory=memory) for n in (0, n_ctx // 2, n_ctx)
    )
    if empty is None or prompt is None or decode is None:
        return None
    rate, interval = prompt.prefill_tokens_per_s, prompt.prefill_interval_90
    return Speeds(
        n_ctx=n_ctx,
        empty=empty,
        full=SpeedEstimate(
            prefill_tokens_per_s=rate,
            prefill_interval_90=interval,
            decode_tokens_per_s=decode.decode_tokens_per_s,
            decode_interval_90=decode.decode_interval_90,
            bound_by=decode.bound_by,
            slots=decode.slots,
        ),
        first_token_s=n_ctx / rate,
        first_token_interval_90=(n_ctx / interval[1], n_ctx / interval[0]) if interval else None,
    )


def measured_rates(
    estimator: Estimator, config: RunConfig, records: "Iterable[Record]"
) -> Iterator[MeasuredRate]:
    """Warm rates of one sequence that records of this model, card, experts and cache hold, at
    whatever context."""
    from oomph.calibrate.comparison import record_config, speed_observations

    like = {"n_ctx": 1, "n_seq_max": 1, "n_outputs_max": None}
    asked = settled(config, estimator.model).of_memory().with_(**like)
    for record in records:
        same = (
            is_of(record, estimator)
            and settled(record_config(record), estimator.model).of_memory().with_(**like) == asked
        )
        for seen in (
            speed_observations(estimator, record) if same and record.outcome.label == "ok" else ()
        ):
            if seen.question.config.n_parallel == 1:
                yield MeasuredRate(
                    test=seen.test,
                    n_prompt=seen.n_prompt,
                    n_depth=int(seen.n_depth),
                    tokens_per_s=seen.tokens_per_s,
                    record_id=record.record_id,
                )
