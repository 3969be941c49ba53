"""What embeddings are made of: how long an input may be, and what its result takes.

An encoder sees an input at once, so that it has to be one micro-batch: what a context is to a model
that writes, n_ubatch is to one that reads.
"""

from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig, padded_context
from oomph.estimate.buffers import Setup
from oomph.estimate.graph.tensor import pad

INPUT_STEP: Final = 256
"""Steps in which a longest input is looked for, in tokens."""
NO_DECODE: Final = "embeddings are asked for: no token is decoded"
NO_TEXT: Final = "an encoder writes no text: no token is decoded"


def makes_text(setup: Setup) -> bool:
    """Whether tokens are decoded one after the other."""
    return setup.pooling is None and setup.hparams.reads_cache


def is_one_batch(setup: Setup) -> bool:
    """Whether an input has to be one micro-batch: all but those whose last token alone is looked
    at, over a cache (server_slot::can_split)."""
    is_last = setup.pooling == "last" or (setup.pooling == "rank" and setup.hparams.is_causal)
    return not (setup.hparams.reads_cache and is_last)


def longest_input(model: ModelSpec, config: RunConfig, setup: Setup) -> int:
    """The most tokens that an input may have, as llama-server takes them."""
    held = min(padded_context(config.n_ctx_seq), model.n_ctx_train)
    return min(held, config.n_batch, config.n_ubatch) if is_one_batch(setup) else held


def with_input(config: RunConfig, n_tokens: int) -> RunConfig:
    """The configuration that takes inputs of so many tokens in one micro-batch, which its sequences
    divide."""
    n_ctx = max(config.n_ctx, n_tokens if config.kv_unified else n_tokens * config.n_seq_max)
    size = pad(n_tokens, config.n_seq_max)
    batches = {"n_ctx": n_ctx, "n_batch": size, "n_ubatch": size}
    return config.with_(**batches, n_outputs_max=config.n_outputs_max and size)


def result_bytes(model: ModelSpec, setup: Setup, n_tokens: int) -> int:
    """What the results of `n_tokens` tokens take: their logits, for which llama.cpp makes room even
    where it computes none, and their embeddings (llama_context::output_reserve)."""
    width = model.integer("embedding_length_out", 0) or setup.hparams.n_embd
    keeps = setup.pooling or setup.hparams.family.is_crossed
    return 4 * n_tokens * (setup.hparams.n_vocab + (width if keeps else 0))
