"""The depth ladder: one filling of a context gives the timings at every depth on the way."""

import math
from collections.abc import Iterator
from typing import Any

from oomph.measure.worker.context import Context


def median_half_width(samples: list[int]) -> float:
    """Half the distribution-free 95 % interval of the median over the median; infinite below six samples."""
    n, ordered = len(samples), sorted(samples)
    tail, rank = 0.0, 0  # the order statistics rank and n - 1 - rank enclose the median unless a tail of 2.5 % happens
    while rank < n // 2 and (tail := tail + math.comb(n, rank) / 2**n) <= 0.025:
        rank += 1
    if rank == 0:
        return math.inf
    return (ordered[n - rank] - ordered[rank - 1]) / (2 * ordered[n // 2])


def wants_more(samples: list[int], rule: dict[str, Any]) -> bool:
    """Whether the repetition rule asks for another sample of the same test."""
    if len(samples) < rule["least"]:
        return True
    if len(samples) >= rule["most"] or (rule["budget_s"] is not None and sum(samples) >= rule["budget_s"] * 1e9):
        return False
    return rule["half_width"] is None or median_half_width(samples) > rule["half_width"]


def depths_to_stop_at(context: Context) -> list[int]:
    """The workload's depths that this context can hold with a prompt and a generation on top, ascending."""
    workload = context.workload
    deepest = context.n_ctx_seq - max(workload["n_prompt"], workload["n_gen"])
    wanted = {deepest if depth == "full" else depth for depth in workload["depths"]}
    return sorted(depth for depth in wanted if 0 <= depth <= deepest)


def climb(context: Context) -> Iterator[dict[str, Any]]:
    """The depth ladder: fill once, from empty to the deepest stop, timing everything on the way.

    Each chunk of `n_prompt` tokens that fills is itself a sample of prefill at its depth. At a stop, prefill and
    decode are timed in turn, each taken out again, before the fill goes on.
    """
    workload, rule = context.workload, context.workload["repetitions"]
    n_prompt, n_gen = workload["n_prompt"], workload["n_gen"]
    chunk = n_prompt or context.n_batch
    for stop in depths_to_stop_at(context):
        while context.depth < stop:
            depth, n_tokens = context.depth, min(chunk, stop - context.depth)
            elapsed = context.prefill(n_tokens)
            if n_tokens == n_prompt:
                yield {"test": f"pp{n_prompt}", "n_tokens": n_prompt, "n_depth": depth, "samples_ns": [elapsed]}
        tests = {f"pp{n_prompt}": (context.prefill, n_prompt), f"tg{n_gen}": (context.decode, n_gen)}
        samples: dict[str, list[int]] = {name: [] for name, (_, n_tokens) in tests.items() if n_tokens}
        mark = context.save()
        while due := [name for name in samples if wants_more(samples[name], rule)]:
            for name in due:
                run, n_tokens = tests[name]
                samples[name].append(run(n_tokens))
                context.restore(mark)
        for name, taken in samples.items():
            yield {"test": name, "n_tokens": tests[name][1], "n_depth": stop, "samples_ns": taken}


def fill(context: Context, say: Any) -> None:
    """Fill to the deepest stop and on to the promise, unclocked: what a card that only counts memory can do.

    How far it is, is said on the way: a run that is cut short by an abort shows how far it came.
    """
    workload = context.workload
    for depth in depths_to_stop_at(context)[-1:]:
        while context.depth < depth:
            context.prefill(min(workload["n_prompt"] or context.n_batch, depth - context.depth))
            say("filled", n_filled=context.depth)
        mark = context.save()
        if workload["n_prompt"]:
            context.prefill(workload["n_prompt"])
            context.restore(mark)
        context.decode(workload["n_gen"])


def first_touch(context: Context) -> list[dict[str, Any]]:
    """The first prompt and token after the load, cold as a user meets them: the warm-up of all that follows."""
    workload, timings = context.workload, []
    for name, run, n_tokens in (
        ("cold_pp", context.prefill, min(workload["n_prompt"], context.n_ctx_seq - 1)),
        ("cold_tg", context.decode, min(workload["n_gen"], 1)),
    ):
        if n_tokens:
            timings.append({"test": f"{name}{n_tokens}", "n_tokens": n_tokens, "samples_ns": [run(n_tokens)]})
    context.clear()
    return timings
