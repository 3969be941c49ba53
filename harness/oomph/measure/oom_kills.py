"""From the kernel's counters to whether it killed for want of memory while a worker lived.

A process that ends by SIGKILL does not say who sent it. The kernel counts its own: `oom_kill` of
the worker's control group (memory.events of cgroup v2, memory.oom_control of v1), which counts
victims of that group under any limit, or, where neither can be read, of the whole machine in
/proc/vmstat.
"""

import re
from pathlib import Path
from typing import Final

MOUNT: Final = Path("/sys/fs/cgroup")
VMSTAT: Final = Path("/proc/vmstat")
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class OomKills:
    """The OOM kills that the kernel counts where the process `pid` is, from now on. `source` is the
    file that tells, None where the kernel does not."""

    def __init__(self, pid: int, *, mount: Path = MOUNT, vmstat: Path = VMSTAT) -> None:
        self.source: Path | None = None
        self._before = 0
        for source in (*_group_files(pid, mount), vmstat):
            found = _count(source)
            if found is not None:
                self.source, self._before = source, found
                return

    def since(self) -> int | None:
        """How many there have been since; None where the kernel does not tell."""
        now = _count(self.source) if self.source else None
        return None if now is None else now - self._before


def _group_files(pid: int, mount: Path) -> list[Path]:
    """Where the counters of the process's control group may be: at its path, or at the root of a
    container's own view.

    `man 7 cgroups`: a line is hierarchy:controllers:path, and cgroup v2's has neither number nor
    controllers.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += [mount / path.lstrip("/") / "memory.events", mount / "memory.events"]
        elif "memory" in controllers.split(","):
            root = mount / "memory"
            found += [root / path.lstrip("/") / "memory.oom_control", root / "memory.oom_control"]
    return found


def _count(source: Path) -> int | None:
    try:
        match = _COUNT.search(source.read_text())
    except OSError:
        return None
    return int(match[1]) if match else None
