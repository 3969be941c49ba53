"""What a text costs the model, token by token: negative log-likelihoods by position."""

from typing import Any

from oomph.measure.worker.context import Context
from oomph.measure.worker.loading import StageError

QUALITY_BATCH = 256
"""Tokens whose logits are held at once when a text is scored: 256 x 150,000 words x 4 bytes is 150 MB."""


def tokenize(api: Any, model: Any, text: str) -> list[int]:
    """The text's tokens with the model's own beginning-of-sequence token where it wants one."""
    vocab, data = api.llama_model_get_vocab(model), text.encode()
    tokens = (api.llama_token * (len(data) + 8))()
    n_tokens = api.llama_tokenize(vocab, data, len(data), tokens, len(tokens), True, False)
    if n_tokens < 2:
        raise StageError("quality", "the text has fewer than two tokens for this model")
    return list(tokens[:n_tokens])


def negative_log_likelihoods(context: Context, tokens: list[int]) -> list[float]:
    """Nats for tokens[1:], each given all before it; one pass of `len(tokens)` positions."""
    import numpy as np  # llama_cpp has loaded it already

    api, nats = context.api, []
    step = min(QUALITY_BATCH, context.n_batch, context.config["n_outputs_max"] or QUALITY_BATCH)
    context.clear()
    for first in range(0, len(tokens) - 1, step):
        piece = tokens[first : min(first + step, len(tokens) - 1)]
        context.submit([(token, first + index, 0, True) for index, token in enumerate(piece)])
        logits = np.ctypeslib.as_array(api.llama_get_logits(context.handle), (len(piece), context.n_vocab))
        peak = logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(logits - peak).sum(axis=1, dtype=np.float64)) + peak[:, 0]
        chosen = logits[np.arange(len(piece)), tokens[first + 1 : first + 1 + len(piece)]]
        nats.extend((log_sum - chosen).tolist())
    return nats


def score(context: Context, model: Any, text: dict[str, Any]) -> dict[str, Any]:
    """Negative log-likelihood of the text by position, in passes of `n_ctx` tokens as llama-perplexity cuts them.

    Each pass begins with the model's beginning-of-sequence token, if it has one, in place of its first token.
    """
    api, vocab = context.api, context.api.llama_model_get_vocab(model)
    tokens = tokenize(api, model, text["content"])[: text["n_tokens"]]
    n_pass = min(text["n_ctx"] or len(tokens), len(tokens), context.n_ctx_seq)
    nats: list[float] = []
    for start in range(0, len(tokens) - n_pass + 1, n_pass):
        piece = tokens[start : start + n_pass]
        if api.llama_vocab_get_add_bos(vocab):
            piece[0] = api.llama_vocab_bos(vocab)
        nats.extend(negative_log_likelihoods(context, piece))
    return {"n_pass": n_pass, "nll_nats": [round(value, 5) for value in nats]}
