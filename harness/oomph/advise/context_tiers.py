"""Context tiers: what a usual length costs in memory and waiting, predicted or seen.

Stands apart from `max_context`, which looks for the longest: most work is done in a context that
somebody has chosen.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from oomph.advise.first_failure import margin_bytes
from oomph.advise.speeds import Interval, MeasuredRate, measured_rates, speeds
from oomph.advise.verdict import POSSIBLE
from oomph.architectures.rope import RopeScaling, extension
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import Prediction, SpeedEstimate
from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.records.schema import Record


TIERS: Final = ((4096, 8192), (16384, 32768), (65536, 90_000), (131_072, 131_072))
"""From and to, in tokens; a tier is priced at its end."""


@frozen
class Tier:
    """A context of `n_ctx` tokens when it is full: `speed` is at that depth, `first_token_s` of a
    prompt that fills it. Both are None where it does not run.

    `measured_decode` and `measured_prefill` are the deepest that records hold between the tier's
    ends; None without.
    """

    low: int
    n_ctx: int
    total_vram_bytes: int
    margin_bytes: int
    probability: float | None
    speed: SpeedEstimate | None
    first_token_s: float | None
    first_token_interval_90: Interval | None
    scaling: RopeScaling | None
    measured_decode: MeasuredRate | None
    measured_prefill: MeasuredRate | None


def context_tiers(
    estimator: Estimator, config: RunConfig, records: "Sequence[Record]" = ()
) -> tuple[Tier, ...]:
    """Every tier with the other knobs as in `config`."""
    seen = list(measured_rates(estimator, config, records))
    return tuple(_tier(estimator, config.with_(n_ctx=high), low, seen) for low, high in TIERS)


def _tier(estimator: Estimator, config: RunConfig, low: int, seen: Sequence[MeasuredRate]) -> Tier:
    prediction = estimator.predict(config, longest=False)
    runs = prediction.fit_probability is None or prediction.fit_probability >= POSSIBLE
    whole = speeds(estimator, config, prediction.memory) if runs else None
    within = [rate for rate in seen if low // 2 < rate.n_depth <= config.n_ctx]
    return Tier(
        low=low,
        n_ctx=config.n_ctx,
        total_vram_bytes=prediction.memory.total_vram_bytes,
        margin_bytes=margin_bytes(prediction.memory, estimator.room_bytes(config)),
        probability=prediction.fit_probability,
        speed=_speed_when_full(estimator, prediction) if whole else None,
        first_token_s=whole.first_token_s if whole else None,
        first_token_interval_90=whole.first_token_interval_90 if whole else None,
        scaling=extension(estimator.model, config.n_ctx),
        measured_decode=_deepest(within, "decode"),
        measured_prefill=_deepest(within, "prefill"),
    )


def _speed_when_full(estimator: Estimator, prediction: Prediction) -> SpeedEstimate | None:
    """Both rates at the end of the context: the last micro-batch of a prompt, and decoding after
    it."""
    full = prediction.config.with_(n_depth=prediction.config.deepest)
    return estimator.speed(full, memory=prediction.memory)


def _deepest(seen: Sequence[MeasuredRate], test: str) -> MeasuredRate | None:
    return max(
        (rate for rate in seen if rate.test == test), key=lambda rate: rate.n_depth, default=None
    )
