"""A sweep on a real Ray cluster of two nodes on this machine, one of which is killed in the
middle."""

import platform
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from oomph.errors import ConfigError, ModelFileError, ToolchainError
from oomph.measure.ray_executor import ray_place
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import machine_name
from oomph.records.store import Store

ray = pytest.importorskip("ray", reason="Ray is an extra; pip install 'oomph[ray]'")
pytestmark = [
    pytest.mark.llama,
    pytest.mark.ray,
    pytest.mark.flaky(reruns=1),  # on busy cores Ray may give both jobs to one node
]

MARK = "OOMPH_TEST_OF_A_RAY_CLUSTER"
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}
HEAD = NODE | {"_system_config": {"health_check_period_ms": 300}}
"""Ray asks every 3 seconds whether a node lives, and believes the fifth time that it does not."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv(MARK, "1")  # inherited by the nodes, their tasks and the workers of these
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args=HEAD)
        cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        yield cluster
        cluster.shutdown()


def workers() -> list[psutil.Process]:
    """The processes that hold a model for this cluster, orphans among them."""
    return [process for process in psutil.process_iter() if _is_ours(process)]


def _is_ours(process: psutil.Process) -> bool:
    try:
        return "oomph.measure.worker" in process.cmdline() and MARK in process.environ()
    except psutil.Error:
        return False


def test_a_lost_nodes_points_are_measured_on_another(
    cluster: Any, tmp_path: Path, make_sweep: Callable[[str], Sweep], tiny_moe: Path
) -> None:
    """Each load takes long enough that one is running on either node when the second node is
    killed."""
    sweep = make_sweep(
        "config.n_threads = 1\naxes = {n_expert_used = [1, 2, 3, 4], n_ctx = [256, 512]}\n"
        "measure = {n_prompt = 16, n_gen = 8, repetitions = {least = 40, most = 40}}"
    )
    killed, node = threading.Event(), next(iter(cluster.worker_nodes))

    def kill_when_both_are_busy() -> None:
        while len(workers()) < 2:
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)
        killed.set()

    with ray_place(cluster.address) as place:
        assert (place.at_once, place.n_devices, place.environment.backend) == (2, 0, "cpu")
        threading.Thread(target=kill_when_both_are_busy, daemon=True).start()
        records = list(Runner(Store(tmp_path), [place]).run(sweep))
        assert killed.is_set()
        assert list(Runner(Store(tmp_path), [place]).run(sweep)) == [], (
            "a cluster's records count wherever they ran"
        )
    assert {record.outcome.label for record in records} == {"ok"}
    assert len({record.point_id for record in records}) == len(records) == 8
    n_lost = [record.conditions.n_lost or 0 for record in records]
    assert sum(n_lost) <= 1, (
        "only what was on that node is tried again; nothing was if Ray had put both jobs on the "
        "other"
    )
    assert all(record.environment.machine == machine_name() for record in records)
    _gone, alive = psutil.wait_procs(workers(), timeout=10)
    assert not alive, "neither the killed node nor the other leaves a worker behind"


def test_a_node_without_the_model_is_one_sentence(
    cluster: Any, tmp_path: Path, make_sweep: Callable[[str], Sweep]
) -> None:
    with (
        ray_place(cluster.address, models={platform.node(): "/no/such.gguf"}) as place,
        pytest.raises(ModelFileError, match=r"^/no/such\.gguf is not there on .*--model-path-on"),
    ):
        list(Runner(Store(tmp_path), [place]).run(make_sweep("")))


def test_closing_the_sweep_ends_the_worker_on_the_node(
    cluster: Any, tmp_path: Path, make_sweep: Callable[[str], Sweep]
) -> None:
    sweep = make_sweep("axes.n_ctx = [256, 512]\nmeasure = {n_prompt = 16, n_gen = 1}")
    with ray_place(cluster.address) as place:
        records = Runner(Store(tmp_path), [place]).run(sweep)
        next(records)
        records.close()  # type: ignore[attr-defined]
        _gone, alive = psutil.wait_procs(workers(), timeout=10)
    assert not alive


def test_a_kind_of_gpu_that_the_cluster_has_not_is_refused(cluster: Any) -> None:
    with pytest.raises(ConfigError, match="kinds of GPU that Ray knows in this cluster are none"):  # noqa: SIM117
        with ray_place(cluster.address, accelerator="H100"):
            pass


def test_no_cluster_is_one_sentence() -> None:
    with pytest.raises(ToolchainError, match=r"no Ray cluster answers at .*ray start --head"):  # noqa: SIM117
        with ray_place("127.0.0.1:1"):
            pass
