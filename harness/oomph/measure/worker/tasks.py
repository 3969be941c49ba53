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

    Nothing is begun that would end after `seconds`, by the slowest token so far: of a length that
    was not asked yet slower by as much as it is longer.
    """
    layout = layout_of(context.api, model, asked["pools"])
    if layout is None:
        return NO_TEMPLATE
    started, left_out = time.monotonic(), list[TaskAsked]()
    slowest_s, longest = 0.0, asked["items"][0]["n_tokens"]
    for n_done, item in enumerate(asked["items"]):
        began = time.monotonic()
        n_tokens = item["n_tokens"]
        expected_s = slowest_s * n_tokens * max(1.0, n_tokens / longest)
        if began - started + expected_s > asked["seconds"]:
            said = f"the time was up: {n_done - len(left_out)} of {len(asked['items'])} items asked"
            return "; ".join(filter(None, (too_short(left_out), said)))
        prompt = None if n_tokens > context.n_ctx_seq else layout.prompt(item)
        if prompt is None:
            left_out.append(item)
            continue
        context.clear()
        feed(context, prompt["tokens"][:-1])
        answer = generate(context, model, prompt["tokens"][-1:], n_most=item["n_answer"])
        told: TaskAnswer = {
            "task": item["task"],
            "item": prompt["item"],
            "n_tokens": n_tokens,
            "n_prompt": len(prompt["tokens"]),
            "depth": item["depth"],
            "expected": item["expected"],
            "answer": answer,
        }
        say(ANSWERED, task_item=told)
        slowest_s = max(slowest_s, (time.monotonic() - began) / n_tokens)
        longest = max(longest, n_tokens)
    return too_short(left_out)
