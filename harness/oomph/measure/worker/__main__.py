"""The worker's process: its limits, its protocol, one load and the points that share it."""

import json
import os
import resource
import sys
import time
from typing import IO, Any

from oomph.measure.worker.context import Context
from oomph.measure.worker.ladder import climb, fill, first_touch
from oomph.measure.worker.loading import (
    StageError,
    free_bytes,
    import_llama,
    load_ggml,
    model_params,
    start_backends,
)
from oomph.measure.worker.needle import ask
from oomph.measure.worker.parent import die_with
from oomph.measure.worker.protocol import (
    CONTEXT,
    DONE,
    LOADED,
    MEASURED,
    READY,
    Job,
    Point,
    Questions,
    Say,
)
from oomph.measure.worker.quality import score
from oomph.measure.worker.replies import answer
from oomph.measure.worker.tasks import ask_tasks


def measure(api: Any, ggml: Any, model: Any, commands: IO[str], say: Say, *, point: Point) -> None:
    """One point, from its context to its samples, said as it goes."""
    started = time.perf_counter_ns()
    context = Context(api, model, point)
    say(
        CONTEXT,
        context_ns=time.perf_counter_ns() - started,
        free_after_context_bytes=free_bytes(ggml),
    )
    if point["workload"]["timing"]:
        timings = first_touch(context)
        timings.extend(climb(context))
        for timing in timings:
            timing["n_parallel"] = context.n_parallel
        say(MEASURED, timings=timings, free_after_run_bytes=free_bytes(ggml))
    else:
        fill(context, say)
        say(MEASURED, timings=[], free_after_run_bytes=free_bytes(ggml))
    said: Questions | None = json.loads(commands.readline() or "null")
    asked: Questions = said or {}
    started = time.perf_counter_ns()
    quality = score(context, model, asked["text"]) if "text" in asked else None
    recall = ask(context, model, asked["needle"]) if "needle" in asked else None
    missing = ask_tasks(context, model, asked["tasks"], say) if "tasks" in asked else None
    scored_ns = time.perf_counter_ns() - started if asked else None
    context.close()
    say(DONE, quality=quality, recall=recall, tasks_missing=missing, scored_ns=scored_ns)


def serve(commands: IO[str], say: Say) -> None:
    """Load as the job says, then measure point after point until `commands` ends."""
    job: Job = json.loads(commands.readline())
    die_with(job["parent_pid"])
    limit(job)
    if job[
        "cpus"
    ]:  # before any memory is touched: Linux takes it from the node of the CPU that does
        os.sched_setaffinity(0, job["cpus"])
    api, log = import_llama()
    ggml = load_ggml(api)
    start_backends(api, ggml, job["backend_path"])
    say(READY)
    params, kept = model_params(api, ggml, job)
    started = time.perf_counter_ns()
    model = api.llama_model_load_from_file(os.fsencode(job["model_path"]), params)
    if not model:
        raise StageError("load", "llama_model_load_from_file returned NULL")
    say(LOADED, load_ns=time.perf_counter_ns() - started, free_after_load_bytes=free_bytes(ggml))
    for line in commands:
        measure(api, ggml, model, commands, say, point=json.loads(line))
    api.llama_model_free(model)
    del kept, log  # C has held pointers to them until here


def limit(job: Job) -> None:
    """Set the memory limit before llama.cpp is there, and no core files: a card's worth of them
    fills a disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if job["memory_bytes"]:
        kind = resource.RLIMIT_AS if job["memory_kind"] == "address_space" else resource.RLIMIT_DATA
        resource.setrlimit(kind, (job["memory_bytes"], job["memory_bytes"]))


if __name__ == "__main__":
    sys.exit(answer(int(sys.argv[1]), serve))
