"""How a run ended, by its log, and what would have fitted instead.

The measured side knows what ran out, the estimated side what a smaller knob would take; here the
two meet.
"""

from collections.abc import Sequence
from dataclasses import replace

from oomph.advise.alternatives import would_have_fitted
from oomph.architectures.source import read_model
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu as find_gpu
from oomph.measure.advice import free_bytes
from oomph.measure.logs import logged_knobs
from oomph.measure.outcome import Classification, classify


def logged_config(lines: Sequence[str], *, base: RunConfig | None = None) -> RunConfig:
    """`base` with the knobs that llama.cpp reported in the log; what it does not name stays."""
    return (base or RunConfig()).with_(**logged_knobs(lines))


def classify_log(
    lines: Sequence[str],
    exit_code: int | None = None,
    *,
    timed_out: bool = False,
    model: str | None = None,
    gpu: str | None = None,
) -> Classification:
    """How a run ended, by its log; with the model's name its advice names what would have fitted
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
    step = would_have_fitted(estimator, logged_config(lines), found.outcome)
    return replace(found, advice=f"{found.advice}; {step}") if step else found
