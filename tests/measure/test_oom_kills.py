"""The kernel's own word on who was killed for memory: its counters, and a real kill where a group
can be made."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oomph.measure.oom_kills import MOUNT, VMSTAT, OomKills
from oomph.units import MIB

LIMIT = 160 * MIB
SWEEP = """
import sys
from oomph.measure.executors import LocalExecutor
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.store import Store
model, worker, out, tasks = sys.argv[1:]
open(tasks, "w").write(str(__import__("os").getpid()))
sweep = Sweep.parse(f'name = "test"\\nmodel = "{model}"\\naxes.n_ctx = [256, 512, 1024]')
executor = LocalExecutor(worker=[worker], interval_s=0.05)
for record in Runner(Store(out), executor, environment=read_environment(backend="cpu")).run(sweep):
    print(record.outcome.model_dump_json(), flush=True)
"""


def _own_path(mount: Path, controllers: str) -> Path:
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    path = next((path for _, names, path in lines if controllers in names.split(",")), "/none")
    return mount / path.lstrip("/")


def test_a_machine_without_groups_is_counted_whole(tmp_path: Path) -> None:
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("nr_free_pages 5\noom_kill 3\nthp_fault_alloc 1\n")
    kills = OomKills(os.getpid(), mount=tmp_path, vmstat=vmstat)
    assert kills.since() == 0
    vmstat.write_text("nr_free_pages 5\noom_kill 5\n")
    assert (kills.since(), kills.source) == (2, vmstat)


def test_the_groups_own_count_goes_before_the_machines(tmp_path: Path) -> None:
    """A neighbour that is killed for memory says nothing of the worker."""
    vmstat = tmp_path / "vmstat"
    vmstat.write_text("oom_kill 3\n")
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, names, path in lines:
        if names == "" or "memory" in names.split(","):
            root = tmp_path / ("memory" if names else "")
            group = root / path.lstrip("/") / ("memory.oom_control" if names else "memory.events")
            group.parent.mkdir(parents=True, exist_ok=True)
            group.write_text("low 0\noom 4\noom_kill 1\noom_group_kill 0\n")
    kills = OomKills(os.getpid(), mount=tmp_path, vmstat=vmstat)
    vmstat.write_text("oom_kill 4\n")
    assert kills.since() == 0
    assert kills.source is not None
    kills.source.write_text("oom_kill 2\n")
    assert kills.since() == 1


def test_a_kernel_that_does_not_tell_is_none(tmp_path: Path) -> None:
    kills = OomKills(os.getpid(), mount=tmp_path, vmstat=tmp_path / "none")
    assert (kills.since(), kills.source) == (None, None)
    assert OomKills(2**22 + 1, mount=tmp_path, vmstat=tmp_path / "none").since() is None


def test_the_real_files_are_read() -> None:
    kills = OomKills(os.getpid())
    if "oom_kill " not in VMSTAT.read_text():
        pytest.skip("a kernel before 4.13 counts no OOM kills")
    assert kills.since() is not None


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group of 160 MiB; only root on a machine that hands groups out can make one."""
    made = []
    for controllers, root, limit in (
        ("memory", MOUNT / "memory", "memory.limit_in_bytes"),
        ("", MOUNT, "memory.max"),
    ):
        group = _own_path(root, controllers) / f"oomph-test-{os.getpid()}"
        try:
            group.mkdir()
            made.append(group)
            (group / limit).write_text(str(LIMIT))
            break
        except OSError:
            continue
    else:
        for group in made:
            group.rmdir()
        pytest.skip("no memory control group can be made here")
    yield group
    for group in made:
        group.rmdir()


def test_a_real_kill_for_memory_is_host_oom_and_rules_out_more_and_an_outside_kill_is_not(
    small_group: Path, tmp_path: Path, tiny_moe: Path, speaker: Callable[[str], Path]
) -> None:
    def sweep(name: str, end: str) -> list[dict[str, object]]:
        worker = speaker(
            f"load()\nfor point in points():\n    if point['config']['n_ctx'] >= 512: {end}\n    "
            "measured(point)\n"
        )
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                SWEEP,
                str(tiny_moe),
                str(worker),
                str(tmp_path / name),
                str(small_group / "cgroup.procs"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]

    fills = sweep("fills", "b = bytearray(400 << 20)")
    assert [outcome["label"] for outcome in fills] == ["ok", "host_oom", "skipped"]
    assert fills[1]["exit_code"] == -signal.SIGKILL
    assert str(fills[1]["evidence"]).startswith("['oom_kill rose by 1 in /sys/fs/cgroup")
    killed = sweep("killed", "os.kill(os.getpid(), signal.SIGKILL)")
    assert [outcome["label"] for outcome in killed] == ["ok", "killed", "killed"]
