"""llama-benchy's tests as records: one for each model of a run, timed through a server.

It asks any server that speaks OpenAI's protocol, so neither engine, settings nor card are known. A
test of several requests at once (`c4`) is timed by their sum.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from oomph.records.device_lines import UNKNOWN
from oomph.records.schema import Record
from oomph.records.tables.found import Row, Values
from oomph.records.tools.made import (
    Source,
    rate_ns,
    record_of,
    smallest_context,
    timing,
    whole,
)
from oomph.records.tools.placed import Place, place_of_lines

ORIGIN: Final = "llama-benchy"
_UNKNOWN: Final = Place(backend=UNKNOWN, cards=(), n_devices=0)


def is_benchy_row(values: Values) -> bool:
    """Whether the values are a row of its table, or its JSON."""
    return bool(values.get("benchy")) or _is_report(values) or _is_run(values)


def _is_report(values: Values) -> bool:
    return isinstance(values.get("benchmarks"), list) and "model" in values


def _is_run(values: Values) -> bool:
    """One run of a report whose end is cut."""
    return {"prompt_size", "response_size", "context_size"} <= set(values)


class Test:
    """A row with its timings; those of one model and place are a record."""

    __slots__ = ("model", "place", "row", "timings")

    def __init__(self, row: Row, model: str, timings: list[dict[str, Any]]) -> None:
        if not timings:
            raise ValueError("it tests no token")
        self.row, self.model, self.timings = row, model[:200], timings
        self.place = place_of_lines(row.around) or _UNKNOWN


def read_test(row: Row) -> Test:
    """The row understood; ValueError, in a few words, where it cannot be."""
    values = row.values
    if values.get("benchy"):
        return Test(row, str(values.get("model") or ""), [_printed(values)])
    runs = [values] if _is_run(values) else values["benchmarks"]
    found = [each for run in runs if isinstance(run, dict) for each in _reported(run)]
    return Test(row, str(values.get("model") or ""), found)


def _printed(values: Values) -> dict[str, Any]:
    n_prompt, n_gen = int(values["n_prompt"]), int(values["n_gen"])
    n_parallel = int(values.get("n_parallel") or 1)
    n_tokens = n_prompt or n_gen
    ns = rate_ns(n_tokens * n_parallel, values["avg_ts"], "t/s")
    kind = "pp" if n_prompt else "tg"
    n_depth = int(values["n_depth"])
    return timing(kind, n_tokens, ns, n_depth=n_depth, n_parallel=n_parallel)


def _reported(run: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    n_parallel = max(whole(run.get("concurrency") or 1, "concurrency"), 1)
    context = whole(run.get("context_size") or 0, "context_size")
    is_context = bool(run.get("is_context_prefill_phase"))
    n_prompt = context if is_context else whole(run.get("prompt_size") or 0, "prompt_size")
    n_gen = whole(run.get("response_size") or 0, "response_size")
    for kind, n_tokens, n_depth in (
        ("pp", n_prompt, 0 if is_context else context),
        ("tg", n_gen, context),
    ):
        metric = run.get(f"{kind}_throughput")
        rate = metric.get("mean") if isinstance(metric, dict) else metric
        if rate and n_tokens:
            ns = rate_ns(n_tokens * n_parallel, rate, f"{kind}_throughput")
            yield timing(kind, n_tokens, ns, n_depth=n_depth, n_parallel=n_parallel)


def benchy_runs(tests: Iterable[Test]) -> list[list[Test]]:
    """The rows of each record: of one model under one header."""
    groups: dict[str, list[Test]] = {}
    for test in tests:
        place = [test.place.backend, *test.place.cards]
        groups.setdefault(json.dumps([test.row.table, test.model, *place]), []).append(test)
    return list(groups.values())


def benchy_record(tests: Sequence[Test], source: Source) -> Record:
    """The record of a run's rows."""
    timings = [timing for test in tests for timing in test.timings]
    n_parallel = max(each["n_parallel"] for each in timings)
    config = {"n_ctx": n_parallel * smallest_context(timings)}
    return record_of(
        source,
        origin=ORIGIN,
        config=config | ({"n_seq_max": n_parallel} if n_parallel > 1 else {}),
        model=source.named_model(tests[0].model),
        place=tests[0].place,
        timings=timings,
        unread={"engine": "a server"},
    )
