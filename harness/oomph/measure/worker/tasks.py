"""Asks items of tasks over a long context, and says each answer as soon as it is there."""

import time
from typing import Any

from oomph.measure.worker.answering import NO_TEMPLATE, feed, generate
from oomph.measure.worker.context import Context
from oomph.measure.worker.protocol import ANSWERED, Say, TaskAnswer, TaskAsked, TasksAsked
from oomph.measure.worker.vocabulary import layout_of, too_short


def ask_tasks(context: Context, model: Any, asked: TasksAsked, say: Say) -> str | None:
    """Ask every item for which there is time, each in an empty context; why not all were asked,
    None where all were.

    Nothing is begun that would end after `seconds`, by the longest item of that length or less so
    far.
    """
    layout = layout_of(context.api, model, asked["pools"])
    if layout is None:
        return NO_TEMPLATE
    started, slowest_s, left_out = time.monotonic(), 0.0, list[TaskAsked]()
    for n_done, item in enumerate(asked["items"]):
        began = time.monotonic()
        if began - started + _expected_s(slowest_s, item) > asked["seconds"]:
            said = f"the time was up: {n_done - len(left_out)} of {len(asked['items'])} items asked"
            return "; ".join(filter(None, (too_short(left_out), said)))
        prompt = None if item["n_tokens"] > context.n_ctx_seq else layout.prompt(item)
        if prompt is None:
            left_out.append(item)
            continue
        context.clear()
        feed(context, prompt["tokens"][:-1])
        answer = generate(context, model, prompt["tokens"][-1:], n_most=item["n_answer"])
        told: TaskAnswer = {
            "task": item["task"],
            "item": prompt["item"],
            "n_tokens": item["n_tokens"],
            "n_prompt": len(prompt["tokens"]),
            "depth": item["depth"],
            "expected": item["expected"],
            "answer": answer,
        }
        say(ANSWERED, task_item=told)
        slowest_s = max(slowest_s, (time.monotonic() - began) / item["n_tokens"])
    return too_short(left_out)


def _expected_s(seconds_per_token: float, item: TaskAsked) -> float:
    return seconds_per_token * item["n_tokens"]
