"""What a text costs the model, token by token, and how far from a reference."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from oomph.measure.worker.context import Context
from oomph.measure.worker.loading import StageError
from oomph.measure.worker.protocol import Quality, TextAsked
from oomph.measure.worker.reference import heading, open_reference

QUALITY_BATCH = 256
"""Tokens whose logits are held at once when a text is scored: 256 x 150,000 words x 4 bytes is 150
MB."""


def tokenize(
    api: Any, model: Any, text: str, *, begins: bool = True, chat: bool = False
) -> list[int]:
    """The text's tokens, with the model's own beginning of a sequence before it if it `begins` one
    and the model wants it; a `chat` has control tokens written out, in other text they are words.
    """
    vocab, data = api.llama_model_get_vocab(model), text.encode()
    tokens = (api.llama_token * (len(data) + 8))()
    n_tokens = api.llama_tokenize(vocab, data, len(data), tokens, len(tokens), begins, chat)
    return list(tokens[:n_tokens])


def log_probabilities(context: Context, tokens: list[int]) -> Iterator[tuple[Any, Any]]:
    """For tokens[1:], each given all before it: arrays (tokens, words) of log-probabilities, and
    those of the tokens that came, in nats; one pass of `len(tokens)` positions."""
    import numpy as np  # llama_cpp has loaded it already

    api = context.api
    step = min(QUALITY_BATCH, context.n_batch, context.config["n_outputs_max"] or QUALITY_BATCH)
    context.clear()
    for first in range(0, len(tokens) - 1, step):
        piece = tokens[first : min(first + step, len(tokens) - 1)]
        context.submit([(token, first + index, 0, True) for index, token in enumerate(piece)])
        logits = np.ctypeslib.as_array(
            api.llama_get_logits(context.handle), (len(piece), context.n_vocab)
        )
        peak = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - peak).sum(axis=1, dtype=np.float64)) + peak[:, 0]
        chosen = logits[np.arange(len(piece)), tokens[first + 1 : first + 1 + len(piece)]]
        yield logits - log_sum[:, None].astype(np.float32), chosen - log_sum


def passes(context: Context, model: Any, text: TextAsked) -> tuple[int, list[list[int]]]:
    """The text cut as llama-perplexity cuts it: passes of `n_ctx` tokens, whose length comes first.

    Each pass begins with the model's beginning-of-sequence token, if it has one, in place of its
    first token.
    """
    api, vocab = context.api, context.api.llama_model_get_vocab(model)
    tokens = tokenize(api, model, text["content"])[: text["n_tokens"]]
    if len(tokens) < 2:
        raise StageError("quality", "the text has fewer than two tokens for this model")
    n_pass = min(text["n_ctx"] or len(tokens), len(tokens), context.n_ctx_seq)
    begins = [api.llama_vocab_bos(vocab)] if api.llama_vocab_get_add_bos(vocab) else []
    starts = range(0, len(tokens) - n_pass + 1, n_pass)
    return n_pass, [(begins + tokens[start + len(begins) : start + n_pass]) for start in starts]


def score(context: Context, model: Any, text: TextAsked) -> Quality:
    """Negative log-likelihood of the text by position, and its divergence from the reference's
    distributions."""
    n_pass, pieces = passes(context, model, text)
    tokens_sha256, n_rows = (
        hashlib.sha256(json.dumps(pieces).encode()).hexdigest(),
        len(pieces) * (n_pass - 1),
    )
    head = heading(tokens_sha256, n_rows, n_pass, context.n_vocab)
    compared = open_reference(text["compare"], head, n_rows=n_rows, n_vocab=context.n_vocab)
    nats: list[float] = []
    for piece in pieces:
        for log_probs, chosen in log_probabilities(context, piece):
            nats.extend((-chosen).tolist())
            compared.take(log_probs)
    return {
        "n_pass": n_pass,
        "tokens_sha256": tokens_sha256,
        "nll_nats": [round(value, 5) for value in nats],
        **compared.result(),
    }
