"""How a run ended, by its log, and what would have fitted instead.

The measured side knows what ran out, the estimated side what a smaller knob would take; here the
two meet.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from oomph.advise.alternatives import would_have_fitted
from oomph.architectures.source import read_model
from oomph.config import RunConfig, keys_of
from oomph.errors import ConfigError
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu as find_gpu
from oomph.measure.logs.advice import free_bytes
from oomph.measure.logs.outcome import Classification, classify
from oomph.measure.logs.reported import logged_knobs
from oomph.programs.said import Said


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
    said: Said | None = None,
) -> Classification:
    """How a run ended, by its log; with the model's name its advice names what would have fitted
    too, on the named card or in what the log says was free. What the log does not tell is as it was
    `said` on the run's command line, in whose flags the advice is then given too.

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
    base = said.config(estimator.model, estimator.gpu_memory_bytes) if said else None
    step = would_have_fitted(estimator, logged_config(lines, base=base), found.outcome)
    if step and said:
        step += _in_flags(step, said)
    return replace(found, advice=f"{found.advice}; {step}") if step else found


_OFFERED: Final = re.compile(r"\b(n_ctx|n_ubatch|n_cpu_moe|n_gpu_layers|flash_attn) ([\d,]+|on)\b")


def _in_flags(step: str, said: Said) -> str:
    """The values of `step` as flags of the command line's program, in place of those that it
    has."""
    keys = keys_of(said.program)
    flags = [
        f"--{keys[knob]} {value.replace(',', '')}"
        + (f" for {said.knobs[knob]}" if knob in said.knobs else "")
        for knob, value in _OFFERED.findall(step)
        if knob in keys
    ]
    return f" (in the command: {', or '.join(flags)})" if flags else ""
