"""What would fit instead, the least given up first: knobs, quantization, card.

Takes a configuration that does not fit, predicted or after an out-of-memory, and gives the changes
that make it fit, each with its memory and its speed.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from oomph.advise.drafting import fewer_drafted, smaller_draft_caches, without_drafting
from oomph.advise.first_failure import margin_bytes
from oomph.advise.max_context import longest_context
from oomph.advise.quantizations import smaller_variants
from oomph.advise.seeing import projector_on_host, smaller_images
from oomph.advise.speeds import Speeds, speeds
from oomph.advise.splits import best_split
from oomph.advise.verdict import SURE
from oomph.architectures.layers import sliding_window
from oomph.cards import are_alike
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.prediction import MemoryEstimate, Prediction, is_card
from oomph.gguf.ggml_types import quant
from oomph.gpus import GpuSpec, gpu_specs
from oomph.units import count

SMALLER_CACHES: Final = ("q8_0", "q4_0")
SMALLER_UBATCHES: Final = (1024, 512, 256, 128)
MOST_CARDS: Final = 4
OLDEST_OFFERED: Final = (8, 0)
"""Compute capability of the oldest cards that are worth naming."""
NO_STEP_DOWN: Final = 0.75
"""Share of the present card's bandwidth that another must have."""
CRAWLS: Final = 0.25
"""An offer that leaves less of the decoding speed goes last."""
ROOM_FOR_ANYTHING: Final = 1 << 60

Kind = Literal[
    "tensor_split",
    "flash_attn",
    "n_outputs_max",
    "swa_full",
    "n_ubatch",
    "type_kv",
    "spec_draft_type_kv",
    "spec_draft_n_max",
    "spec_type",
    "image_max_tokens",
    "mmproj_offload",
    "together",
    "n_cpu_moe",
    "n_gpu_layers",
    "n_expert_used",
    "n_ctx",
    "quantization",
    "cards",
    "card",
]
"""What is changed, in the order of what it gives up: nothing, workspace, precision of the cache,
speed, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One change that makes it fit, and what it costs. `value` is the changed knob's, or a name.

    `together` is several small ones at once, where none would do alone: `config` has them.

    The shares are of the speed in a full context that the asked configuration would have if it
    fitted; None where no speed is known. `host_bytes` are weights and caches in the host's memory.
    """

    kind: Kind
    value: int | str
    config: RunConfig
    total_vram_bytes: int
    margin_bytes: int
    probability: float | None
    host_bytes: int
    speeds: Speeds | None
    decode_share: float | None
    prefill_share: float | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A change that was found to fit, with the estimator that it is asked of."""

    kind: Kind
    value: int | str
    estimator: Estimator
    config: RunConfig


def offers(
    estimator: Estimator,
    prediction: Prediction,
    *,
    outcome: str | None = None,
    context: str | None = None,
    probability: float = SURE,
) -> tuple[Offer, ...]:
    """Every single change to the predicted configuration that fits with `probability`: of each kind
    the mildest that suffices.

    The least given up comes first, and what leaves too little of the speed last. Speeds are those
    of a full context. After a run that ended with `outcome`, those alone that shrink what was being
    allocated, in the `context` where that was not the model's own ("mtp", "draft", "projector"):
    none where it was not the card's memory that ran out.
    """
    intact = speeds(estimator.with_room(ROOM_FOR_ANYTHING), prediction.config, prediction.memory)
    after = _KINDS if outcome is None else _KINDS_AFTER.get(outcome, ())
    kinds = _KINDS_OF.get(context or "", after)
    found = (
        _priced(candidate, intact)
        for kind in kinds
        for candidate in kind(estimator, prediction.config, probability)
    )
    return tuple(sorted(found, key=_crawls))


def would_have_fitted(
    estimator: Estimator, config: RunConfig, outcome: str, *, context: str | None = None
) -> str | None:
    """One clause with values that fit, for a run of `config` that ended with `outcome`, in the
    `context` where that was not the model's own; None where it was not the card's memory that ran
    out.

    Raises ConfigError where the estimator knows no card.
    """
    if outcome not in _KINDS_AFTER:
        return None
    if estimator.cautious(SURE).fits(config):
        return "by the estimate it fits: see what else held the card's memory"
    prediction = estimator.predict(config, longest=False)
    found = offers(estimator, prediction, outcome=outcome, context=context)
    if not found:
        return (
            "nothing smaller of these knobs fits the card either: take a smaller quantization or "
            "another card"
        )
    return f"{' or '.join(map(_named, found[:2]))} would have fitted"


def _named(offer: Offer) -> str:
    if offer.kind in ("type_kv", "together"):
        return f"type_k and type_v {offer.config.type_k} with flash attention"
    if offer.kind == "spec_draft_type_kv":
        return f"a {offer.value} cache of the draft (spec_draft_type_k and spec_draft_type_v)"
    if offer.kind == "spec_type":
        return "no drafting (without --spec-type)"
    if offer.kind == "mmproj_offload":
        return "the projector on the host (--no-mmproj-offload)"
    if offer.kind == "n_ctx":
        return f"n_ctx {count(offer.config.n_ctx)}"
    return f"{offer.kind} {offer.value}"


def _crawls(offer: Offer) -> bool:
    return offer.decode_share is not None and offer.decode_share < CRAWLS


def _priced(change: _Candidate, intact: Speeds | None) -> Offer:
    prediction = change.estimator.predict(change.config, longest=False)
    memory = prediction.memory
    priced = speeds(change.estimator, change.config, memory)
    shares = _shares(priced, intact) if priced and intact else (None, None)
    return Offer(
        kind=change.kind,
        value=change.value,
        config=change.config,
        total_vram_bytes=memory.total_vram_bytes,
        margin_bytes=margin_bytes(memory, change.estimator.room_bytes(change.config)),
        probability=prediction.fit_probability,
        host_bytes=host_bytes(memory),
        speeds=priced,
        decode_share=shares[0],
        prefill_share=shares[1],
    )


def _shares(priced: Speeds, intact: Speeds) -> tuple[float, float]:
    return (
        priced.full.decode_tokens_per_s / intact.full.decode_tokens_per_s,
        priced.full.prefill_tokens_per_s / intact.full.prefill_tokens_per_s,
    )


def host_bytes(memory: MemoryEstimate) -> int:
    """Weights and caches that stay in the host's memory."""
    return sum(
        device.weights_bytes + device.kv_cache_bytes + device.recurrent_bytes
        for name, device in memory.devices.items()
        if not is_card(name)
    )


# --- one function per kind of change: those that fit, the mildest first


def _first(
    kind: Kind,
    knob: str,
    values: Sequence[int | str | bool],
    estimator: Estimator,
    config: RunConfig,
    probability: float,
) -> Iterator[_Candidate]:
    """The first of `values` of `knob` that fits, each taking less than the one before: found by
    bisection."""
    sure = estimator.cautious(probability)
    at = bisect_left(values, True, key=lambda value: sure.fits(config.with_(**{knob: value})))
    if at < len(values):
        changed = config.with_(**{knob: values[at]})
        yield _Candidate(kind, values[at], estimator, changed)


def _other_split(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """The layers divided among the cards by bytes, where that alone makes them fit."""
    split = best_split(estimator, config)
    if split is None or split == config.tensor_split:
        return
    divided = config.with_(tensor_split=split)
    if estimator.cautious(probability).fits(divided):
        value = ",".join(f"{share:g}" for share in split)
        yield _Candidate("tensor_split", value, estimator, divided)


def _fused(estimator: Estimator, config: RunConfig, probability: float) -> Iterator[_Candidate]:
    if config.flash_attn == "off":
        yield from _first("flash_attn", "flash_attn", ("on",), estimator, config, probability)


def _fewer_outputs(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """Logits for one token per sequence: what llama-server asks for, and llama-cpp-python does
    not."""
    if config.n_outputs_max is None:
        yield from _first(
            "n_outputs_max", "n_outputs_max", (config.n_seq_max,), estimator, config, probability
        )


def _window_only(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """Sliding-window layers that keep their window alone, as llama-server has it."""
    if config.swa_full and sliding_window(estimator.model):
        yield from _first("swa_full", "swa_full", (False,), estimator, config, probability)


def _smaller_batch(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    smaller = [n for n in SMALLER_UBATCHES if n < min(config.n_ubatch, config.n_batch)]
    yield from _first("n_ubatch", "n_ubatch", smaller, estimator, config, probability)


def _smaller_cache(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """Smaller types for K and V, unless flash attention, which they need, would do by itself."""
    sure = estimator.cautious(probability)
    fused = config.with_(flash_attn="on") if config.flash_attn == "off" else config
    if fused == config or not sure.fits(fused):
        own = max(quant(config.type_k).bits_per_weight, quant(config.type_v).bits_per_weight)
        for kind in (kind for kind in SMALLER_CACHES if quant(kind).bits_per_weight < own):
            tried = fused.with_(type_k=kind, type_v=kind)
            if sure.fits(tried):
                name: Kind = "type_kv" if fused == config else "together"
                yield _Candidate(name, kind, estimator, tried)
                return


def _smaller_draft_cache(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """A smaller cache of the context that drafts."""
    sure = estimator.cautious(probability)
    for tried in smaller_draft_caches(config):
        if sure.fits(tried):
            value = tried.spec_draft_type_k
            yield _Candidate("spec_draft_type_kv", value, estimator, tried)
            return


def _fewer_drafted(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """Fewer tokens drafted at once: fewer recurrent states and rows of logits."""
    tried, sure = fewer_drafted(config), estimator.cautious(probability)
    at = bisect_left(tried, True, key=sure.fits)
    if at < len(tried):
        value = tried[at].spec_draft_n_max
        yield _Candidate("spec_draft_n_max", value, estimator, tried[at])


def _without_drafting(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """No second context: each token decoded by itself."""
    if (left := without_drafting(estimator, config)) is None:
        return
    other, without = left
    if other.cautious(probability).fits(without):
        yield _Candidate("spec_type", "none", other, without)


def _smaller_images(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """Images of fewer tokens, which the projector's buffer need not grow for."""
    tried, sure = smaller_images(estimator, config), estimator.cautious(probability)
    at = bisect_left(tried, True, key=sure.fits)
    if at < len(tried):
        value = tried[at].image_max_tokens or 0
        yield _Candidate("image_max_tokens", value, estimator, tried[at])


def _projector_on_host(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """The projector in host memory: images take longer."""
    for tried in projector_on_host(estimator, config):
        if estimator.cautious(probability).fits(tried):
            yield _Candidate("mmproj_offload", False, estimator, tried)


def _together(estimator: Estimator, config: RunConfig, probability: float) -> Iterator[_Candidate]:
    """All that costs next to nothing at once, then smaller caches and a smaller batch on top of
    it."""
    sure = estimator.cautious(probability)
    makers = (_fused, _fewer_outputs, _window_only, _smaller_batch, _smaller_cache)
    if any(True for make in makers for _ in make(estimator, config, probability)):
        return
    free = config.with_(n_outputs_max=config.n_outputs_max or config.n_seq_max)
    if config.flash_attn == "off":
        free = free.with_(flash_attn="on")
    if sliding_window(estimator.model):
        free = free.with_(swa_full=False)
    smaller = [free.with_(type_k=kind, type_v=kind) for kind in SMALLER_CACHES]
    for tried in (
        free,
        *smaller,
        smaller[-1].with_(n_ubatch=min(config.n_ubatch, SMALLER_UBATCHES[-1])),
    ):
        if sure.fits(tried):
            changed = sum(
                tried.to_dict()[knob] != value
                for knob, value in config.to_dict().items()
                if knob != "type_v"
            )
            yield _Candidate("together", changed, estimator, tried)
            return


def _experts_on_cpu(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    if estimator.model.is_moe and config.override_tensor is None:
        layers = range(config.n_cpu_moe + 1, estimator.model.n_layer + 1)
        yield from _first("n_cpu_moe", "n_cpu_moe", layers, estimator, config, probability)


def _layers_on_cpu(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    if any(True for _ in _experts_on_cpu(estimator, config, probability)):
        return  # a mixture is split by its experts, which costs less
    whole = estimator.model.n_layer + 1
    most = whole if config.n_gpu_layers < 0 else min(config.n_gpu_layers, whole)
    yield from _first(
        "n_gpu_layers", "n_gpu_layers", range(most - 1, 0, -1), estimator, config, probability
    )


def _fewer_experts(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    if estimator.model.is_moe:
        asked = config.n_expert_used or estimator.model.n_expert_used
        fewer = range(asked - 1, 0, -1)
        yield from _first("n_expert_used", "n_expert_used", fewer, estimator, config, probability)


def _shorter(estimator: Estimator, config: RunConfig, probability: float) -> Iterator[_Candidate]:
    n_ctx = longest_context(estimator, config, probability, limit=config.n_ctx)
    if 0 < n_ctx < config.n_ctx:
        shorter = config.with_(n_ctx=n_ctx)
        yield _Candidate("n_ctx", n_ctx, estimator, shorter)


def _smaller_weights(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    for quantization, model in smaller_variants(estimator.model):
        other = estimator.changed(model=model)
        if other.cautious(probability).fits(config):
            yield _Candidate("quantization", quantization, other, config)
            return


def _more_cards(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    if not are_alike(estimator.cards):
        return
    yield from _first(
        "cards",
        "n_devices",
        range(config.n_devices + 1, MOST_CARDS + 1),
        estimator,
        config,
        probability,
    )


def _larger_card(
    estimator: Estimator, config: RunConfig, probability: float
) -> Iterator[_Candidate]:
    """The smallest card of the catalogue that suffices and is no step down in speed, the fastest of
    those."""
    for card in sorted(
        _cards_above(estimator), key=lambda c: (c.memory_bytes, -c.bandwidth_bytes_per_s)
    ):
        other = estimator.changed(gpu=card)
        if other.cautious(probability).fits(config):
            yield _Candidate("card", card.name, other, config)
            return


def _cards_above(estimator: Estimator) -> Iterator[GpuSpec]:
    for card in gpu_specs():
        capability = tuple(int(part) for part in card.compute_capability.split("."))
        is_faster = (
            estimator.gpu is None
            or card.bandwidth_bytes_per_s >= NO_STEP_DOWN * estimator.gpu.bandwidth_bytes_per_s
        )
        if (
            is_faster
            and capability >= OLDEST_OFFERED
            and card.memory_bytes > max((each.memory_bytes for each in estimator.cards), default=0)
        ):
            yield card


_Kind = Callable[[Estimator, RunConfig, float], Iterator[_Candidate]]

_KINDS: Final[tuple[_Kind, ...]] = (
    _other_split,
    _fused,
    _fewer_outputs,
    _window_only,
    _smaller_batch,
    _smaller_cache,
    _smaller_draft_cache,
    _fewer_drafted,
    _without_drafting,
    _smaller_images,
    _projector_on_host,
    _together,
    _experts_on_cpu,
    _layers_on_cpu,
    _fewer_experts,
    _shorter,
    _smaller_weights,
    _more_cards,
    _larger_card,
)

_KINDS_AFTER: Final[Mapping[str, tuple[_Kind, ...]]] = {
    "oom_weights": (_other_split, _experts_on_cpu, _layers_on_cpu),
    "oom_kv": (
        _other_split,
        _fewer_drafted,
        _shorter,
        _smaller_cache,
        _without_drafting,
        _experts_on_cpu,
        _layers_on_cpu,
    ),
    "oom_compute": (
        _other_split,
        _fused,
        _smaller_batch,
        _shorter,
        _experts_on_cpu,
        _layers_on_cpu,
    ),
    "oom_runtime": (_fused, _shorter, _smaller_batch, _experts_on_cpu, _layers_on_cpu),
}
"""Those that shrink what was being allocated, by the outcome of the run that failed there."""

_OF_DRAFT: Final[tuple[_Kind, ...]] = (
    _smaller_draft_cache,
    _fewer_drafted,
    _shorter,
    _without_drafting,
)
_KINDS_OF: Final[Mapping[str, tuple[_Kind, ...]]] = {
    "mtp": _OF_DRAFT,
    "draft": _OF_DRAFT,
    "projector": (_smaller_images, _projector_on_host, _shorter),
}
"""The same by the context where it was not the model's own."""
