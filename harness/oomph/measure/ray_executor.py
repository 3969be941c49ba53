"""Jobs on an existing Ray cluster: one task a load, on as many GPUs as its points name.

Ray decides where a task runs; on a cluster without GPUs it gets a whole node, since workers on one
CPU disturb each other's timing. The tasks write nothing: what they complete comes back as it is
measured.
"""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from oomph.errors import ConfigError, OomphError, ToolchainError
from oomph.extras import pip_install
from oomph.measure.child import GLANCE_S
from oomph.measure.executors import Completed, Job
from oomph.measure.plan import Place
from oomph.measure.remote import LostError, RemoteJob, run_remote_job, try_elsewhere
from oomph.records.environment import read_environment

if TYPE_CHECKING:
    from types import ModuleType

ACCELERATOR: Final = "accelerator_type:"
"""How Ray names a resource that says which GPU a node has."""
CONNECT_S: Final = 5.0


class RayExecutor:
    """Runs jobs as tasks of the cluster that this process is connected to; `n_cpus` is what a job
    without a GPU takes.

    `accelerator` is the GPU that a job must have, by Ray's name; None is any.
    """

    def __init__(
        self, *, models: Mapping[str, str], n_cpus: float, accelerator: str | None = None
    ) -> None:
        self._models, self._n_cpus = dict(models), n_cpus
        self._resources = {f"{ACCELERATOR}{accelerator}": 0.001} if accelerator else {}

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn, on another node when one is lost; see `Executor`."""
        return try_elsewhere(job, lambda left: self._attempt(left, stop or threading.Event()))

    def _attempt(self, job: Job, stop: threading.Event) -> Iterator[Completed]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        n_gpus = job.points[0].config.n_devices
        task = ray.remote(run_remote_job).options(
            num_gpus=n_gpus,
            num_cpus=1 if n_gpus else self._n_cpus,
            resources=self._resources,
            max_retries=0,
            num_returns="streaming",
            scheduling_strategy="SPREAD",
            name="oomph",
        )
        stream: Any = task.remote(RemoteJob(job=job, models=self._models))
        try:
            while not stop.is_set():
                if ray.wait([stream], timeout=GLANCE_S)[0]:
                    yield ray.get(next(stream))
        except StopIteration:
            return
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, OomphError) else error) from None
        except RayError as error:
            raise LostError(str(error).splitlines()[0]) from None
        finally:
            ray.cancel(stream)


@contextmanager
def ray_place(
    address: str = "auto",
    *,
    models: Mapping[str, str] | None = None,
    accelerator: str | None = None,
) -> Iterator[Place]:
    """The cluster at `address` as a place where a sweep is measured, for as long as the block.

    ToolchainError where Ray is not installed or no cluster answers, ConfigError where it has
    several kinds of GPU and `accelerator` names none of them.
    """
    try:
        import ray
    except ImportError:
        raise ToolchainError(
            f"Ray is not installed; `{pip_install('ray')}`, on every node"
        ) from None
    was_connected = ray.is_initialized()
    if not was_connected:
        _connect(ray, address)
    try:
        yield _place(ray, models or {}, accelerator)
    finally:
        if not was_connected:
            ray.shutdown()


def _connect(ray: "ModuleType", address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():  # Ray itself goes on trying for minutes
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except OSError:  # ConnectionError and a timeout are such
        raise ToolchainError(
            f"no Ray cluster answers at {address}; start one with `ray start --head`, run this on "
            "one of its nodes, or name its address with --ray-address"
        ) from None


def _place(ray: "ModuleType", models: Mapping[str, str], accelerator: str | None) -> Place:
    nodes: list[dict[str, Any]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_gpus = int(sum(node.get("GPU", 0) for node in nodes))
    n_cpus = [node["CPU"] for node in nodes if node.get("CPU")]
    kinds = {
        key.removeprefix(ACCELERATOR)
        for node in nodes
        for key in node
        if key.startswith(ACCELERATOR)
    }
    if accelerator not in kinds and (accelerator or len(kinds) > 1):
        raise ConfigError(
            "the kinds of GPU that Ray knows in this cluster are "
            f"{', '.join(sorted(kinds)) or 'none'}, and a sweep is "
            "measured on one of them; name it with --gpu"
        )
    if not (n_gpus or n_cpus):
        raise ConfigError(
            "the Ray cluster has neither GPUs nor CPUs for tasks; give its nodes some"
        )
    executor = RayExecutor(models=models, n_cpus=min(n_cpus, default=1), accelerator=accelerator)
    environment = read_environment(backend="cuda" if n_gpus else "cpu")
    return Place(
        executor=executor,
        environment=environment,
        at_once=n_gpus or len(n_cpus),
        n_devices=min(n_gpus, 1),
        anywhere=True,
    )
