"""Whether the model still finds a fact in a long text, asked in its chat template.

Stands apart from the text's score because it writes: a question's answer is generated greedily. The
text is filled once and cut back after each question, so that many facts cost little more than one.
"""

import ctypes
import re
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from oomph.measure.worker.context import Context
from oomph.measure.worker.protocol import Fact, Needle, NeedleAsked, Recall
from oomph.measure.worker.quality import tokenize

MAX_ANSWER = 32
"""Tokens of an answer at most."""
MARK = "@@question@@"
NO_THOUGHT = "<think>\n\n</think>\n\n"
"""How a template of a model that thinks aloud writes that it does not (Qwen3's enable_thinking =
false)."""


def ask(context: Context, model: Any, probe: NeedleAsked) -> Recall:
    """Each fact of each text: what the model answers, and how far the fact was.

    `probe` has the filler's sentences, and for each text its facts by depth: sentence, question,
    answer and depth.
    """
    chat = split_chat(context.api, model)
    if chat is None:
        return {"needles": [], "missing": "the model has no chat template that llama.cpp knows"}
    needles: list[Needle] = []
    for facts in probe["texts"]:
        needles.extend(_ask_one_text(context, model, chat, facts, probe))
    return {"needles": needles, "missing": None}


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


def _ask_one_text(
    context: Context,
    model: Any,
    chat: tuple[str, str],
    facts: Sequence[Fact],
    probe: NeedleAsked,
) -> list[Needle]:
    def tokens_of(text: str, *, begins: bool = False, rendered: bool = False) -> list[int]:
        return tokenize(context.api, model, text, begins=begins, chat=rendered)

    before, after = chat
    head = tokens_of(before, begins=True, rendered=True)
    endings = [tokens_of(f"\n\n{fact['question']}{after}", rendered=True) for fact in facts]
    room = min(context.n_ctx_seq, probe["n_tokens"] or context.n_ctx_seq)
    text, ends = haystack(
        [tokens_of(f" {sentence}") for sentence in probe["filler"]],
        [(fact["depth"], tokens_of(f" {fact['sentence']}")) for fact in facts],
        room - len(head) - max(map(len, endings)) - MAX_ANSWER,
    )
    context.clear()
    _feed(context, [*head, *text])
    mark = context.save()
    answers: list[Needle] = []
    for fact, ending, end in zip(facts, endings, ends, strict=True):
        n_before = len(head) + end
        answer = _generate(context, model, ending)
        context.restore(mark)
        answers.append(
            {
                "depth": fact["depth"],
                "n_before": n_before,
                "n_after": mark[0] - n_before + len(ending),
                "expected": fact["answer"],
                "answer": answer,
                "found": says(answer, fact["answer"]),
            }
        )
    return answers


def says(answer: str, expected: str) -> bool:
    """Whether the answer holds what was expected, as a word of its own."""
    return re.search(rf"\b{re.escape(expected)}\b", answer) is not None


def haystack(
    filler: Sequence[list[int]], needles: Sequence[tuple[float, list[int]]], room: int
) -> tuple[list[int], list[int]]:
    """Sentences of the filler, begun again as often as it takes to fill `room` tokens, with the
    needles between them at their depths (ascending fractions); and how many tokens there are up to
    the end of each needle."""
    n_filler, n_filled = room - sum(len(needle) for _, needle in needles), 0
    text: list[int] = []
    ends: list[int] = []

    def place(upto: float) -> None:
        while len(ends) < len(needles) and needles[len(ends)][0] <= upto:
            text.extend(needles[len(ends)][1])
            ends.append(len(text))

    for sentence in cycle(filler):
        place(n_filled / max(n_filler, 1))
        if n_filled + len(sentence) > n_filler:
            break
        text.extend(sentence)
        n_filled += len(sentence)
    place(1.0)
    return text, ends


def _feed(context: Context, tokens: list[int]) -> None:
    for first in range(0, len(tokens), context.n_batch):
        piece = tokens[first : first + context.n_batch]
        last = len(piece) - 1
        context.submit(
            [(token, context.depth + at, 0, at == last) for at, token in enumerate(piece)]
        )
        context.depth += len(piece)


def _generate(context: Context, model: Any, prompt: list[int]) -> str:
    """The likeliest answer, token by token, until the model ends it or `MAX_ANSWER` are written."""
    import numpy as np

    api, vocab, written = context.api, context.api.llama_model_get_vocab(model), b""
    _feed(context, prompt)
    for _ in range(MAX_ANSWER):
        logits = np.ctypeslib.as_array(
            api.llama_get_logits_ith(context.handle, -1), (context.n_vocab,)
        )
        token = int(logits.argmax())
        if api.llama_vocab_is_eog(vocab, token):
            break
        piece = ctypes.create_string_buffer(256)
        n_bytes = api.llama_token_to_piece(vocab, token, piece, len(piece), 0, False)
        written += piece.raw[: max(n_bytes, 0)]
        _feed(context, [token])
    return written.decode(errors="replace").strip()
