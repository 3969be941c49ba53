"""A job on another machine: what is done there, and what if that does not come back.

The executors of clusters share this. The other machine has oomph and the model's file; it opens its
own bench, so its records say what it is. What it completes travels back, and the one who asked
writes the records.
"""

import hashlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from oomph.errors import ConfigError, ModelFileError, ToolchainError
from oomph.frozen import frozen
from oomph.gguf.header import read_gguf
from oomph.measure.bench import Bench, open_bench
from oomph.measure.executors import Completed, Job
from oomph.records.environment import physical_cores

MODEL_DIR: Final = "OOMPH_MODEL_DIR"
"""Where a machine keeps its model files, if not where the asking one does."""
TRIES: Final = 3
"""How many machines a point may take down with it, or lose, before it is given up."""


class LostError(Exception):
    """The machine that ran a job is gone: not for users, the job is tried on another."""


@frozen
class RemoteJob:
    """A job for another machine. `models` says where the model lies on a machine, by its host
    name."""

    job: Job
    models: Mapping[str, str] = field(default_factory=dict)


def run_remote_job(remote: RemoteJob) -> Iterator[Completed]:
    """On the other machine: each point of the job in turn, with that machine's environment.

    ModelFileError where the model is not there or is another one, ToolchainError or ConfigError
    where the machine lacks the cards that the job is for.
    """
    job, path = remote.job, find_model(remote)
    with open_bench() as bench:
        _check_cards(job, bench)
        for completed in bench.executor.run(
            replace(job, model_path=path, n_threads=physical_cores())
        ):
            log = tuple(line.replace(str(path), str(job.model_path)) for line in completed.log)
            yield replace(completed, environment=bench.environment, log=log)


def find_model(remote: RemoteJob) -> Path:
    """The model's file on this machine: where `models` or $OOMPH_MODEL_DIR says, or at the same
    path as there."""
    job, here = remote.job, platform.node()
    named, folder = remote.models.get(here), os.environ.get(MODEL_DIR)
    path = Path(named) if named else Path(folder, job.model_path.name) if folder else job.model_path
    if not path.is_file():
        raise ModelFileError(
            f"{path} is not there on {here}; copy the model, name its place with --model-path-on "
            f"{here}=PATH, or set {MODEL_DIR} there to the folder that has {job.model_path.name}"
        )
    with path.open("rb") as file:
        header = file.read(read_gguf(path).data_offset)
    if hashlib.sha256(header).hexdigest() != job.header_sha256:
        raise ModelFileError(
            f"{path} on {here} is another model than the one that was asked for; copy that one "
            "there"
        )
    return path


def _check_cards(job: Job, bench: Bench) -> None:
    wanted, here = job.points[0].config.n_devices, platform.node()
    if wanted and bench.environment.backend == "cpu":
        why = bench.remark or "llama-cpp-python is not set up for CUDA"
        raise ToolchainError(f"{here} has no cards to give ({why}); run `oomph setup cuda` there")
    if wanted != len(bench.cards):
        raise ConfigError(
            f"n_devices is {wanted} and {here} shows a job {len(bench.cards)} cards; check its "
            "setup"
        )


def try_elsewhere(job: Job, attempt: Callable[[Job], Iterator[Completed]]) -> Iterator[Completed]:
    """Each point of the job in turn; `attempt` runs it somewhere and raises LostError when that
    machine is gone.

    What was not completed is then tried again. A point that is lost TRIES times is completed as
    `lost`.
    """
    points, n_lost = job.points, 0
    while points:
        try:
            for completed in attempt(replace(job, points=points)):
                points = points[1:]
                conditions = {**completed.conditions} | ({"n_lost": n_lost} if n_lost else {})
                n_lost = 0
                yield replace(completed, conditions=conditions)
            return
        except LostError as error:
            n_lost += 1
            if n_lost == TRIES:
                yield Completed(
                    point=points[0],
                    started_at=datetime.now(UTC),
                    wall_ns=0,
                    exit_code=None,
                    reply={},
                    failure=None,
                    timed_out=False,
                    log=(),
                    lost=f"given up after {TRIES} machines were lost with it; last: {error}",
                )
                return
