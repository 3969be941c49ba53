"""The depth ladder: one filling of a context gives the timings at every depth on the way."""

import itertools
import math
import time
from collections.abc import Iterable
from statistics import median

from oomph.measure.worker.context import Context, Mark
from oomph.measure.worker.protocol import FILLED, Rule, Say, Timing

MOST_NEIGHBOURS, LEAST_NEIGHBOURS = 6, 4
"""Depths whose samples of prefill are held against a stop's: enough for a line, few enough for it
to be straight."""
AGREEMENT, MOST_SCATTER = 0.03, 0.05
"""How far a stop's prefill may be off its neighbours' line, as a fraction, to be borne out by them:
so far in any case, and as far as they scatter about it themselves, but not further than the second.
"""
MAD_SCALE = 1.4826
"""Makes the median absolute deviation estimate the standard deviation of normal noise."""


def median_half_width(samples: list[int]) -> float:
    """Half the distribution-free 95 % interval of the median over the median; infinite below six
    samples."""
    n, ordered = len(samples), sorted(samples)
    # the order statistics rank and n - 1 - rank enclose the median unless a tail of 2.5 % happens
    tail, rank = 0.0, 0
    while rank < n // 2 and (tail := tail + math.comb(n, rank) / 2**n) <= 0.025:
        rank += 1
    if rank == 0:
        return math.inf
    return (ordered[n - rank] - ordered[rank - 1]) / (2 * ordered[n // 2])


def wants_more(samples: list[int], rule: Rule) -> bool:
    """Whether the repetition rule asks for another sample of the same test."""
    if len(samples) < rule["least"]:
        return True
    if len(samples) >= rule["most"] or (
        rule["budget_s"] is not None and sum(samples) >= rule["budget_s"] * 1e9
    ):
        return False
    return rule["half_width"] is None or median_half_width(samples) > rule["half_width"]


def depths_within(
    n_ctx_seq: int, depths: Iterable[int | str], *, n_prompt: int, n_gen: int
) -> list[int]:
    """Those of `depths` that a sequence of `n_ctx_seq` cells holds with a prompt or a generation on
    top, ascending."""
    deepest = n_ctx_seq - max(n_prompt, n_gen)
    # the only word is "full"
    wanted = {deepest if isinstance(depth, str) else depth for depth in depths}
    return sorted(depth for depth in wanted if 0 <= depth <= deepest)


def depths_to_stop_at(context: Context) -> list[int]:
    """The workload's depths that this context can hold."""
    workload = context.workload
    return depths_within(
        context.n_ctx_seq,
        workload["depths"],
        n_prompt=workload["n_prompt"],
        n_gen=workload["n_gen"],
    )


LEAST_CPU_SHARE = 0.95
"""Of the processor time that its threads could have had, what an undisturbed sample got at least.
"""
MOST_DISTURBED = 3
"""Disturbed samples of one test at one depth that are made up for by further ones."""


class Samples:
    """The samples of one context by test and depth, in the order in which a test was first timed at
    a depth."""

    def __init__(self, context: Context) -> None:
        self._context, self._rule = context, context.workload["repetitions"]
        self._timings: dict[tuple[str, int], Timing] = {}

    def time(self, kind: str, n_tokens: int) -> None:
        """One more sample at the context's depth: `n_tokens` of prefill ("pp") or decode ("tg") are
        appended."""
        test, depth = f"{kind}{n_tokens}", self._context.depth
        timing = self._timings.setdefault(
            (kind, depth),
            {
                "test": test,
                "n_tokens": n_tokens,
                "n_depth": depth,
                "samples_ns": [],
                "ended_ns": [],
                "cpu_ns": [],
            },
        )
        if self._context.fills_the_host:
            timing.setdefault("disturbed", [])
        elapsed = (self._context.prefill if kind == "pp" else self._context.decode)(n_tokens)
        cpu_ns = self._context.cpu_ns
        if (
            "disturbed" in timing
            and cpu_ns < LEAST_CPU_SHARE * self._context.config["n_threads"] * elapsed
        ):
            timing["disturbed"].append(len(timing["samples_ns"]))
        timing["samples_ns"].append(elapsed)
        timing["cpu_ns"].append(cpu_ns)
        timing["ended_ns"].append(time.monotonic_ns())

    def of(self, kind: str, depth: int) -> list[int]:
        """Nanoseconds of each sample that counts: the first few that were disturbed are made up for
        by others."""
        timing = self._timings.get((kind, depth))
        if timing is None:
            return []
        passed_over = timing.get("disturbed", [])[:MOST_DISTURBED]
        return [ns for index, ns in enumerate(timing["samples_ns"]) if index not in passed_over]

    def wants_more(self, kind: str, depth: int) -> bool:
        """Whether the repetition rule asks for another sample here, once what the neighbours say
        has been counted."""
        neighbours = self._of_neighbours(depth) if kind == "pp" and self._rule["neighbours"] else []
        return wants_more(self.of(kind, depth) + neighbours, self._rule)

    def timings(self) -> list[Timing]:
        """What was timed, as the parent is told it."""
        return list(self._timings.values())

    def _of_neighbours(self, depth: int) -> list[int]:
        """The nearest depths' samples of prefill, moved here along their line, where those taken
        here lie on it.

        Prefill takes longer by the same for each cell of depth, until it does not (a sliding window
        is full, a kernel changes, the machine was disturbed): a median that is off the line says
        so, and then they are none.
        """
        own = self.of("pp", depth)
        others = [
            (at, self.of("pp", at)) for kind, at in self._timings if kind == "pp" and at != depth
        ]
        points = [(at, median(samples)) for at, samples in others if samples]
        nearest = sorted(points, key=lambda point: abs(point[0] - depth))[:MOST_NEIGHBOURS]
        if not own or len(nearest) < LEAST_NEIGHBOURS:
            return []
        slope = median(
            (t2 - t1) / (d2 - d1) for (d1, t1), (d2, t2) in itertools.combinations(nearest, 2)
        )
        moved = [round(ns + slope * (depth - at)) for at, ns in nearest]
        middle = median(moved)
        scatter = 2 * MAD_SCALE * median(abs(ns / middle - 1) for ns in moved)
        return (
            moved
            if abs(middle / median(own) - 1) <= max(AGREEMENT, min(scatter, MOST_SCATTER))
            else []
        )


def climb(context: Context) -> list[Timing]:
    """The depth ladder: fill once, from empty to the deepest stop, timing everything on the way.

    Each chunk of `n_prompt` tokens that fills is a sample of prefill at its depth. At a stop decode
    is timed first and taken out again, then prefill, which stays as fill where the next stop is
    deep enough. Where its neighbours do not bear a stop's sample out, prefill is timed again on the
    way back: cutting the context costs nothing. A model that keeps a state cannot be cut, so there
    all samples are taken on the way up.
    """
    n_prompt, n_gen = context.workload["n_prompt"], context.workload["n_gen"]
    samples, stops = Samples(context), depths_to_stop_at(context)
    for stop, following in itertools.zip_longest(stops, stops[1:], fillvalue=0):
        while context.depth < stop:
            append_chunk(context, samples, stop)
        mark = context.save()
        while n_gen and samples.wants_more("tg", stop):
            samples.time("tg", n_gen)
            context.restore(mark)
        if n_prompt:
            time_prefill(context, samples, mark, stays=stop + n_prompt <= following)
    for stop in () if context.keeps_state or not n_prompt else reversed(stops):
        while samples.wants_more("pp", stop):
            context.cut_back(stop)
            samples.time("pp", n_prompt)
    return samples.timings()


def time_prefill(context: Context, samples: Samples, mark: Mark, *, stays: bool) -> None:
    """Prefill at a stop on the way up: once, or as often as the rule asks where there is no way
    back."""
    depth, _ = mark
    samples.time("pp", context.workload["n_prompt"])
    while context.keeps_state and samples.wants_more("pp", depth):
        context.restore(mark)
        samples.time("pp", context.workload["n_prompt"])
    if not stays:
        context.restore(mark)


def append_chunk(context: Context, samples: Samples, stop: int) -> None:
    """Fill towards `stop`: by `n_prompt` tokens, which are a sample, or by the few that are
    missing, which are none."""
    n_prompt = context.workload["n_prompt"]
    n_tokens = min(n_prompt or context.n_batch, stop - context.depth)
    if n_tokens == n_prompt:
        samples.time("pp", n_prompt)
    else:
        context.prefill(n_tokens)


def fill(context: Context, say: Say) -> None:
    """Fill to the deepest stop and on to the promise, unclocked: what a card that only counts
    memory can do.

    How far it is, is said on the way: a run that is cut short by an abort shows how far it came.
    """
    workload = context.workload
    for depth in depths_to_stop_at(context)[-1:]:
        while context.depth < depth:
            context.prefill(min(workload["n_prompt"] or context.n_batch, depth - context.depth))
            say(FILLED, n_filled=context.depth)
        mark = context.save()
        if workload["n_prompt"]:
            context.prefill(workload["n_prompt"])
            context.restore(mark)
        context.decode(workload["n_gen"])


def first_touch(context: Context) -> list[Timing]:
    """The first prompt and token after the load, cold as a user meets them: the warm-up of all that
    follows."""
    workload = context.workload
    timings: list[Timing] = []
    for name, run, n_tokens in (
        ("cold_pp", context.prefill, min(workload["n_prompt"], context.n_ctx_seq - 1)),
        ("cold_tg", context.decode, min(workload["n_gen"], 1)),
    ):
        if n_tokens:
            timings.append(
                {
                    "test": f"{name}{n_tokens}",
                    "n_tokens": n_tokens,
                    "n_depth": 0,
                    "samples_ns": [run(n_tokens)],
                    "ended_ns": [time.monotonic_ns()],
                }
            )
    context.clear()
    return timings
