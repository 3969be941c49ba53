"""Jobs on a Slurm cluster, through submitit: one batch job a load.

The results folder lies on a file system that the nodes share. A job leaves each point there as it
is completed, and the one who asked, who alone writes records, picks it up: a job that Slurm ends
has lost the point in hand only.
"""

import math
import os
import pickle
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from oomph.errors import OomphError, ToolchainError
from oomph.extras import pip_install
from oomph.measure.cuda_route import chosen_backend
from oomph.measure.executors import Completed, Job
from oomph.measure.plan import Place
from oomph.measure.remote import LostError, RemoteJob, run_remote_job, try_elsewhere
from oomph.records.environment import read_environment

AT_ONCE: Final = 16
"""Batch jobs that wait or run at the same time, unless told otherwise: what they find still prunes
the rest."""
SLACK_S: Final = 300.0
"""A batch job's time beyond its timeouts: Python, oomph and llama.cpp come over a network file
system."""
POLL_S: Final = 2.0
ERROR: Final = "error"


class SlurmExecutor:
    """Runs jobs as batch jobs; `folder` is on a file system that the nodes share. `cluster` is
    submitit's: "slurm", or "local" for processes of this machine."""

    def __init__(
        self,
        folder: Path,
        *,
        partition: str | None = None,
        gres: str | None = None,
        models: Mapping[str, str] | None = None,
        cluster: str = "slurm",
    ) -> None:
        self._folder, self._models, self._cluster = folder.resolve(), dict(models or {}), cluster
        self._partition, self._gres = partition, gres

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn, in another batch job when one is lost; see `Executor`."""
        return try_elsewhere(job, lambda left: self._attempt(left, stop or threading.Event()))

    def parameters(self, job: Job) -> dict[str, Any]:
        """What submitit is asked for: a GPU for each card of the points, or else a node without
        company."""
        n_devices = job.points[0].config.n_devices
        seconds = job.points[0].timeouts.load.seconds + sum(
            point.timeouts.point.seconds for point in job.points
        )
        cards = self._gres or (f"gpu:{n_devices}" if n_devices else None)
        asked = {
            "name": "oomph",
            "timeout_min": math.ceil((seconds + SLACK_S) / 60),
            "slurm_partition": self._partition,
            "slurm_gres": cards,
            "slurm_exclusive": None if cards else True,
        }
        return {key: value for key, value in asked.items() if value is not None}

    def _attempt(self, job: Job, stop: threading.Event) -> Iterator[Completed]:
        import submitit

        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=self._folder, prefix="points-", ignore_cleanup_errors=True
        ) as points:
            executor = submitit.AutoExecutor(folder=self._folder, cluster=self._cluster)
            executor.update_parameters(**self.parameters(job))
            batch = executor.submit(
                leave_points, RemoteJob(job=job, models=self._models), Path(points)
            )
            try:
                n_seen = yield from _collect(batch, Path(points), stop)
                if stop.is_set():
                    return
                if isinstance(batch.exception(), submitit.core.utils.UncompletedJobError):
                    raise LostError(f"batch job {batch.job_id} ended as {batch.state}")
                if n_seen < batch.result():
                    raise LostError(
                        f"what batch job {batch.job_id} left on the shared file system did not "
                        "arrive"
                    )
            finally:
                if not batch.done():
                    batch.cancel(check=False)


def leave_points(remote: RemoteJob, folder: Path) -> int:
    """In the batch job: write each completed point to the folder, or what a user has to mend; how
    many points."""
    n_left = 0
    try:
        for n_left, completed in enumerate(run_remote_job(remote), start=1):
            _leave(folder / str(n_left), completed)
    except OomphError as error:
        _leave(folder / ERROR, error)
    return n_left


def _leave(path: Path, what: object) -> None:
    """Under its name once it is whole."""
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(what))
    os.replace(part, path)


def _collect(batch: Any, folder: Path, stop: threading.Event) -> Generator[Completed, None, int]:
    """The points as they come, until the batch job has ended or is called off; how many there
    were."""
    n_seen, ended = 0, False
    while not ended:
        # asked before the folder is looked into for the last time
        ended = stop.wait(POLL_S) or batch.done()
        while (path := folder / str(n_seen + 1)).exists():
            n_seen += 1
            yield pickle.loads(path.read_bytes())
    if (error := folder / ERROR).exists():
        raise pickle.loads(error.read_bytes())
    return n_seen


def slurm_place(
    folder: Path,
    *,
    partition: str | None = None,
    gres: str | None = None,
    models: Mapping[str, str] | None = None,
    at_once: int = AT_ONCE,
) -> Place:
    """The cluster that this machine submits to as a place where a sweep is measured.

    ToolchainError where submitit or Slurm's own commands are missing.
    """
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ToolchainError(f"submitit is not installed; `{pip_install('submitit')}`") from None
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise ToolchainError(
            "sbatch is not there; run this on a machine that submits to the Slurm cluster"
        )
    backend = chosen_backend()
    executor = SlurmExecutor(folder, partition=partition, gres=gres, models=models)
    return Place(
        executor=executor,
        environment=read_environment(backend=backend),
        at_once=at_once,
        n_devices=int(backend == "cuda"),
        anywhere=True,
    )
