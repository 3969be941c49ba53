"""Can I? One configuration on one card, with all that a careful person would ask.

Stands apart from the estimate, which gives figures: an answer has a verdict, says what it rests on,
what would fail first, what would settle it and what would do instead. It is data; its words are in
`oomph.views.answer`.
"""

import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from oomph.advise.alternatives import Offer, host_offers, offers
from oomph.advise.drafting import head_bytes
from oomph.advise.evidence import Evidence, evidence, settled
from oomph.advise.first_failure import FirstFailure, first_failure
from oomph.advise.max_context import longest_context, longest_divided
from oomph.advise.own_fit import OwnFit
from oomph.advise.placement.parts import Goal, LayerParts
from oomph.advise.placement.proof import Placed
from oomph.advise.placement.search import best_placement, front
from oomph.advise.quality_cited import QualityCited, quality_cited
from oomph.advise.quantizations import quantization_of
from oomph.advise.speeds import MeasuredRate, Speeds, measured_rates, speeds
from oomph.advise.verdict import EVEN, Verdict, host_verdict, verdict_of, worse
from oomph.architectures.rope import RopeScaling, extension, native_context, positions
from oomph.cards import UNNAMED_CONTEXT, kinds
from oomph.config import CONTEXT_STEP, MAX_SEQUENCES, RunConfig, knobs_by_memory, padded_context
from oomph.errors import ConfigError
from oomph.estimate.coefficients import Coefficients, default_coefficients
from oomph.estimate.estimator import LONGEST_CONTEXT, Estimator
from oomph.estimate.host import HostFit, runs
from oomph.estimate.host_memory import host_bytes
from oomph.estimate.machine import Machine
from oomph.estimate.overhead import context_bytes
from oomph.estimate.prediction import (
    CardFit,
    InputEstimate,
    MemoryEstimate,
    Prediction,
    Refused,
)
from oomph.frozen import frozen
from oomph.gpus import gpu_specs
from oomph.knob import Program
from oomph.programs.said import DEFAULT_PROGRAM, Said

if TYPE_CHECKING:
    from oomph.records.schema import Record


_NO_WORD_FOR: Final[Mapping[Program, tuple[str, ...]]] = {
    "ollama": ("n_cpu_moe", "n_expert_used", "n_outputs_max", "override_tensor", "tensor_split")
}
"""Knobs that a program cannot be told: offering them would be no way out."""
MODEL_FILE: Final = "MODEL.gguf"
"""Stands in a command for the file of a model that only its published shape is known of."""
WIDEST: Final = 0.95
"""The unlucky end of a 90 % interval: what then fails first is what to watch."""


@frozen
class Answer:
    """What can be said of `config` for `model` on `card` (None: on the host's memory).

    The verdict has two halves, the cards' (`card_verdict`) and the host's: it is the worse of them.
    `host` is the memory beside the cards.
    `n_expert_used` is None for a dense model. `cards` are those that it uses, each by itself.
    `memory_bytes` is that of the card with the least left (or of the host), `margin_bytes` what it
    has left when the context is full; negative is what is short. `probability` is None where
    nothing is known of the card but its memory. `is_measured` says that a record settled the
    verdict. `max_context` is the largest n_ctx that fits with 90 % probability, the other knobs as
    they are, and no more than `furthest_context`, which the model reaches or was asked;
    `max_context_split` is the split that it needs, None where that is the asked one.
    `first_failure` is what would fail first: of a configuration that surely fits, in the first
    context that does not. `goal` is what the best placement was asked for, `best`, and `front` are
    placements of which none is better in all; both hold what was said. `scaling` is what a context
    beyond the native one needs. `speeds` is None
    where it does not run, or none are known; `speed_reason` then says why, where the estimate can.
    `inputs` are what embeddings are made of, None where text is written: then contexts are inputs.
    `has_mtp` is whether the file has multi-token prediction, `head_bytes` what drafting with it
    would take of the cards besides, None where it is asked for already. `own_fit` is how the
    program's own --fit came to `config`, None where it was not asked. `quality` is what records
    say of answers and texts in settings near this one, None where no record was given.
    """

    model: str
    quantization: str | None
    arch: str
    n_layer: int
    n_expert_used: int | None
    card: str | None
    cards: tuple[CardFit, ...]
    said: Said
    own_fit: OwnFit | None
    config: RunConfig
    verdict: Verdict
    card_verdict: Verdict
    machine: Machine
    is_measured: bool
    refusal: Refused | None
    probability: float | None
    memory: MemoryEstimate
    memory_bytes: int
    margin_bytes: int
    host: HostFit
    host_bytes: int
    max_context: int | None
    max_context_split: tuple[float, ...] | None
    furthest_context: int
    native_context: int
    scaling: RopeScaling | None
    first_failure: FirstFailure | None
    first_failure_n_ctx: int | None
    speeds: Speeds | None
    speed_reason: str | None
    inputs: InputEstimate | None
    has_mtp: bool
    head_bytes: int | None
    measured: tuple[MeasuredRate, ...]
    evidence: tuple[Evidence, ...]
    quality: tuple[QualityCited, ...] | None
    calibration: str | None
    next_command: str | None
    offers: tuple[Offer, ...]
    goal: Goal | None
    best: Placed | None
    front: tuple[Placed, ...]


def answer_of(
    estimator: Estimator,
    config: RunConfig,
    records: "Sequence[Record]" = (),
    *,
    said: Said | None = None,
    fit: OwnFit | None = None,
    calibration: str | None = None,
    goal: Goal | None = None,
) -> Answer:
    """Whether `config` runs, and all that follows. `said` is what it came of, `fit` by what --fit,
    `calibration` names where the estimator's coefficients are from.

    The best placement is looked for where it does not fit, or where a `goal` asks for it.
    ConfigError where neither the RAM of a run without a card (n_devices 0) nor a card's memory is
    known, and for more sequences than llama.cpp serves.
    """
    said = said or Said(program="llama-cpp-python", knobs=config.unlike("llama-cpp-python"))
    on_host = config.n_devices == 0
    if config.n_seq_max > MAX_SEQUENCES:
        raise ConfigError(
            f"n_seq_max is {config.n_seq_max}; llama.cpp serves {MAX_SEQUENCES} sequences at most"
        )
    if estimator.machine.ram_bytes is None if on_host else not estimator.cards:
        raise ConfigError("what fits depends on the card: name a GPU, or give its memory")
    prediction = estimator.predict(config, longest=False)
    memory, refusal, host = prediction.memory, prediction.refused, prediction.host
    if tightest := min(prediction.cards, key=lambda card: card.margin_bytes, default=None):
        memory_bytes, left = tightest.memory_bytes, tightest.margin_bytes
        without_context = left + memory.devices[tightest.device].overhead_bytes
    else:
        memory_bytes = host.room_bytes or 0
        left = memory_bytes - host.memory.busy_bytes
        without_context = memory_bytes - host.memory.held_bytes
    sources = evidence(estimator, config, records)
    decisive = next((source for source in sources if source.settles), None)
    needed = 0 if on_host else UNNAMED_CONTEXT
    coefficients = estimator.coefficients or default_coefficients()
    verdict = _verdict(
        prediction, decisive, without_context, needed=needed, coefficients=coefficients
    )
    failure, failure_n_ctx = (
        (None, None)
        if on_host or refusal or (prediction.inputs and prediction.fits)
        else _first_to_fail(estimator, prediction, verdict)
    )
    card_verdict = verdict
    if decisive is None or host.state is not None:
        verdict = worse(verdict, host_verdict(host))
    is_wanting = (card_verdict != "yes" or not runs(host.state)) and refusal != "pooling"
    if verdict == "yes" and not said.is_whole:
        verdict = "probably"
    parts = LayerParts(estimator)
    longest, split = (
        (None, None)
        if on_host
        else longest_divided(
            estimator, config, holds_split=any(config.tensor_split or ()), parts=parts
        )
    )
    asks_for_best = not on_host and not refusal and (is_wanting or goal is not None)
    asked = fit.asked.with_(n_ctx=config.n_ctx) if fit else config
    held = _held(said)
    return Answer(
        model=estimator.model.name,
        quantization=quantization_of(estimator.model),
        arch=estimator.model.arch,
        n_layer=estimator.model.n_layer,
        n_expert_used=settled(config, estimator.model).n_expert_used,
        card=kinds(estimator.cards_in(config).values()),
        cards=prediction.cards,
        said=said,
        own_fit=fit,
        config=config,
        verdict=verdict,
        card_verdict=card_verdict,
        machine=estimator.machine,
        is_measured=decisive is not None,
        refusal=refusal,
        probability=prediction.fit_probability,
        memory=memory,
        memory_bytes=memory_bytes,
        margin_bytes=left,
        host=host,
        host_bytes=host_bytes(memory),
        max_context=longest,
        max_context_split=None if split == config.tensor_split else split,
        furthest_context=max(positions(estimator.model).furthest, padded_context(config.n_ctx)),
        native_context=native_context(estimator.model),
        scaling=extension(estimator.model, config.n_ctx),
        first_failure=failure,
        first_failure_n_ctx=failure_n_ctx,
        speeds=speeds(estimator, config, memory)
        if verdict in ("yes", "probably") and not prediction.inputs
        else None,
        speed_reason=prediction.speed_reason,
        inputs=prediction.inputs,
        has_mtp=estimator.model.integer("nextn_predict_layers", 0) > 0,
        head_bytes=head_bytes(estimator, config) if said.program == DEFAULT_PROGRAM else None,
        measured=tuple(measured_rates(estimator, config, records)),
        evidence=sources,
        quality=quality_cited(estimator.model, config, records) if records else None,
        calibration=calibration,
        next_command=None
        if decisive or refusal or on_host or prediction.inputs or _is_hopeless(failure)
        else settling_command(
            estimator,
            config,
            said.program,
            on_card=any(source.says == "runs" for source in sources),
        ),
        offers=_sayable(
            _offers(estimator, prediction, card_verdict, held, parts), config, said.program
        )
        if not on_host and refusal != "pooling"
        else (),
        goal=goal,
        best=best_placement(estimator, asked, goal=goal, held=held, parts=parts)
        if goal and asks_for_best
        else None,
        front=front(estimator, asked, held=held, parts=parts) if asks_for_best else (),
    )


def _held(said: Said) -> frozenset[str]:
    """The knobs that a placement leaves as they are: those that were said, and those that the
    program has no word for."""
    return frozenset(said.knobs) | frozenset(_NO_WORD_FOR.get(said.program, ()))


def _offers(
    estimator: Estimator,
    prediction: Prediction,
    card_verdict: Verdict,
    held: Collection[str],
    parts: LayerParts,
) -> tuple[Offer, ...]:
    """What would do instead: of the cards where they lack, else of the host."""
    if card_verdict != "yes":
        return offers(estimator, prediction, held=held, parts=parts)
    host = prediction.host
    return (
        host_offers(estimator, prediction, held=held, parts=parts)
        if host.state not in (None, "holds")
        else ()
    )


def _sayable(found: Sequence[Offer], config: RunConfig, program: Program) -> tuple[Offer, ...]:
    """The offers that the program can be told."""
    lacking = _NO_WORD_FOR.get(program, ())
    return tuple(
        offer
        for offer in found
        if all(getattr(offer.config, knob) == getattr(config, knob) for knob in lacking)
    )


def _verdict(
    prediction: Prediction,
    decisive: Evidence | None,
    without_context: int,
    *,
    needed: int,
    coefficients: Coefficients,
) -> Verdict:
    """Never a plain yes for what is known by a rule only, or where a card without a name does not
    leave the room `needed` for its CUDA context: with less, as many of the known cards as have a
    context that small say how likely it fits."""
    if decisive:
        return "yes" if decisive.says == "runs" else "no"
    if prediction.refused:
        return "refused"
    if prediction.fit_probability is None:
        verdict: Verdict = "yes" if without_context >= needed else "no"
        if 0 <= without_context < needed:
            contexts = [context_bytes(each, coefficients) for each in gpu_specs()]
            n_fitting = sum(each <= without_context for each in contexts)
            verdict = verdict_of(min(n_fitting / len(contexts), EVEN))
    else:
        verdict = verdict_of(prediction.fit_probability)
    is_exact = prediction.memory.exact_compute
    return "probably" if verdict == "yes" and not is_exact else verdict


def _first_to_fail(
    estimator: Estimator, prediction: Prediction, verdict: Verdict
) -> tuple[FirstFailure | None, int | None]:
    """What fails first and in which context: the asked one, or, where that surely fits, the first
    that does not."""
    config, memory = prediction.config, prediction.memory
    if verdict == "yes":
        longest = longest_context(estimator, config, EVEN, limit=LONGEST_CONTEXT)
        config = config.with_(n_ctx=longest + CONTEXT_STEP)
        found = first_failure(estimator, config, estimator.memory(config))
    else:
        found = first_failure(estimator, config, memory) or first_failure(
            estimator.cautious(WIDEST), config, memory
        )
    return found, config.n_ctx if found else None


def _is_hopeless(failure: FirstFailure | None) -> bool:
    """Whether the weights alone do not fit: there is nothing to try."""
    return failure is not None and failure.stage in ("context", "weights")


def settling_command(
    estimator: Estimator, config: RunConfig, program: Program, *, on_card: bool = False
) -> str | None:
    """The command that loads this configuration, as `program` would, and fills it; None for knobs
    that it does not take.

    A file is tried on the card itself, a published shape on a phantom of it unless `on_card`.
    """
    taken = ("n_ctx", "n_expert_used", "type_k", "type_v", "flash_attn", "n_ubatch", "n_cpu_moe")
    ignored = (*knobs_by_memory("none"), "rope_scaling", "rope_scale", "yarn_orig_ctx")
    knobs = {name: getattr(config, name) for name in (*taken, *ignored)}
    plain = Said(program=program, knobs=knobs).config(estimator.model)
    if plain != config or config.type_k != config.type_v:
        return None
    is_shape = estimator.model.file_bytes is None
    needs_file = is_shape and (on_card or estimator.gpu is None)
    words = ["oomph", "frontier", MODEL_FILE if needs_file else estimator.model.source]
    words += ["--as", program] if program != DEFAULT_PROGRAM else []
    words += ["--limit", str(padded_context(config.n_ctx))]
    if config.n_expert_used is not None:
        words += ["--n-expert-used", str(config.n_expert_used)]
    words += ["--type-kv", config.type_k] if config.type_k != "f16" else []
    words += ["--flash-attn", config.flash_attn] if config.flash_attn == "off" else []
    words += ["--n-ubatch", str(config.n_ubatch)] if "n_ubatch" in config.unlike(program) else []
    words += ["--n-cpu-moe", str(config.n_cpu_moe)] if config.n_cpu_moe else []
    if is_shape and estimator.gpu and not on_card:
        words += ["--phantom", estimator.gpu.name]
    return shlex.join(words)
