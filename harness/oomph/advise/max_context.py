"""What is my maximum? The longest context that fits, and what was seen to run.

Stands apart from the answer to one configuration: here the context is what is asked for, over
everything that a user would trade for it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from oomph.advise.evidence import filled, is_of, like_its_program, settled
from oomph.advise.placement.parts import LayerParts
from oomph.advise.placement.proof import Prover
from oomph.advise.placement.search import ALL_BUT_SPLIT
from oomph.advise.quantizations import quantization_of
from oomph.advise.verdict import EVEN, SURE
from oomph.architectures.rope import positions
from oomph.config import CONTEXT_STEP, RunConfig, padded_context
from oomph.estimate.estimator import Estimator
from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.records.schema import Record


@frozen
class ContextLimits:
    """How far one combination goes, in tokens. `n_expert_used` is None for a dense model.

    `sure_n_ctx` fits with 90 % probability and `even_n_ctx` with 50 %: 0 where not even the
    smallest does, and `limit` where nothing longer was looked for. `ran_n_ctx` is the longest that
    a record shows to run when it is filled to the end, None where no record tells; `ran_backend` is
    where ('cuda', 'phantom' or 'cpu').
    """

    quantization: str | None
    weights_bytes: int
    n_expert_used: int | None
    type_kv: str
    sure_n_ctx: int
    even_n_ctx: int
    tensor_split: tuple[float, ...] | None
    limit: int
    ran_n_ctx: int | None
    ran_backend: str | None
    record_id: str | None


def longest_context(
    estimator: Estimator, config: RunConfig, probability: float = SURE, *, limit: int | None = None
) -> int:
    """The largest n_ctx that fits with `probability`, other knobs as they are; 0 where none does.
    Where no text is written, the longest input.

    Nothing longer is looked for than `limit`; None is as far as the model's positions go, or as was
    asked.
    """
    if not estimator.makes_text(config):
        longest = estimator.cautious(probability).max_input(config)
        return longest if limit is None else min(longest, limit)
    if limit is None:
        limit = max(positions(estimator.model).furthest, padded_context(config.n_ctx))
    knobs = {name: value for name, value in config.to_dict().items() if name != "n_ctx"}
    longest = estimator.cautious(probability).max_context(limit=limit, **knobs)
    if estimator.gpu is None or estimator.has_exact_compute or not longest:
        return longest

    # the doubt about a buffer of an unknown graph grows with the context
    def is_unlikely(steps: int) -> bool:
        shorter = config.with_(n_ctx=steps * CONTEXT_STEP, n_depth=0)
        return (estimator.predict(shorter, longest=False).fit_probability or 0.0) < probability

    return CONTEXT_STEP * bisect_left(range(1, longest // CONTEXT_STEP + 1), True, key=is_unlikely)


def longest_divided(
    estimator: Estimator,
    config: RunConfig,
    probability: float = SURE,
    *,
    limit: int | None = None,
    holds_split: bool = False,
    parts: LayerParts | None = None,
) -> tuple[int, tuple[float, ...] | None]:
    """The largest n_ctx that fits with `probability` and the split that it needs: `config`'s own
    where another reaches no further, or where it is to stay. `parts` are those of the estimator's
    model, where they are counted for several questions."""
    reached = longest_context(estimator, config, probability, limit=limit)
    is_single = len(estimator.room_bytes(config)) < 2
    if (
        holds_split
        or is_single
        or not estimator.has_exact_compute
        or estimator.is_one_batch(config)
        or (limit is not None and reached > limit - CONTEXT_STEP)
    ):
        return reached, config.tensor_split
    prover = Prover(estimator, config, ALL_BUT_SPLIT, probability, parts=parts)
    found = prover.longest_config(config, limit)
    if found is None or found.n_ctx <= reached:
        return reached, config.tensor_split
    return found.n_ctx, found.tensor_split


def context_limits(
    estimators: Iterable[Estimator],
    config: RunConfig,
    *,
    experts: Sequence[int | None],
    caches: Sequence[str],
    records: "Sequence[Record]" = (),
    limit: int | None = None,
) -> Iterator[ContextLimits]:
    """Every combination of model, number of experts and cache type, the other knobs as in `config`,
    as it is found.

    Nothing longer is looked for than `limit`; None is as far as the model's positions go.
    """
    parts: LayerParts | None = None
    for estimator in estimators:
        furthest = limit or positions(estimator.model).furthest
        own = [record for record in records if is_of(record, estimator)]
        parts, weights = LayerParts(estimator, like=parts), estimator.model.n_bytes
        for n_expert_used in experts:
            for kind in caches:
                asked = config.with_(n_expert_used=n_expert_used, type_k=kind, type_v=kind)
                yield _limits(estimator, asked, own, furthest, parts, weights)


def _limits(
    estimator: Estimator,
    config: RunConfig,
    records: "Sequence[Record]",
    limit: int,
    parts: LayerParts,
    weights_bytes: int,
) -> ContextLimits:
    asked = _any_context(settled(config, estimator.model))
    ran = [
        record
        for record in records
        if record.outcome.label == "ok"
        and filled(record) == record.config["n_ctx"]
        and _asks_the_same(record, asked, estimator)
    ]
    longest = max(ran, key=lambda record: int(record.config["n_ctx"]), default=None)
    holds_split = any(config.tensor_split or ())
    (sure_n_ctx, split), (even_n_ctx, _) = (
        longest_divided(
            estimator, config, probability, limit=limit, holds_split=holds_split, parts=parts
        )
        for probability in (SURE, EVEN)
    )
    return ContextLimits(
        quantization=quantization_of(estimator.model),
        weights_bytes=weights_bytes,
        n_expert_used=asked.n_expert_used,
        type_kv=config.type_k,
        limit=limit,
        sure_n_ctx=sure_n_ctx,
        even_n_ctx=even_n_ctx,
        tensor_split=split,
        ran_n_ctx=int(longest.config["n_ctx"]) if longest else None,
        ran_backend=longest.environment.backend if longest else None,
        record_id=longest.record_id if longest else None,
    )


def _asks_the_same(record: "Record", asked: RunConfig, estimator: Estimator) -> bool:
    """Whether a record's knobs are those that are asked, whatever the context, or take as much
    memory where its program has others by itself."""
    from oomph.calibrate.comparison import record_config

    tried = settled(record_config(record), estimator.model)
    if _any_context(tried) == asked:
        return True
    alike = like_its_program(asked.with_(n_ctx=tried.n_ctx), record, estimator)
    return alike is not None and _any_context(alike) == _any_context(tried)


def _any_context(config: RunConfig) -> RunConfig:
    return config.of_memory().with_(n_ctx=1)
