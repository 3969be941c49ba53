"""Whether the model still finds a fact in a long text, asked in its chat template.

Stands apart from the text's score because it writes: a question's answer is generated greedily. The
text is filled once and cut back after each question, so that many facts cost little more than one.
"""

import re
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from oomph.measure.worker.answering import NO_TEMPLATE, feed, generate, split_chat
from oomph.measure.worker.context import Context
from oomph.measure.worker.protocol import Fact, Needle, NeedleAsked, Recall
from oomph.measure.worker.quality import tokenize

MAX_ANSWER = 32
"""Tokens of an answer at most."""


def ask(context: Context, model: Any, probe: NeedleAsked) -> Recall:
    """Each fact of each text: what the model answers, and how far the fact was.

    `probe` has the filler's sentences, and for each text its facts by depth: sentence, question,
    answer and depth.
    """
    chat = split_chat(context.api, model)
    if chat is None:
        return {"needles": [], "missing": NO_TEMPLATE}
    needles: list[Needle] = []
    for facts in probe["texts"]:
        needles.extend(_ask_one_text(context, model, chat, facts, probe))
    return {"needles": needles, "missing": None}


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
    feed(context, [*head, *text])
    mark = context.save()
    answers: list[Needle] = []
    for fact, ending, end in zip(facts, endings, ends, strict=True):
        n_before = len(head) + end
        answer = generate(context, model, ending, n_most=MAX_ANSWER)
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
