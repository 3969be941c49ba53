"""Cells, streams, tokens and outputs, as llama_context makes them of the knobs."""

from collections.abc import Sequence
from typing import Final

from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.graph.hparams import Hparams
from oomph.estimate.graph.tensor import pad
from oomph.frozen import frozen
from oomph.gguf.ggml_types import QuantType

EMPTY: Final = 256
"""Positions that a cache without tokens counts as."""


@frozen
class CacheTypes:
    """The types of the KV cache, and whether attention is fused (flash attention).

    `transposes_v` is how V was laid out before `flash_attn` auto was decided: it stays as flash
    attention wants it.
    """

    k: QuantType
    v: QuantType
    flash_attn: bool
    transposes_v: bool


@frozen
class Sizes:
    """`cells` and `cells_swa` are KV cells a stream, without and with a sliding window. `n_states`
    are kept of each recurrent state and sequence: more than one where it can go back.

    The prompt graph that llama.cpp reserves has `n_tokens` in `n_seqs` sequences and gives
    `n_outputs` rows of logits.
    """

    cells: int
    cells_swa: int
    n_stream: int
    n_seqs: int
    n_tokens: int
    n_tokens_of_one: int
    """The same of a prompt that is one sequence's."""
    n_outputs: int
    n_batch: int
    """The most tokens that are handed over at once: all of an encoder's are one micro-batch."""
    n_states: int = 1
    n_positions: int = EMPTY
    """Positions that the cache counts as: an empty one at load, unless a full one is asked for
    (llama_kv_cache_msa_context::get_n_pos)."""

    def compressed(self, ratio: int) -> int:
        """The cells of a stream's cache that has one for `ratio` tokens (dsv4_comp_size)."""
        return pad(max(1, -(-self.cells // ratio)), 256)

    def growing(self, ratios: Sequence[int]) -> tuple[int, ...]:
        """What all sizes of a graph are straight lines over: the cells, or those of each ratio that
        tokens are compressed by, beside which a window alone is left of the others."""
        is_windowed = self.cells_swa < self.cells
        own = () if ratios and is_windowed else (self.cells,)
        return (*own, *(self.compressed(ratio) for ratio in ratios))

    @property
    def caches(self) -> tuple[int, ...]:
        """What a graph of any batch depends on."""
        return (
            self.cells,
            self.cells_swa,
            self.n_stream,
            self.n_seqs,
            self.n_states,
            self.n_positions,
        )


def resolve_sizes(config: RunConfig, hparams: Hparams, *, context: int | None = None) -> Sizes:
    """llama_context's arithmetic: contexts padded to 256 cells, batches cut to the context (an
    encoder's only once it is padded), tokens padded to sequences. An encoder has no cells. With
    another `context`, in tokens, than `config` has where one is given.

    Raises ConfigError where a sequence's share of the context is empty.
    """
    n_seqs = config.n_seq_max
    asked = config.n_ctx if context is None else context
    padded = pad(asked, 256)
    cells = padded if config.kv_unified else pad(padded // n_seqs, 256)
    if cells == 0:
        raise ConfigError(
            f"n_ctx {asked} leaves nothing for each of {n_seqs} sequences; raise n_ctx"
        )
    n_ctx = cells if config.kv_unified else cells * n_seqs
    n_batch = min(asked, config.n_batch) if hparams.is_causal else config.n_batch
    n_ubatch = min(n_batch, config.n_ubatch)
    n_tokens = min(n_ctx, n_ubatch)
    if not hparams.has_cache:
        cells = 0
    is_one_stream = config.kv_unified and hparams.family.shares_streams
    window = hparams.n_swa * (n_seqs if is_one_stream else 1) + n_ubatch
    return Sizes(
        cells=cells,
        cells_swa=cells if config.swa_full else pad(min(cells, window), 256),
        n_stream=1 if is_one_stream else n_seqs,
        n_seqs=n_seqs,
        n_tokens=pad(n_tokens, n_seqs),
        n_tokens_of_one=n_tokens,
        n_outputs=min(
            n_tokens, (not hparams.family.has_encoder and config.n_outputs_max) or n_batch
        ),
        n_states=1 + (config.n_rolled_back if hparams.family.recurrence.rolls_back else 0),
        n_batch=n_batch if hparams.is_causal else n_ubatch,
    )
