"""What runs out first, and at which fill, in the order in which llama.cpp allocates.

Stands apart from the sums of `estimate`, which only say how much: a configuration can load and die
thousands of tokens later, because ggml-cuda's pool grows with the prompt, and without flash
attention with every cell that is filled.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Literal

from oomph.cards import Card
from oomph.config import CONTEXT_STEP, RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import context_bytes, cublas_bytes, pool_bytes
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

Stage = Literal["context", "weights", "kv_cache", "compute", "run"]
"""The CUDA context; weights while the model loads; cache and compute buffer while the context is
made; the pool."""


@frozen
class FirstFailure:
    """The first allocation that fails on `device`; `short_bytes` is what the whole configuration
    lacks there.

    `n_filled` is how many tokens are in the context by then: None before there is a context, 0 in
    the first prompt.
    """

    device: str
    stage: Stage
    short_bytes: int
    n_filled: int | None = None


def margin_bytes(memory: MemoryEstimate, room_bytes: Mapping[str, int]) -> int:
    """What the card that has the least left of its room has left once the context is full; negative
    is what it is short of. 0 where no card is used."""
    left = (n_bytes - memory.devices[name].total_bytes for name, n_bytes in room_bytes.items())
    return min(left, default=0)


def first_failure(
    estimator: Estimator, config: RunConfig, memory: MemoryEstimate
) -> FirstFailure | None:
    """What fails first of `config`, whose estimate is `memory`; None where everything fits."""
    found = [
        _on_card(estimator, config, card, memory.devices[name])
        for name, card in estimator.cards_in(config).items()
    ]
    return min((each for each in found if each), key=_order, default=None)


def _order(failure: FirstFailure) -> tuple[int, int]:
    stages = ("context", "weights", "kv_cache", "compute", "run")
    return stages.index(failure.stage), failure.n_filled or 0


def _on_card(
    estimator: Estimator, config: RunConfig, card: Card, device: DeviceMemory
) -> FirstFailure | None:
    short = device.total_bytes - card.memory_bytes
    if short <= 0:
        return None
    gpu, coefficients = card.spec, estimator.coefficients or default_coefficients()
    context = context_bytes(gpu, coefficients) if gpu else card.context_bytes
    handle = cublas_bytes(estimator.model, config, gpu, coefficients) if gpu else 0
    parts: tuple[tuple[Stage, int], ...] = (
        ("context", context),
        ("weights", device.weights_bytes),
        ("kv_cache", device.kv_cache_bytes + device.recurrent_bytes),
        ("compute", device.compute_bytes),
    )
    left = card.memory_bytes
    for stage, n_bytes in parts:
        left -= n_bytes
        if left < 0:
            return FirstFailure(device=card.device, stage=stage, short_bytes=short)
    assert gpu is not None, "a card without a name has no pool"
    return FirstFailure(
        device=card.device,
        stage="run",
        short_bytes=short,
        n_filled=_last_fill(estimator, config, gpu, left - handle),
    )


def _last_fill(estimator: Estimator, config: RunConfig, gpu: GpuSpec, room_bytes: int) -> int:
    """The tokens up to which the pool stays within `room_bytes`, in whole micro-batches; 0 where
    none does.

    A pool at a fill is that of a context of so many tokens.
    """
    steps = -(-config.n_ctx // CONTEXT_STEP)

    def is_short(step: int) -> bool:
        return (
            pool_bytes(estimator.model, config.with_(n_ctx=step * CONTEXT_STEP), gpu) > room_bytes
        )

    held = bisect_left(range(1, steps), True, key=is_short) * CONTEXT_STEP
    return held // config.n_ubatch * config.n_ubatch
