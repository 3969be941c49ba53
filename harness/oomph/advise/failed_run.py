"""How a run ended, by its log, and what would have fitted instead.

The measured side knows what ran out, the estimated side what a smaller knob would take; here the
two meet.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from oomph.advise.alternatives import would_have_fitted
from oomph.architectures.projector_catalogue import USUAL, projector_of
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.aboard import riders_of
from oomph.cards import Card, CardNames, numbered, read_cards, run_cards
from oomph.config import RunConfig, keys_of
from oomph.errors import ConfigError, UnknownNameError
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator
from oomph.estimate.machine import Machine, reserve_size
from oomph.estimate.overhead import context_bytes
from oomph.frozen import frozen
from oomph.gpus import GpuSpec
from oomph.gpus import gpu as find_gpu
from oomph.measure.logs.devices import Devices, read_devices
from oomph.measure.logs.outcome import RAN_OUT, Classification
from oomph.measure.logs.reported import logged_build, logged_knobs
from oomph.measure.logs.runs import classify_runs, decisive, split_runs
from oomph.programs.said import Said
from oomph.speculation import MTP
from oomph.units import count, mib

DRAFTING: Final = ("mtp", "draft")
"""Contexts of a log that draft."""
SEEING: Final = "projector"
"""That of a log's projector."""


@frozen
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
    gpu: CardNames = None,
    said: Said | None = None,
    reserve: str | None = None,
) -> FailedRun:
    """How a run ended, by its log; with the model's name its advice names what would have fitted
    too, on the named cards or in what the log says was free. What the log does not tell is as it
    was `said` on the run's command line, in whose flags the advice is then given too.
    `reserve` is what each card leaves to others, as 1GiB.

    A log of several runs is told by the one that its reader asks about. What would have fitted is
    not computed, and the advice says why, where the log tells neither n_ctx nor the card's memory.
    """
    parts = split_runs(lines)
    runs = classify_runs(parts, exit_code, timed_out=timed_out)
    found = decisive(runs)
    if model is not None and found.outcome in RAN_OUT:
        machine = Machine(reserve_bytes=reserve_size(reserve or "0"))
        step = _remedy(parts[runs.index(found)], found, model, gpu, said, machine)
        found = replace(found, advice=f"{found.advice}; {step}")
    return FailedRun(found=found, runs=runs)


def _remedy(
    lines: Sequence[str],
    found: Classification,
    model: str,
    gpu: CardNames,
    said: Said | None,
    machine: Machine,
) -> str:
    """What would have fitted, and what that assumes; why it is not computed where the log and the
    command line say too little."""
    devices = read_devices(lines)
    try:
        cards = _cards(gpu, devices)
    except UnknownNameError as error:
        return f"what would have fitted is not computed: {error}"
    if not cards:
        return (
            "what would have fitted is not computed: it depends on the card's memory, which the "
            "log does not name; add --gpu"
        )
    if found.context not in (None, "target", SEEING, *DRAFTING):
        return (
            "what would have fitted is not computed: it is of models, and that was not the "
            f"{found.context} that failed"
        )
    spec, build = read_model(model), logged_build(lines)
    said = _as_seeing(_as_drafting(said, found), found, spec)
    if found.context == SEEING and not (said and said.files.get("mmproj")):
        return (
            "what would have fitted is not computed: no projector of this model is in the "
            "catalogue; give the command line with --command"
        )
    riders = riders_of(spec, said, build) if said else ()
    estimator = Estimator(spec, cards, build=build, machine=machine, riders=riders)
    base = said.config(estimator.model, estimator.gpu_memory_bytes) if said else RunConfig()
    knobs = logged_knobs(lines)
    if "n_ctx" not in knobs and (said is None or "n_ctx" not in said.knobs):
        return (
            "what would have fitted is not computed: the log does not tell n_ctx; give its "
            "beginning too, or the command line with --command"
        )
    if devices.cards or len(cards) > 1:
        knobs["n_devices"] = len(devices.cards) or len(cards)
    config = base.with_(**knobs)
    if found.context == "draft" and not estimator.riders:
        return (
            "what would have fitted is not computed: it depends on the draft model, which the log "
            "does not name; give the command line with --command"
        )
    try:
        step = would_have_fitted(estimator, config, found.outcome, context=found.context)
    except ConfigError as error:  # the model that is named has no such head
        return f"what would have fitted is not computed: {error}"
    if step is None:
        return "no knob of the card's memory bears on it"
    return step + (_in_flags(step, said) if said else "") + _assumed(config, devices)


def _as_drafting(said: Said | None, found: Classification) -> Said | None:
    """What was said; of a run without its command line, whose MTP context failed, that it had
    one."""
    if said is None and found.context == "mtp":
        return Said(knobs={"spec_type": MTP})
    return said


def _as_seeing(said: Said | None, found: Classification, model: ModelSpec) -> Said | None:
    """What was said; of a run whose projector failed and was not named, that it was the model's own
    published one."""
    if found.context != SEEING or projector_of(model) is None:
        return said
    told = said or Said()
    return told if told.files.get("mmproj") else told.beside(mmproj=USUAL)


def _cards(gpu: CardNames, devices: Devices) -> tuple[Card, ...]:
    """The cards that are named, else those of the log, each with what the log says was free of it;
    none where neither tells. ConfigError where the two are not of so many."""
    named, free = read_cards(gpu), devices.free_bytes
    if not free:
        return named
    if len(named) > 1 and len(named) != len(free):
        raise ConfigError(
            f"the log names {len(free)} cards and --gpu {len(named)}; name those of the log"
        )
    if named:
        specs = [card.spec for card in run_cards(named, len(free))]
    else:
        specs = [_spec(card.name) for card in devices.cards[: len(free)]]
    return numbered(_loaded(spec, n_bytes) for spec, n_bytes in zip(specs, free, strict=True))


def _loaded(spec: GpuSpec | None, free_bytes: int) -> Card:
    """The card of which so much was free once its CUDA context was there."""
    held = context_bytes(spec, default_coefficients()) if spec else 0
    return Card(spec=spec, memory_bytes=free_bytes + held, free_bytes=free_bytes)


def _spec(name: str | None) -> GpuSpec | None:
    """The card of that name, None where it is not known."""
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


_OFFERED: Final = re.compile(
    r"\b(n_ctx|n_ubatch|n_cpu_moe|n_gpu_layers|flash_attn|spec_draft_n_max|image_max_tokens)"
    r" ([\d,]+|on)\b"
)


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
