"""The model's chat template around a user's words, and the likeliest answer to a prompt."""

import ctypes
from typing import Any

from oomph.measure.worker.context import Context

MARK = "@@question@@"
NO_THOUGHT = "<think>\n\n</think>\n\n"
"""How a template of a model that thinks aloud writes that it does not (Qwen3's enable_thinking =
false)."""
NO_TEMPLATE = "the model has no chat template that llama.cpp knows"


def split_chat(api: Any, model: Any) -> tuple[str, str] | None:
    """What the model's chat template puts before and after a user's words; None without a template
    it can apply."""
    template = api.llama_model_chat_template(model, None)
    if not template:
        return None
    message = (api.llama_chat_message * 1)(api.llama_chat_message(b"user", MARK.encode()))
    buffer = ctypes.create_string_buffer(1 << 16)
    n_bytes = api.llama_chat_apply_template(template, message, 1, True, buffer, len(buffer))
    before, found, after = buffer.raw[: max(n_bytes, 0)].decode().partition(MARK)
    thinks = b"enable_thinking" in template and b"</think>" in template
    return (before, after + NO_THOUGHT * thinks) if found else None


def feed(context: Context, tokens: list[int]) -> None:
    """Append tokens to the first sequence, in batches of n_batch; the last one has logits."""
    for first in range(0, len(tokens), context.n_batch):
        piece = tokens[first : first + context.n_batch]
        last = len(piece) - 1
        context.submit(
            [(token, context.depth + at, 0, at == last) for at, token in enumerate(piece)]
        )
        context.depth += len(piece)


def generate(context: Context, model: Any, prompt: list[int], *, n_most: int) -> str:
    """The likeliest answer, token by token, until the model ends it or `n_most` are written."""
    import numpy as np

    api, vocab, written = context.api, context.api.llama_model_get_vocab(model), b""
    feed(context, prompt)
    for _ in range(n_most):
        logits = np.ctypeslib.as_array(
            api.llama_get_logits_ith(context.handle, -1), (context.n_vocab,)
        )
        token = int(logits.argmax())
        if api.llama_vocab_is_eog(vocab, token):
            break
        written += text_of(api, vocab, token)
        feed(context, [token])
    return written.decode(errors="replace").strip()


def text_of(api: Any, vocab: Any, token: int) -> bytes:
    """The bytes that a token stands for; none for a control token."""
    piece = ctypes.create_string_buffer(256)
    n_bytes = api.llama_token_to_piece(vocab, token, piece, len(piece), 0, False)
    return piece.raw[: max(n_bytes, 0)]
