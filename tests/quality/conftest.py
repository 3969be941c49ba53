"""Records of tasks, made up: a grader with a planted share of right answers for each setting."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import pytest

from oomph.quality.tasks import TaskRun, task_runs
from oomph.records.schema import Record
from oomph.records.summary import summaries_of

MODEL = {"name": "m", "path": "m", "arch": "llama", "file_bytes": 1, "header_sha256": "h"}
PLACE = {
    "machine": "bench-1",
    "os": "",
    "python": "",
    "cpu": "",
    "cpu_count": 1,
    "memory_bytes": 1,
    "backend": "cpu",
}
REFERENCE = {"n_expert_used": 8}


def make_item(
    name: str, score: float, *, task: str = "niah_single", n_tokens: int | None = 1024
) -> dict[str, Any]:
    """An item as a record holds it."""
    said = {"task": task, "item": name, "score": score, "expected": ["x"], "answer": ""}
    return said | ({} if n_tokens is None else {"n_tokens": n_tokens, "n_prompt": n_tokens - 24})


def make_tasks(
    items: Sequence[Mapping[str, Any]],
    *,
    n_expert_used: int = 8,
    n_ctx: int = 4096,
    reference: Mapping[str, Any] | None = REFERENCE,
    config: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """A record of these items."""
    knobs = {"n_ctx": n_ctx, "n_expert_used": n_expert_used, "type_k": "f16", **(config or {})}
    name = f"{n_ctx}-{n_expert_used}-{changes.get('record_id', '')}"
    fields: dict[str, Any] = {
        "record_id": name,
        "point_id": name,
        "sweep": "tasks",
        "label": "",
        "started_at": "2026-11-28T10:00:00Z",
        "wall_ns": 1,
        "model": MODEL,
        "config": knobs,
        "environment": PLACE,
        "outcome": {"label": "ok"},
        "workload": {"tasks": {"reference": reference}} if reference else {},
        "tasks": {"items": list(items)},
    }
    return Record.model_validate(fields | changes)


def run_of(items: Sequence[Mapping[str, Any]], **changes: Any) -> TaskRun:
    """The one setting of a record of these items."""
    (run,) = task_runs(summaries_of([make_tasks(items, **changes)]))
    return run


def graded(random: Random, n: int, *, both: float, own: float, other: float) -> list[list[float]]:
    """Scores of two settings on `n` items: right in both, in the first alone, in the second alone,
    with these probabilities; one list for each setting."""
    pairs = random.choices(
        [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)],
        weights=[both, own, other, 1 - both - own - other],
        k=n,
    )
    return [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]


@pytest.fixture
def make_tasks_record() -> Callable[..., Record]:
    """Makes a record of items; keywords replace its fields."""
    return make_tasks
