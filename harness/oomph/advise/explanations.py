"""The figures behind `oomph explain`: what each mechanism means for this model.

Stands apart from the words, which are in `views/texts`: everything here is computed, so that an
explanation of another model has other numbers, and of a dense one says nothing of experts.
"""

from dataclasses import fields

from oomph.advise.first_failure import FirstFailure, first_failure, margin_bytes
from oomph.advise.max_context import longest_context
from oomph.advise.speeds import Speeds, speeds
from oomph.advise.verdict import EVEN
from oomph.architectures.layers import sliding_window
from oomph.architectures.roles import bytes_by_role
from oomph.architectures.rope import RopeScaling, longest_extension, native_context
from oomph.config import CONTEXT_STEP, RunConfig
from oomph.errors import ConfigError
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import LONGEST_CONTEXT, Estimator
from oomph.estimate.overhead import driver_bytes, pool_bytes
from oomph.estimate.prediction import DeviceMemory, MemoryEstimate
from oomph.frozen import frozen
from oomph.gpus import GpuSpec

EXPLAINED_CACHES = ("f16", "q8_0", "q4_0")
EXPLAINED_UBATCHES = (128, 512, 2048)


@frozen
class Explanation:
    """A configuration's memory on its card, or on all its cards together, part by part, and its
    speeds; `pool_bytes` is taken in use. `margin_bytes` is of the card with the least left.

    `longest` is the longest context with the other knobs as they are, None where nobody looked.
    """

    value: int | str
    device: DeviceMemory
    context_bytes: int
    pool_bytes: int
    margin_bytes: int
    longest: int | None
    speeds: Speeds | None


@frozen
class OomExplanation:
    """The four stages, as this configuration passes them, and what dies late without flash
    attention.

    `late` is the failure of the first context that does not fit without flash attention,
    `late_n_ctx` that context.
    """

    asked: Explanation
    late: FirstFailure | None
    late_n_ctx: int


@frozen
class ExpertsExplanation:
    """Experts of one layer, how many bytes all of them take, the most that can be active, and rows
    by active ones."""

    n_expert: int
    n_expert_used: int
    expert_bytes: int
    weights_bytes: int
    most: int
    rows: tuple[Explanation, ...]


@frozen
class CacheExplanation:
    """Rows by cache type; `per_token_bytes` of each. A window, a state or latent attention where
    the model has one.

    `window_bytes` is the f16 cache with sliding-window layers that keep their window only, None
    without such layers.
    """

    rows: tuple[Explanation, ...]
    per_token_bytes: tuple[float, ...]
    window: int
    window_bytes: int | None
    whole_bytes: int | None
    recurrent_bytes: int
    is_latent: bool


@frozen
class RopeExplanation:
    """How far the positions reach, what extends them, and what the cache of the extended context
    takes."""

    trained: int
    native: int
    scaling: RopeScaling | None
    extended_kv_bytes: int


@frozen
class BatchExplanation:
    """Rows by n_ubatch; logits of one micro-batch of `n_ubatch` tokens, and the compute buffer
    without them."""

    rows: tuple[Explanation, ...]
    n_vocab: int
    n_ubatch: int
    logits_bytes: int
    one_output_compute_bytes: int


def explain_config(
    estimator: Estimator, config: RunConfig, value: int | str = "", *, longest: bool = False
) -> Explanation:
    """One configuration on a named card; `value` is what tells it from the others of its table.

    `longest` asks for the longest context too, which takes the most time.
    """
    specs = _specs(estimator, config)
    memory = estimator.memory(config)
    values = estimator.coefficients or default_coefficients()
    return Explanation(
        value=value,
        device=_on_cards(estimator, config, memory),
        context_bytes=sum(driver_bytes(estimator.model, config, gpu, values) for gpu in specs),
        pool_bytes=sum(pool_bytes(estimator.model, config, gpu) for gpu in specs),
        margin_bytes=margin_bytes(memory, estimator.room_bytes(config)),
        longest=longest_context(estimator, config) if longest else None,
        speeds=speeds(estimator, config, memory),
    )


def explain_oom(estimator: Estimator, config: RunConfig) -> OomExplanation:
    """What is allocated when, and how a context that loads dies all the same."""
    plain = config.with_(flash_attn="off", type_k="f16", type_v="f16")
    late = plain.with_(
        n_ctx=longest_context(estimator, plain, EVEN, limit=LONGEST_CONTEXT) + CONTEXT_STEP
    )
    return OomExplanation(
        asked=explain_config(estimator, config, longest=True),
        late=first_failure(estimator, late, estimator.memory(late)),
        late_n_ctx=late.n_ctx,
    )


def explain_experts(estimator: Estimator, config: RunConfig) -> ExpertsExplanation | None:
    """None for a dense model."""
    model = estimator.model
    if not model.is_moe:
        return None
    most, own = estimator.expert_limit(config), model.n_expert_used
    shown = sorted({n for n in (own // 2, own, own + 2, 2 * own) if 1 <= n <= most})
    return ExpertsExplanation(
        n_expert=model.n_expert,
        n_expert_used=own,
        expert_bytes=bytes_by_role(model).get("experts", 0),
        weights_bytes=sum(bytes_by_role(model).values()),
        most=most,
        rows=tuple(explain_config(estimator, config.with_(n_expert_used=n), n) for n in shown),
    )


def explain_cache(estimator: Estimator, config: RunConfig) -> CacheExplanation:
    """What the cache takes by type, and what the model's own attention spares of it."""
    model = estimator.model
    fused = config.with_(flash_attn="on")
    rows = tuple(_cached(estimator, fused, kind) for kind in EXPLAINED_CACHES)
    window = sliding_window(model)
    within, whole = (
        estimator.kv_cache_bytes(fused.with_(swa_full=full, type_k="f16", type_v="f16"))
        if window
        else None
        for full in (False, True)
    )
    twice = config.with_(n_ctx=2 * config.n_ctx)
    doubled = (
        estimator.kv_cache_bytes(twice.with_(type_k=kind, type_v=kind)) for kind in EXPLAINED_CACHES
    )
    grown = tuple(
        (n_bytes - row.device.kv_cache_bytes) / config.n_ctx
        for row, n_bytes in zip(rows, doubled, strict=True)
    )
    return CacheExplanation(
        rows=rows,
        per_token_bytes=grown,
        window=window,
        window_bytes=within,
        whole_bytes=whole,
        recurrent_bytes=rows[0].device.recurrent_bytes // config.n_seq_max,
        is_latent=model.integer("attention.kv_lora_rank", 0) > 0,
    )


def _cached(estimator: Estimator, config: RunConfig, kind: str) -> Explanation:
    return explain_config(estimator, config.with_(type_k=kind, type_v=kind), kind, longest=True)


def explain_flash(estimator: Estimator, config: RunConfig) -> tuple[Explanation, Explanation]:
    """With flash attention and without."""
    plain = config.with_(type_k="f16", type_v="f16")
    return (
        explain_config(estimator, plain.with_(flash_attn="on"), "on", longest=True),
        explain_config(estimator, plain.with_(flash_attn="off"), "off", longest=True),
    )


def explain_batch(estimator: Estimator, config: RunConfig) -> BatchExplanation:
    """What a larger micro-batch takes and brings, and what of it is logits."""
    n_vocab = estimator.model.n_vocab
    one = config.with_(n_outputs_max=config.n_seq_max)
    return BatchExplanation(
        rows=tuple(
            explain_config(estimator, config.with_(n_ubatch=n), n) for n in EXPLAINED_UBATCHES
        ),
        n_vocab=n_vocab,
        n_ubatch=config.n_ubatch,
        logits_bytes=4 * config.n_ubatch * n_vocab,
        one_output_compute_bytes=_on_cards(estimator, one, estimator.memory(one)).compute_bytes,
    )


def explain_rope(estimator: Estimator, config: RunConfig) -> RopeExplanation:
    """How far the context goes, and what extends it."""
    model, scaling = estimator.model, longest_extension(estimator.model)
    extended = scaling.n_ctx if scaling else native_context(model)
    return RopeExplanation(
        trained=model.n_ctx_train,
        native=native_context(model),
        scaling=scaling,
        extended_kv_bytes=estimator.kv_cache_bytes(config.with_(n_ctx=extended)),
    )


def _on_cards(estimator: Estimator, config: RunConfig, memory: MemoryEstimate) -> DeviceMemory:
    """What all cards hold together."""
    parts = [memory.devices[name] for name in estimator.cards_in(config)]
    names = (field.name for field in fields(DeviceMemory))
    return DeviceMemory(**{name: sum(getattr(part, name) for part in parts) for name in names})


def _specs(estimator: Estimator, config: RunConfig) -> list[GpuSpec]:
    specs = [card.spec for card in estimator.cards_in(config).values() if card.spec]
    if not specs:
        raise ConfigError("an explanation in figures is about a card: name one")
    return specs
