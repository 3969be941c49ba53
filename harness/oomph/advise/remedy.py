"""What would have fitted: the step to take after an out-of-memory, found with the estimator.

The measured side knows what was short, the estimated side what a smaller knob would take; this is
where the two meet. Of the knobs that could be turned, those are offered that shrink what was being
allocated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu as find_gpu
from oomph.measure.advice import free_bytes
from oomph.measure.logs import logged_knobs
from oomph.measure.outcome import Classification, classify
from oomph.units import count


def remedy(estimator: Estimator, config: RunConfig, outcome: str) -> str | None:
    """One sentence with a value that fits the estimator's card, None where the outcome is none of
    memory.

    Raises ConfigError where the estimator knows no card.
    """
    offers = _OFFERS.get(outcome)
    if offers is None:
        return None
    found = [offer for make in offers for offer in make(estimator, config)]
    if not found:
        return (
            "nothing smaller of these knobs fits the card either: take a smaller quantization or "
            "another card"
        )
    return f"{' or '.join(found[:2])} would have fitted"


def logged_config(lines: Sequence[str], *, base: RunConfig | None = None) -> RunConfig:
    """`base` with the knobs that llama.cpp reported in the log; what it does not say stays."""
    return (base or RunConfig()).with_(**logged_knobs(lines))


def classify_log(
    lines: Sequence[str],
    exit_code: int | None = None,
    *,
    timed_out: bool = False,
    model: str | None = None,
    gpu: str | None = None,
) -> Classification:
    """How a run ended, by its log; with the model's name its advice says what would have fitted
    too, on the named card or in what the log says was free.

    ConfigError where the model is named and neither card nor free memory is known.
    """
    found = classify(exit_code, lines, timed_out=timed_out)
    if model is None:
        return found
    free = free_bytes(lines)
    if gpu is None and free is None:
        raise ConfigError(
            "what would have fitted depends on the card: the log does not name its memory, add "
            "--gpu"
        )
    card = find_gpu(gpu) if gpu else None
    estimator = Estimator(read_model(model), card, gpu_memory_bytes=free)
    step = remedy(estimator, logged_config(lines), found.outcome)
    return replace(found, advice=f"{found.advice}; {step}") if step else found


Offer = Callable[[Estimator, RunConfig], Iterator[str]]


def _shorter(estimator: Estimator, config: RunConfig) -> Iterator[str]:
    n_ctx = estimator.max_context(limit=config.n_ctx, **_but(config, "n_ctx"))
    if 0 < n_ctx < config.n_ctx:
        yield f"n_ctx {count(n_ctx)}"


def _coarser_cache(estimator: Estimator, config: RunConfig) -> Iterator[str]:
    fused = config.with_(flash_attn="on")
    kind = estimator.best_kv_type(**_but(fused, "type_k", "type_v"))
    if kind is not None and kind != config.type_k:
        yield f"type_k and type_v {kind} with flash attention"


def _smaller_batch(estimator: Estimator, config: RunConfig) -> Iterator[str]:
    n_ubatch = estimator.max_ubatch(**_but(config, "n_ubatch"))
    if 0 < n_ubatch < config.n_ubatch:
        yield f"n_ubatch {n_ubatch}"


def _fused(estimator: Estimator, config: RunConfig) -> Iterator[str]:
    if config.flash_attn == "off" and estimator.fits(config.with_(flash_attn="on")):
        yield "flash_attn on"


def _fewer_on_card(estimator: Estimator, config: RunConfig) -> Iterator[str]:
    if (
        estimator.model.is_moe
        and (layers := estimator.min_cpu_moe(**_but(config, "n_cpu_moe"))) is not None
    ):
        if layers > config.n_cpu_moe:
            yield f"n_cpu_moe {layers}"
    elif layers := estimator.max_gpu_layers(**_but(config, "n_gpu_layers")):
        yield f"n_gpu_layers {layers}"


_OFFERS: Final[Mapping[str, tuple[Offer, ...]]] = {
    "oom_weights": (_fewer_on_card,),
    "oom_kv": (_shorter, _coarser_cache, _fewer_on_card),
    "oom_compute": (_fused, _smaller_batch, _shorter, _fewer_on_card),
    "oom_runtime": (_fused, _shorter, _smaller_batch, _fewer_on_card),
}


def _but(config: RunConfig, *names: str) -> dict[str, Any]:
    """The configuration's knobs without those that are sought."""
    return {name: value for name, value in config.to_dict().items() if name not in names}
