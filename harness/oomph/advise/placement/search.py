"""The placement that is best: layers and experts, cache and batch where those help.

Takes a configuration and what of it must stay, and gives the one that is predicted the quickest, or
the longest, within the memory of every card and of the host. Ties go to fewer changes and to truer
caches.
"""

from collections.abc import Collection, Iterator, Sequence
from math import inf
from typing import Final

from oomph.advise.placement.parts import Goal, LayerParts
from oomph.advise.placement.proof import Placed, Prover
from oomph.advise.verdict import SURE
from oomph.config import KNOBS, RunConfig
from oomph.estimate.estimator import Estimator
from oomph.gguf.ggml_types import quant

WORTH_A_SPLIT: Final = 1.01
"""How much quicker than as it was asked a placement must be."""
WORTH_A_BATCH: Final = 1.05
"""How much quicker another micro-batch must be."""
WORTH_A_CACHE: Final = 1.05
"""How much quicker, or longer, a cache of less precision must be."""
SMALLER_CACHES: Final = ("q8_0", "q4_0")
LAST_RESORT: Final = "q4_0"
"""The cache that is taken only where nothing else fits: it costs quality."""
UBATCHES: Final = (2048, 1024, 512, 256, 128)
WHERE_LAYERS_GO: Final = frozenset({"tensor_split", "n_gpu_layers", "n_cpu_moe", "override_tensor"})
"""Knobs that change nothing but where the layers are."""
ALL_BUT_WHERE: Final = frozenset(KNOBS) - WHERE_LAYERS_GO
ALL_BUT_SPLIT: Final = frozenset(KNOBS) - {"tensor_split"}


def best_placement(
    estimator: Estimator,
    config: RunConfig,
    *,
    goal: Goal = "decode",
    held: Collection[str] = (),
    probability: float = SURE,
    parts: LayerParts | None = None,
) -> Placed | None:
    """The best configuration for `goal` that fits with `probability`, `config` itself where nothing
    is better by more than a change is worth; None where nothing fits.

    `held` are RunConfig's names of knobs that stay as they are; the context stays, but for the goal
    `context`. `parts` are those of the estimator's model, where they are counted for several
    questions. ConfigError where no card's memory is known.
    """
    return _best(Prover(estimator, config, held, probability, parts=parts), goal)


def divided(
    estimator: Estimator,
    config: RunConfig,
    probability: float = SURE,
    *,
    holds_split: bool = False,
    parts: LayerParts | None = None,
) -> RunConfig | None:
    """`config` with its layers divided among several cards so that it fits, as it is with
    `holds_split`; None where it does not."""
    if holds_split or config.n_devices < 2:
        return config if estimator.cautious(probability).fits(config) else None
    prover = Prover(estimator, config, ALL_BUT_SPLIT, probability, parts=parts)
    return prover.quickest_config(config, "decode")


def front(
    estimator: Estimator,
    config: RunConfig,
    *,
    held: Collection[str] = (),
    probability: float = SURE,
    parts: LayerParts | None = None,
) -> tuple[Placed, ...]:
    """Placements of which none is better in context, decoding and prefill at once: the best for
    each goal, and what half of the context and caches of less precision would give. The shortest
    context comes first."""
    prover = Prover(estimator, config, held, probability, parts=parts)
    found = [_best(prover, goal) for goal in ("decode", "prefill", "context")]
    if prover.may_change("n_ctx"):
        found += [prover.longest(shape) for shape in _smaller_caches(prover)]
    kept = worth_showing([each for each in found if each is not None])
    return tuple(sorted(kept, key=lambda row: (row.config.n_ctx, -row.decode_tokens_per_s)))


def worth_showing(rows: Sequence[Placed]) -> list[Placed]:
    """The rows of which none is better in everything, and of those that read alike the first."""
    kept: list[Placed] = []
    for row in rows:
        is_beaten = any(_is_beaten(row, other) for other in rows)
        if not (is_beaten or any(_is_alike(row, other) for other in kept)):
            kept.append(row)
    return kept


def _is_beaten(row: Placed, other: Placed) -> bool:
    """Whether another row is as good in everything and better in something."""
    own, others = (
        (each.config.n_ctx, each.decode_tokens_per_s, each.prefill_tokens_per_s)
        for each in (row, other)
    )
    return own != others and all(b >= a for a, b in zip(own, others, strict=True))


def _is_alike(row: Placed, other: Placed) -> bool:
    """Whether two rows are the same, or none is quicker by more than a change is worth."""
    pairs = (
        (row.decode_tokens_per_s, other.decode_tokens_per_s),
        (row.prefill_tokens_per_s, other.prefill_tokens_per_s),
    )
    return row.config == other.config or (
        row.speeds is not None
        and row.config.n_ctx == other.config.n_ctx
        and all(max(pair) <= WORTH_A_SPLIT * min(pair) for pair in pairs)
    )


def _best(prover: Prover, goal: Goal) -> Placed | None:
    """The best of all shapes, the asked one unless another is worth it."""
    if goal == "context":
        return _longest(prover)
    asked = prover.asked
    best = _better(prover.as_asked(), prover.quickest(asked, goal), goal, WORTH_A_SPLIT)
    if best is None:
        retreats = (prover.quickest(shape, goal) for shape in _retreats(prover))
        return next((found for found in retreats if found), None)
    gains = [
        (gain / worth, worth, shape)
        for shape, worth in _rivals(prover, goal)
        if (gain := prover.gain(shape, goal)) >= worth
    ]
    if gains:
        _, worth, shape = max(gains, key=lambda each: each[0])
        best = _better(best, prover.quickest(shape, goal), goal, worth)
    return best


def _longest(prover: Prover) -> Placed | None:
    """The longest context of the truest cache, unless one of less precision reaches much
    further."""
    best = prover.longest(prover.asked)
    for shape in _smaller_caches(prover):
        if best is None or shape.type_k != LAST_RESORT:
            found = prover.longest(shape)
            if best is None or (found and found.config.n_ctx > WORTH_A_CACHE * best.config.n_ctx):
                best = found
    return best


def _rivals(prover: Prover, goal: Goal) -> Iterator[tuple[RunConfig, float]]:
    """Shapes that may be quicker than the asked one, each with by how much it must be."""
    asked = prover.asked
    if goal == "prefill" and prover.may_change("n_ubatch"):
        for n_ubatch in UBATCHES:
            if asked.n_ubatch < n_ubatch <= asked.n_batch:
                yield asked.with_(n_ubatch=n_ubatch), WORTH_A_BATCH
    for smaller in _smaller_caches(prover):
        yield smaller, inf if smaller.type_k == LAST_RESORT else WORTH_A_CACHE


def _retreats(prover: Prover) -> Iterator[RunConfig]:
    """Shapes that take less than the asked one, the least given up first."""
    asked = prover.asked
    if prover.may_change("n_ubatch"):
        for n_ubatch in UBATCHES:
            if n_ubatch < min(asked.n_ubatch, asked.n_batch):
                yield asked.with_(n_ubatch=n_ubatch)
    yield from _smaller_caches(prover)


def _smaller_caches(prover: Prover) -> Iterator[RunConfig]:
    """The asked shape with caches of less precision, the truer first."""
    asked = prover.asked
    fused = asked.with_(flash_attn="on") if asked.flash_attn == "off" else asked
    if not prover.may_change("type_k", "type_v"):
        return
    if fused != asked and not prover.may_change("flash_attn"):
        return
    own = max(quant(kind).bits_per_weight for kind in (asked.type_k, asked.type_v))
    for kind in SMALLER_CACHES:
        if quant(kind).bits_per_weight < own:
            yield fused.with_(type_k=kind, type_v=kind)


def _better(best: Placed | None, found: Placed | None, goal: Goal, worth: float) -> Placed | None:
    """`found` where there is no other, or where it is quicker by a factor of more than `worth`."""
    if best is None or found is None:
        return best or found
    return found if found.rate(goal) > worth * best.rate(goal) else best
