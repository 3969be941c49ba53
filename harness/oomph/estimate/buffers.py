"""What decides a compute buffer, and what it comes to."""

from typing import TYPE_CHECKING

from oomph.architectures.spec import ModelSpec
from oomph.estimate.graph.hparams import Hparams
from oomph.estimate.graph.placement import Placement
from oomph.estimate.graph.sizes import CacheTypes, Sizes
from oomph.frozen import frozen

if TYPE_CHECKING:
    from oomph.estimate.graph.slices import Slices


@frozen
class Setup:
    """One configuration, resolved: everything a graph depends on."""

    hparams: Hparams
    placement: Placement
    sizes: Sizes
    cache: CacheTypes
    op_offload: bool
    pooling: str | None = None
    unfused: frozenset[str] = frozenset()
    """Operators that llama.cpp builds of their parts (resolve_fused_ops)."""
    slices: "Slices | None" = None
    """What each card has of a tensor with --split-mode tensor; None for the other modes."""

    @property
    def about(self) -> tuple[object, ...]:
        """What a graph depends on but sizes, and where the model lies."""
        return (self.cache, self.hparams.key, self.op_offload, self.pooling, self.unfused)

    @property
    def key(self) -> tuple[object, ...]:
        """What its graphs share with those of a setup that they are equal to, of the same batch."""
        return (self.placement.key, self.sizes.caches, *self.about)


@frozen
class Batch:
    """What a graph is reserved for: tokens, rows of logits and sequences."""

    n_tokens: int
    n_outputs: int
    n_seqs: int


def token_batch(setup: Setup) -> Batch:
    """One token of each sequence."""
    n = setup.sizes.n_seqs
    return Batch(n_tokens=n, n_outputs=n, n_seqs=n)


@frozen
class Packing:
    """Bytes of each pool; `live_bytes` the most that was live at once."""

    bytes: tuple[int, ...]
    live_bytes: tuple[int, ...]


@frozen
class ComputeBuffers:
    """Bytes by backend, and the most that is live at once in each: never more, and monotone in
    every size."""

    bytes: dict[str, int]
    live_bytes: dict[str, int]
    is_exact: bool = True
    """Whether the graph was replayed: False where the general rule stands in for it."""


@frozen
class Turns:
    """The contexts past which a model's graph is another one."""

    n_ctx_before_rope: int | None
    """That from which a file's other RoPE factors are read; None where it has none."""
    n_chosen: int
    """The cells that an indexer chooses."""

    def kind(self, setup: Setup, batch: Batch, places: object) -> object:
        """All that a graph depends on but the cells; `places` is where the model lies."""
        sizes = setup.sizes
        return (
            places,
            *setup.about,
            batch,
            sizes.n_stream,
            sizes.n_seqs,
            sizes.n_states,
            self.n_ctx_before_rope is not None and sizes.cells > self.n_ctx_before_rope,
            self._chosen_from(setup) > self.n_chosen,
        )

    def _chosen_from(self, setup: Setup) -> int:
        """The cells that an indexer chooses from: compressed ones where there are any."""
        ratios = setup.hparams.compress_ratios
        return setup.sizes.compressed(min(ratios)) if ratios else setup.sizes.cells


def turns_of(model: ModelSpec) -> Turns:
    """Those of a model, by its file."""
    n_ctx: int | None = None
    if "rope_factors_long.weight" in model.tensors:
        n_ctx = model.integer("rope.scaling.original_context_length", model.n_ctx_train)
    n_chosen = model.integer("attention.indexer.top_k", 0)
    return Turns(n_ctx_before_rope=n_ctx, n_chosen=n_chosen)
