"""A card with less memory than it has: a child holds the rest, llama.cpp has what is left.

So a card of 80 GB runs out of memory as one of 24 GB does, with CUDA's own refusals. The child is
`worker.holder`; it ends with this process whatever ends it. A ballast that dies while a point runs
falsifies it: that point is not recorded, and one sentence says so.
"""

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from oomph.errors import ToolchainError
from oomph.frozen import frozen
from oomph.measure.bench import PCI_ORDER, Bench
from oomph.measure.child import Child
from oomph.measure.executors import Completed, Executor, Job
from oomph.measure.nvml import NvmlCard
from oomph.records.schema import Environment
from oomph.units import mib

HOLDER: Final = ("-P", "-m", "oomph.measure.worker.holder")
PATIENCE_S: Final = 120.0
"""A context takes a second, and on a machine whose driver has to start up some tens of them."""


@frozen
class Door:
    """How a child reaches the CUDA driver and sees one card only, as its device 0."""

    library: str
    environment: Mapping[str, str]


def door_to(bench: Bench, card: NvmlCard) -> Door:
    """The door to a card of the bench, real or phantom."""
    if bench.phantom:
        return Door(
            library=str(bench.phantom.cuda_path),
            environment=bench.phantom.environment([card.index]),
        )
    return Door(
        library="libcuda.so.1",
        environment=PCI_ORDER | {"CUDA_VISIBLE_DEVICES": card.uuid or str(card.index)},
    )


class Holder:
    """A living child with a CUDA context; `said` is what the driver told it (see
    `worker.holder`)."""

    def __init__(self, door: Door, *, leave_bytes: int | None = None) -> None:
        """Raises ToolchainError, with the driver's words, where the card does not give what is
        asked."""
        arguments = (
            *HOLDER,
            door.library,
            str(os.getpid()),
            "" if leave_bytes is None else str(leave_bytes),
        )
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._child = Child(arguments, environment=door.environment, log=self._log)
        try:
            self.said = self._answer()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    @property
    def ended(self) -> str | None:
        """How the child has ended, None while it lives."""
        if not self._child.has_ended:
            return None
        code = self._child.end(at_once=True)
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        """End the child and give its memory back."""
        self._child.end()
        self._log.close()

    def _answer(self) -> dict[str, Any]:
        said = self._child.event(time.monotonic() + PATIENCE_S)
        if said is None:
            raise ToolchainError(
                f"the CUDA driver did not answer ({self._last_line()}); see `oomph doctor`"
            )
        if said.pop("event") != "holds":
            raise ToolchainError(f"the CUDA driver refuses: {said['message']}; see `oomph doctor`")
        return said

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it said nothing; {self.ended or 'it hangs'}"


@contextmanager
def holding(door: Door, *, leave_bytes: int | None = None) -> Iterator[Holder]:
    """A context on the card, and with `leave_bytes` all memory beyond it, until the block ends."""
    holder = Holder(door, leave_bytes=leave_bytes)
    try:
        yield holder
    finally:
        holder.close()


class BallastedExecutor:
    """Runs jobs by `executor` beside a ballast, which is left out of the other processes that its
    records name.

    ToolchainError where the ballast has ended in the meantime: the point at hand had more memory
    than it says.
    """

    def __init__(self, executor: Executor, ballast: Holder) -> None:
        self._executor, self._ballast = executor, ballast

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        """Each point of the job in turn; see `Executor`."""
        self._check()
        for completed in self._executor.run(job, stop):
            self._check()
            yield replace(completed, conditions=_without(completed.conditions, self._ballast.pid))

    def _check(self) -> None:
        if (how := self._ballast.ended) is not None:
            raise ToolchainError(
                f"the ballast that held {mib(self._ballast.said['held_bytes'])} of the card has "
                f"ended ({how}), and the "
                "point at hand is not kept; what is on disk stays, and the same command goes on"
            )


def ballasted(environment: Environment, ballast: Holder, leave_bytes: int) -> Environment:
    """The environment with a smaller card, so that no record is taken for one of the whole card:
    `usable_bytes` is what CUDA says is left, `leave_bytes` what was asked to be left,
    `ballast_bytes` what is gone."""
    left = ballast.said["free_bytes"]
    smaller = {
        "usable_bytes": left,
        "leave_bytes": leave_bytes,
        "ballast_bytes": ballast.said["total_with_context_bytes"] - left,
    }
    return environment.model_copy(update={"gpus": [{**gpu, **smaller} for gpu in environment.gpus]})


def _without(conditions: Mapping[str, Any], pid: int) -> dict[str, Any]:
    cards = {
        device: {
            **card,
            "other_processes": [p for p in card.get("other_processes", ()) if p.get("pid") != pid],
        }
        for device, card in conditions.get("cards", {}).items()
    }
    return {**conditions, **({"cards": cards} if cards else {})}
