"""How a run ended, by its log, and what would have fitted instead.

The measured side knows what ran out, the estimated side what a smaller knob would take; here the
two meet.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from oomph.advise.alternatives import would_have_fitted
from oomph.architectures.source import read_model
from oomph.config import RunConfig, keys_of
from oomph.errors import UnknownNameError
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.overhead import context_bytes
from oomph.gpus import GpuSpec
from oomph.gpus import gpu as find_gpu
from oomph.measure.logs.devices import Devices, read_devices
from oomph.measure.logs.outcome import RAN_OUT, Classification
from oomph.measure.logs.reported import logged_build, logged_knobs
from oomph.measure.logs.runs import classify_runs, decisive, split_runs
from oomph.programs.said import Said
from oomph.units import count, mib


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """The run of a log that its reader asks about, and all the log's runs in order."""

    found: Classification
    runs: tuple[Classification, ...]


def classify_log(
    lines: Sequence[str],
    exit_code: int | None = None,
    *,
    timed_out: bool = False,
    model: str | None = None,
    gpu: str | None = None,
    said: Said | None = None,
) -> FailedRun:
    """How a run ended, by its log; with the model's name its advice names what would have fitted
    too, on the named card or in what the log says was free. What the log does not tell is as it was
    `said` on the run's command line, in whose flags the advice is then given too.

    A log of several runs is told by the one that its reader asks about. What would have fitted is
    not computed, and the advice says why, where the log tells neither n_ctx nor the card's memory.
    """
    parts = split_runs(lines)
    runs = classify_runs(parts, exit_code, timed_out=timed_out)
    found = decisive(runs)
    if model is not None and found.outcome in RAN_OUT:
        step = _remedy(parts[runs.index(found)], found, model, gpu, said)
        found = replace(found, advice=f"{found.advice}; {step}")
    return FailedRun(found=found, runs=runs)


def _remedy(
    lines: Sequence[str], found: Classification, model: str, gpu: str | None, said: Said | None
) -> str:
    """What would have fitted, and what that assumes; why it is not computed where the log and the
    command line say too little."""
    devices = read_devices(lines)
    free = devices.free_bytes
    if gpu is None and not free:
        return (
            "what would have fitted is not computed: it depends on the card's memory, which the "
            "log does not name; add --gpu"
        )
    if found.context not in (None, "target"):
        return (
            "what would have fitted is not computed: it is of the main context alone, and that was "
            f"not the {found.context} that failed"
        )
    card = find_gpu(gpu) if gpu else _card(devices)
    held = context_bytes(card, default_coefficients()) if card else 0
    estimator = Estimator(
        read_model(model),
        card,
        gpu_memory_bytes=min(free) + held if free else None,
        build=logged_build(lines),
    )
    base = said.config(estimator.model, estimator.gpu_memory_bytes) if said else RunConfig()
    knobs = logged_knobs(lines)
    if "n_ctx" not in knobs and (said is None or "n_ctx" not in said.knobs):
        return (
            "what would have fitted is not computed: the log does not tell n_ctx; give its "
            "beginning too, or the command line with --command"
        )
    if devices.cards:
        knobs["n_devices"] = len(devices.cards)
    config = base.with_(**knobs)
    step = would_have_fitted(estimator, config, found.outcome)
    if step is None:
        return "no knob of the card's memory bears on it"
    return step + (_in_flags(step, said) if said else "") + _assumed(config, devices)


def _card(devices: Devices) -> GpuSpec | None:
    """The card that the log names, None where it names none or one that is not known."""
    name = devices.cards[0].name
    with suppress(UnknownNameError):
        return find_gpu(name) if name else None
    return None


def _assumed(config: RunConfig, devices: Devices) -> str:
    """What that was computed for; a process asks for the free memory once its context is on the
    card, so that is not counted twice."""
    if not devices.free_bytes:
        return f" (n_ctx was {count(config.n_ctx)})"
    told = ", ".join(
        f"{mib(free)} on {card.device}"
        for card, free in zip(devices.cards, devices.free_bytes, strict=True)
    )
    return f" (n_ctx was {count(config.n_ctx)}; free by the log: {told})"


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
