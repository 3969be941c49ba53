"""Can I? One configuration on one card, with all that a careful person would ask.

Stands apart from the estimate, which gives figures: an answer has a verdict, says what it rests on,
what would fail first, what would settle it and what would do instead. It is data; its words are in
`oomph.views.answer`.
"""

import shlex
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from oomph.advise.alternatives import SURE, Offer, host_bytes, offers
from oomph.advise.evidence import Evidence, evidence, settled
from oomph.advise.first_failure import Shortage, margin_bytes, shortage
from oomph.advise.quantizations import quantization_of
from oomph.advise.speeds import MeasuredRate, Speeds, measured_rates, speeds
from oomph.architectures.rope import RopeScaling, extension, native_context, positions
from oomph.architectures.spec import ModelSpec
from oomph.config import CONTEXT_STEP, RunConfig, padded_context
from oomph.errors import ConfigError
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import LONGEST_CONTEXT, Estimator
from oomph.estimate.memory import MAX_SEQUENCES, MemoryModel
from oomph.estimate.overhead import host_bytes as resident_bytes
from oomph.estimate.prediction import MemoryEstimate, Prediction
from oomph.knob import Program
from oomph.programs.said import DEFAULT_PROGRAM, Said
from oomph.records.schema import Record

EVEN: Final = 0.5
POSSIBLE: Final = 0.1
MODEL_FILE: Final = "MODEL.gguf"
"""Stands in a command for the file of a model that only its published shape is known of."""
WIDEST: Final = 0.95
"""The unlucky end of a 90 % interval: what then fails first is what to watch."""

Verdict = Literal["yes", "probably", "doubtful", "no", "refused"]
"""Fits with 90 % or more, even odds or more, 10 % or more, less; or llama.cpp refuses it whatever
the card."""
Refusal = Literal["experts", "quantized_v", "latent_types"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What can be said of `config` for `model` on `card` (None: on the host's memory).

    `n_expert_used` is None for a dense model. `margin_bytes` is what the fullest card (or the host)
    has left when the context is full; negative is what is short. `probability` is None where
    nothing is known of the card but its memory. `is_measured` says that a record settled the
    verdict. `max_context` is the largest n_ctx that fits with 90 % probability, the other knobs as
    they are. `shortage` is what would fail first: of a configuration that surely fits, in the first
    context that does not. `scaling` is what a context beyond the native one needs. `speeds` is None
    where it does not run, or none are known; `speed_reason` then says why, where the estimate can.
    `has_mtp` is whether the file has multi-token prediction.
    """

    model: str
    quantization: str | None
    arch: str
    n_layer: int
    n_expert_used: int | None
    card: str | None
    said: Said
    config: RunConfig
    verdict: Verdict
    is_measured: bool
    refusal: Refusal | None
    probability: float | None
    memory: MemoryEstimate
    memory_bytes: int
    margin_bytes: int
    host_bytes: int
    max_context: int | None
    native_context: int
    scaling: RopeScaling | None
    shortage: Shortage | None
    shortage_n_ctx: int | None
    speeds: Speeds | None
    speed_reason: str | None
    has_mtp: bool
    measured: tuple[MeasuredRate, ...]
    evidence: tuple[Evidence, ...]
    calibration: str | None
    next_command: str | None
    offers: tuple[Offer, ...]


def answer(
    estimator: Estimator,
    config: RunConfig,
    records: Sequence[Record] = (),
    *,
    said: Said | None = None,
    calibration: str | None = None,
    host_memory_bytes: int | None = None,
) -> Answer:
    """Whether `config` runs, and all that follows. `said` is what it came of, `calibration` names
    where the estimator's coefficients are from.

    `host_memory_bytes` is what a machine without a card has, for n_devices 0. ConfigError where
    neither it nor a card's memory is known, and for more sequences than llama.cpp serves.
    """
    said = said or Said(program="llama-cpp-python", knobs=config.unlike("llama-cpp-python"))
    on_host = config.n_devices == 0
    memory_bytes = host_memory_bytes if on_host else estimator.gpu_memory_bytes
    if config.n_seq_max > MAX_SEQUENCES:
        raise ConfigError(
            f"n_seq_max is {config.n_seq_max}; llama.cpp serves {MAX_SEQUENCES} sequences at most"
        )
    if memory_bytes is None:
        raise ConfigError("what fits depends on the card: name a GPU, or give its memory")
    prediction = estimator.predict(config)
    memory, refusal = prediction.memory, _refusal(estimator, config)
    left = (
        memory_bytes - _resident(estimator, memory)
        if on_host
        else margin_bytes(memory, memory_bytes)
    )
    probability = prediction.fit_probability
    sources = evidence(estimator, config, records)
    decisive = next((source for source in sources if source.settles), None)
    verdict = _verdict(refusal, decisive, probability, left)
    short, short_n_ctx = (
        (None, None) if on_host or refusal else _first_to_fail(estimator, config, memory, verdict)
    )
    is_wanting = verdict != "yes" and not on_host
    return Answer(
        model=estimator.model.name,
        quantization=quantization_of(estimator.model),
        arch=estimator.model.arch,
        n_layer=estimator.model.n_layer,
        n_expert_used=settled(config, estimator.model).n_expert_used,
        card=None if on_host or not estimator.gpu else estimator.gpu.name,
        said=said,
        config=config,
        verdict=verdict,
        is_measured=decisive is not None,
        refusal=refusal,
        probability=probability,
        memory=memory,
        memory_bytes=memory_bytes,
        margin_bytes=left,
        host_bytes=host_bytes(memory),
        max_context=None if on_host else max_context(estimator, config),
        native_context=native_context(estimator.model),
        scaling=extension(estimator.model, config.n_ctx),
        shortage=short,
        shortage_n_ctx=short_n_ctx,
        speeds=speeds(estimator, config) if verdict in ("yes", "probably") else None,
        speed_reason=prediction.speed_reason,
        has_mtp=estimator.model.integer("nextn_predict_layers", 0) > 0,
        measured=tuple(measured_rates(estimator, config, records)),
        evidence=sources,
        calibration=calibration,
        next_command=None
        if decisive or refusal or on_host or _is_hopeless(short)
        else settling_command(
            estimator,
            config,
            said.program,
            on_card=any(source.says == "runs" for source in sources),
        ),
        offers=offers(estimator, config) if is_wanting else (),
    )


def max_context(
    estimator: Estimator, config: RunConfig, probability: float = SURE, *, limit: int | None = None
) -> int:
    """The largest n_ctx that fits with `probability`, other knobs as they are; 0 where none does.

    Nothing longer is looked for than `limit`; None is as far as the model's positions go, or as was
    asked.
    """
    if limit is None:
        limit = max(positions(estimator.model).furthest, padded_context(config.n_ctx))
    knobs = {name: value for name, value in config.to_dict().items() if name != "n_ctx"}
    longest = estimator.cautious(probability).max_context(limit=limit, **knobs)
    if estimator.gpu is None or MemoryModel(estimator.model).is_known or not longest:
        return longest

    # the doubt about a buffer of an unknown graph grows with the context
    def is_unlikely(steps: int) -> bool:
        tried = estimator.predict(
            config.with_(n_ctx=steps * CONTEXT_STEP, n_depth=0), longest=False
        )
        return (tried.fit_probability or 0.0) < probability

    return CONTEXT_STEP * bisect_left(range(1, longest // CONTEXT_STEP + 1), True, key=is_unlikely)


def within_reach(prediction: Prediction, model: ModelSpec) -> Prediction:
    """The prediction with its largest context cut to what the model reaches, or was asked."""
    if prediction.max_context is None:
        return prediction
    furthest = max(positions(model).furthest, padded_context(prediction.config.n_ctx))
    return replace(prediction, max_context=min(prediction.max_context, furthest))


def _resident(estimator: Estimator, memory: MemoryEstimate) -> int:
    return resident_bytes(memory, estimator.coefficients or default_coefficients())


def _verdict(
    refusal: Refusal | None, decisive: Evidence | None, probability: float | None, left: int
) -> Verdict:
    if decisive:
        return "yes" if decisive.says == "runs" else "no"
    if refusal:
        return "refused"
    if probability is None:
        return "yes" if left >= 0 else "no"
    if probability >= SURE:
        return "yes"
    return "probably" if probability >= EVEN else "doubtful" if probability >= POSSIBLE else "no"


def _refusal(estimator: Estimator, config: RunConfig) -> Refusal | None:
    """Why llama.cpp would not run it on any card, None where it would."""
    memory = MemoryModel(estimator.model)
    setup = memory.setup(config)
    if not any(memory.refusals(config, setup)):
        return None
    if memory.aborts(config):
        return "experts"
    return (
        "quantized_v"
        if setup.cache.v.is_quantized and not setup.cache.flash_attn
        else "latent_types"
    )


def _first_to_fail(
    estimator: Estimator, config: RunConfig, memory: MemoryEstimate, verdict: Verdict
) -> tuple[Shortage | None, int | None]:
    """What fails first and in which context: the asked one, or, where that surely fits, the first
    that does not."""
    if verdict == "yes":
        longest = max_context(estimator, config, EVEN, limit=LONGEST_CONTEXT)
        config = config.with_(n_ctx=longest + CONTEXT_STEP)
        memory = estimator.memory(config)
        found = shortage(estimator, config, memory)
    else:
        found = shortage(estimator, config, memory) or shortage(
            estimator.cautious(WIDEST), config, memory
        )
    return found, config.n_ctx if found else None


def _is_hopeless(short: Shortage | None) -> bool:
    """Whether the weights alone do not fit: there is nothing to try."""
    return short is not None and short.stage in ("context", "weights")


def settling_command(
    estimator: Estimator, config: RunConfig, program: Program, *, on_card: bool = False
) -> str | None:
    """The command that loads this configuration, as `program` would, and fills it; None for knobs
    that it does not take.

    A file is tried on the card itself, a published shape on a phantom of it unless `on_card`.
    """
    taken = ("n_ctx", "n_expert_used", "type_k", "type_v", "flash_attn", "n_ubatch", "n_cpu_moe")
    ignored = ("n_depth", "n_threads", "rope_scaling", "rope_scale", "yarn_orig_ctx")
    knobs = {name: getattr(config, name) for name in (*taken, *ignored)}
    plain = Said(program=program, knobs=knobs).config(estimator.model)
    if plain != config or config.type_k != config.type_v:
        return None
    is_shape = estimator.model.file_bytes is None
    words = ["oomph", "frontier", MODEL_FILE if is_shape and on_card else estimator.model.source]
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
