"""What would fit instead, the least given up first: knobs, quantization, card.

Takes a configuration that does not fit, predicted or after an out-of-memory, and gives the changes
that make it fit, each with its memory and its speed.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Final, Literal, get_args

from oomph.advise.drafting import fewer_drafted, smaller_draft_caches, without_drafting
from oomph.advise.first_failure import margin_bytes
from oomph.advise.max_context import longest_divided
from oomph.advise.placement.knobs import spelled_places
from oomph.advise.placement.parts import LayerParts
from oomph.advise.placement.proof import Placed, Prover, n_layers_without_experts
from oomph.advise.placement.search import (
    ALL_BUT_SPLIT,
    ALL_BUT_WHERE,
    WHERE_LAYERS_GO,
    best_placement,
    divided,
)
from oomph.advise.quantizations import smaller_variants
from oomph.advise.seeing import projector_on_host, smaller_images
from oomph.advise.speeds import Speeds, speeds
from oomph.advise.verdict import SURE
from oomph.architectures.layers import sliding_window
from oomph.cards import are_alike
from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.host_memory import fitting_caches, host_bytes
from oomph.estimate.prediction import Prediction
from oomph.frozen import frozen
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
WORTH_SAYING: Final = 1.05
"""How much quicker than what was said a placement must be to be offered beside it."""
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
    "host_caches",
    "quantization",
    "cards",
    "card",
]
"""What is changed, in the order of what it gives up: nothing, workspace, precision of the cache,
speed, …"""
_ORDER: Final = get_args(Kind)
EASY: Final = frozenset(_ORDER[: _ORDER.index("n_cpu_moe")])
"""Changes that leave model, context, experts and card as they were asked for."""


@frozen
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


@frozen
class _Candidate:
    """A change that was found to fit, with the estimator that it is asked of."""

    kind: Kind
    value: int | str
    estimator: Estimator
    config: RunConfig


class _Question:
    """What is asked, and the placements that answer it: `held` are the knobs that were said."""

    def __init__(
        self,
        estimator: Estimator,
        config: RunConfig,
        probability: float,
        held: Collection[str],
        parts: LayerParts | None,
    ) -> None:
        self.estimator, self.config, self.probability = estimator, config, probability
        self.sure, self._held = estimator.cautious(probability), frozenset(held)
        self.parts = parts or LayerParts(estimator)
        self._splitter = Prover(estimator, config, ALL_BUT_SPLIT, probability, parts=self.parts)
        self._fitting: dict[RunConfig, RunConfig | None] = {}

    @property
    def holds_split(self) -> bool:
        """Whether the split was said."""
        return "tensor_split" in self._held

    @cached_property
    def placements(self) -> tuple[_Candidate, ...]:
        """The best with what was said as it is, and the best of all where that is quicker."""
        found: list[Placed] = []
        for held in dict.fromkeys((self._held & WHERE_LAYERS_GO, frozenset[str]())):
            best = best_placement(
                self.estimator,
                self.config,
                held=ALL_BUT_WHERE | held,
                probability=self.probability,
                parts=self.parts,
            )
            if best and (not found or best.rate("decode") > WORTH_SAYING * found[0].rate("decode")):
                found.append(best)
        return tuple(
            _Candidate(kind=kind, value=value, estimator=self.estimator, config=each.config)
            for each in found
            if each.changes
            for kind, value in [_named_placement(self.estimator, each)]
        )

    def fitting(self, config: RunConfig, estimator: Estimator | None = None) -> RunConfig | None:
        """`config` where it fits, with its layers divided otherwise where that alone makes it fit;
        else None."""
        if estimator is not None and estimator is not self.estimator:
            if estimator.cautious(self.probability).fits(config):
                return config
            return divided(
                estimator,
                config,
                self.probability,
                holds_split=self.holds_split,
                parts=LayerParts(estimator, like=self.parts),
            )
        if config not in self._fitting:
            self._fitting[config] = self._divided(config)
        return self._fitting[config]

    def _divided(self, config: RunConfig) -> RunConfig | None:
        if self.sure.fits(config):
            return config
        if self.holds_split or config.n_devices < 2:
            return None
        return self._splitter.quickest_config(config, "decode")


def _named_placement(estimator: Estimator, found: Placed) -> tuple[Kind, int | str]:
    """What a placement is called by, and how many layers it leaves on the host or the cards."""
    config = found.config
    if found.changes == ("tensor_split",):
        return "tensor_split", ",".join(f"{share:g}" for share in config.tensor_split or ())
    if "n_gpu_layers" in found.changes:
        return "n_gpu_layers", config.n_gpu_layers
    return "n_cpu_moe", n_layers_without_experts(estimator, config)


def offers(
    estimator: Estimator,
    prediction: Prediction,
    *,
    outcome: str | None = None,
    context: str | None = None,
    probability: float = SURE,
    held: Collection[str] = (),
    parts: LayerParts | None = None,
) -> tuple[Offer, ...]:
    """Every single change to the predicted configuration that fits with `probability`: of each kind
    the mildest that suffices.

    The least given up comes first, and what leaves too little of the speed last. Speeds are those
    of a full context. After a run that ended with `outcome`, those alone that shrink what was being
    allocated, in the `context` where that was not the model's own ("mtp", "draft", "projector"):
    none where it was not the card's memory that ran out. `held` are the knobs that were said: where
    the layers go is first looked for with them as they are.
    """
    question = _Question(estimator, prediction.config, probability, held, parts)
    intact = speeds(estimator.with_room(ROOM_FOR_ANYTHING), prediction.config, prediction.memory)
    after = _KINDS if outcome is None else _KINDS_AFTER.get(outcome, ())
    kinds = _KINDS_OF.get(context or "", after)
    found = (_priced(candidate, intact) for kind in kinds for candidate in kind(question))
    return tuple(sorted(found, key=_crawls))


def host_offers(
    estimator: Estimator,
    prediction: Prediction,
    *,
    probability: float = SURE,
    held: Collection[str] = (),
    parts: LayerParts | None = None,
) -> tuple[Offer, ...]:
    """What would do where the cards hold it and the host does not: smaller caches where they are
    what does not fit, else experts or layers that the cards have room for, else smaller weights."""
    question = _Question(estimator, prediction.config, probability, held, parts)
    intact = speeds(estimator, prediction.config, prediction.memory)
    kinds = (_smaller_host_caches, _moved_to_host, _smaller_weights)
    found = (_priced(candidate, intact) for kind in kinds for candidate in kind(question))
    return tuple(islice(found, 1))


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
    if offer.kind in ("n_cpu_moe", "n_gpu_layers", "tensor_split"):
        return " with ".join(spelled_places(offer.config))
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


# --- one function per kind of change: those that fit, the mildest first


def _first(
    kind: Kind,
    knob: str,
    values: Sequence[int | str | bool],
    q: _Question,
) -> Iterator[_Candidate]:
    """The first of `values` of `knob` that fits, each taking less than the one before: that is most
    often the first of all, else it is found by bisection."""

    def fitting(value: int | str | bool) -> RunConfig | None:
        return q.fitting(q.config.with_(**{knob: value}))

    at = 0
    if values and not fitting(values[0]):
        at = bisect_left(values, True, lo=1, key=lambda value: fitting(value) is not None)
    if at < len(values) and (changed := fitting(values[at])):
        yield _Candidate(kind=kind, value=values[at], estimator=q.estimator, config=changed)


def _fused(q: _Question) -> Iterator[_Candidate]:
    if q.config.flash_attn == "off":
        yield from _first("flash_attn", "flash_attn", ("on",), q)


def _fewer_outputs(q: _Question) -> Iterator[_Candidate]:
    """Logits for one token per sequence: what llama-server asks for, and llama-cpp-python does
    not."""
    if q.config.n_outputs_max is None:
        yield from _first("n_outputs_max", "n_outputs_max", (q.config.n_seq_max,), q)


def _window_only(q: _Question) -> Iterator[_Candidate]:
    """Sliding-window layers that keep their window alone, as llama-server has it."""
    if q.config.swa_full and sliding_window(q.estimator.model):
        yield from _first("swa_full", "swa_full", (False,), q)


def _smaller_batch(q: _Question) -> Iterator[_Candidate]:
    smaller = [n for n in SMALLER_UBATCHES if n < min(q.config.n_ubatch, q.config.n_batch)]
    yield from _first("n_ubatch", "n_ubatch", smaller, q)


def _smaller_cache(q: _Question) -> Iterator[_Candidate]:
    """Smaller types for K and V, unless flash attention, which they need, would do by itself."""
    config = q.config
    fused = config.with_(flash_attn="on") if config.flash_attn == "off" else config
    if fused == config or not q.fitting(fused):
        own = max(quant(config.type_k).bits_per_weight, quant(config.type_v).bits_per_weight)
        for kind in (kind for kind in SMALLER_CACHES if quant(kind).bits_per_weight < own):
            if tried := q.fitting(fused.with_(type_k=kind, type_v=kind)):
                name: Kind = "type_kv" if fused == config else "together"
                yield _Candidate(kind=name, value=kind, estimator=q.estimator, config=tried)
                return


def _smaller_draft_cache(q: _Question) -> Iterator[_Candidate]:
    """A smaller cache of the context that drafts."""
    sure = q.sure
    for tried in smaller_draft_caches(q.config):
        if sure.fits(tried):
            value = tried.spec_draft_type_k
            yield _Candidate(
                kind="spec_draft_type_kv", value=value, estimator=q.estimator, config=tried
            )
            return


def _fewer_drafted(q: _Question) -> Iterator[_Candidate]:
    """Fewer tokens drafted at once: fewer recurrent states and rows of logits."""
    tried, sure = fewer_drafted(q.config), q.sure
    at = bisect_left(tried, True, key=sure.fits)
    if at < len(tried):
        value = tried[at].spec_draft_n_max
        yield _Candidate(
            kind="spec_draft_n_max", value=value, estimator=q.estimator, config=tried[at]
        )


def _without_drafting(q: _Question) -> Iterator[_Candidate]:
    """No second context: each token decoded by itself."""
    if (left := without_drafting(q.estimator, q.config)) is None:
        return
    other, without = left
    if other.cautious(q.probability).fits(without):
        yield _Candidate(kind="spec_type", value="none", estimator=other, config=without)


def _smaller_images(q: _Question) -> Iterator[_Candidate]:
    """Images of fewer tokens, which the projector's buffer need not grow for."""
    tried, sure = smaller_images(q.estimator, q.config), q.sure
    at = bisect_left(tried, True, key=sure.fits)
    if at < len(tried):
        value = tried[at].image_max_tokens or 0
        yield _Candidate(
            kind="image_max_tokens", value=value, estimator=q.estimator, config=tried[at]
        )


def _projector_on_host(q: _Question) -> Iterator[_Candidate]:
    """The projector in host memory: images take longer."""
    for tried in projector_on_host(q.estimator, q.config):
        if q.sure.fits(tried):
            yield _Candidate(
                kind="mmproj_offload", value=False, estimator=q.estimator, config=tried
            )


def _together(q: _Question) -> Iterator[_Candidate]:
    """All that costs next to nothing at once, then smaller caches and a smaller batch on top of
    it."""
    config = q.config
    makers = (_fused, _fewer_outputs, _window_only, _smaller_batch, _smaller_cache)
    if any(True for make in makers for _ in make(q)):
        return
    free = config.with_(n_outputs_max=config.n_outputs_max or config.n_seq_max)
    if config.flash_attn == "off":
        free = free.with_(flash_attn="on")
    if sliding_window(q.estimator.model):
        free = free.with_(swa_full=False)
    smaller = [free.with_(type_k=kind, type_v=kind) for kind in SMALLER_CACHES]
    for wanted in (
        free,
        *smaller,
        smaller[-1].with_(n_ubatch=min(config.n_ubatch, SMALLER_UBATCHES[-1])),
    ):
        if tried := q.fitting(wanted):
            changed = sum(
                tried.to_dict()[knob] != value
                for knob, value in config.to_dict().items()
                if knob != "type_v"
            )
            yield _Candidate(kind="together", value=changed, estimator=q.estimator, config=tried)
            return


def _divided(q: _Question) -> Iterator[_Candidate]:
    """The layers divided otherwise among the cards, where that alone makes them fit."""
    yield from (each for each in q.placements if each.kind == "tensor_split")


def _moved_to_host(q: _Question) -> Iterator[_Candidate]:
    """Experts of a mixture, or whole layers, that change sides."""
    yield from (each for each in q.placements if each.kind != "tensor_split")


def _fewer_experts(q: _Question) -> Iterator[_Candidate]:
    if q.estimator.model.is_moe:
        asked = q.config.n_expert_used or q.estimator.model.n_expert_used
        fewer = range(asked - 1, 0, -1)
        yield from _first("n_expert_used", "n_expert_used", fewer, q)


def _shorter(q: _Question) -> Iterator[_Candidate]:
    n_ctx, split = longest_divided(
        q.estimator,
        q.config,
        q.probability,
        limit=q.config.n_ctx,
        holds_split=q.holds_split,
        parts=q.parts,
    )
    if 0 < n_ctx < q.config.n_ctx:
        shorter = q.config.with_(n_ctx=n_ctx, tensor_split=split)
        yield _Candidate(kind="n_ctx", value=n_ctx, estimator=q.estimator, config=shorter)


def _smaller_host_caches(q: _Question) -> Iterator[_Candidate]:
    """The prompt cache and the checkpoints cut to what the RAM leaves them."""
    fitting = fitting_caches(q.estimator.host(q.config), q.config)
    if fitting and q.sure.fits(fitting):
        value = f"{fitting.cache_ram_mib} {fitting.ctx_checkpoints}"
        yield _Candidate(kind="host_caches", value=value, estimator=q.estimator, config=fitting)


def _smaller_weights(q: _Question) -> Iterator[_Candidate]:
    for quantization, model in smaller_variants(q.estimator.model):
        other = q.estimator.changed(model=model)
        if config := q.fitting(q.config, other):
            yield _Candidate(
                kind="quantization", value=quantization, estimator=other, config=config
            )
            return


def _more_cards(q: _Question) -> Iterator[_Candidate]:
    if not are_alike(q.estimator.cards):
        return
    yield from _first(
        "cards",
        "n_devices",
        range(q.config.n_devices + 1, MOST_CARDS + 1),
        q,
    )


def _larger_card(q: _Question) -> Iterator[_Candidate]:
    """The smallest card of the catalogue that suffices and is no step down in speed, the fastest of
    those."""
    for card in sorted(
        _cards_above(q.estimator), key=lambda c: (c.memory_bytes, -c.bandwidth_bytes_per_s)
    ):
        other = q.estimator.changed(gpu=card)
        if other.cautious(q.probability).fits(q.config):
            yield _Candidate(kind="card", value=card.name, estimator=other, config=q.config)
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


_Kind = Callable[[_Question], Iterator[_Candidate]]

_KINDS: Final[tuple[_Kind, ...]] = (
    _divided,
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
    _moved_to_host,
    _fewer_experts,
    _shorter,
    _smaller_weights,
    _more_cards,
    _larger_card,
)

_KINDS_AFTER: Final[Mapping[str, tuple[_Kind, ...]]] = {
    "oom_weights": (_divided, _moved_to_host),
    "oom_kv": (
        _divided,
        _fewer_drafted,
        _shorter,
        _smaller_cache,
        _without_drafting,
        _moved_to_host,
    ),
    "oom_compute": (
        _divided,
        _fused,
        _smaller_batch,
        _shorter,
        _moved_to_host,
    ),
    "oom_runtime": (_fused, _shorter, _smaller_batch, _moved_to_host),
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
