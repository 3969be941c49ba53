"""The worker process as its parent holds it, to an end that leaves no orphan.

Apart from the executor because it is about processes only: it knows nothing of points, and whatever
the child does (abort, hang, say nonsense, leave a grandchild) it returns, never raises.
"""

import contextlib
import json
import os
import selectors
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

from oomph.measure.spawn import Process

GRACE_S: Final = 10.0
"""How long a worker may take to end by itself once it has nothing left to do."""
GLANCE_S: Final = 0.2
"""How often a wait looks whether it has been called off."""


class Child:
    """This Python with `arguments` in its own session: stdin takes commands, a pipe brings events,
    a file the log.

    `stop`, set by another thread, ends the wait for an event. `was_ended` says that it had to be
    killed from here.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: IO[bytes],
        stop: threading.Event | None = None,
    ) -> None:
        self._stop = stop
        self._replies, theirs = os.pipe()
        self._process = Process(
            [sys.executable, *arguments, str(theirs)],
            environment=environment,
            log=log,
            takes_input=True,
            pass_fds=(theirs,),
        )
        os.close(theirs)
        self._buffer = b""
        self.timed_out = False
        self.was_ended = False

    @property
    def pid(self) -> int:
        """The process, and its group."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended by itself, or was ended."""
        return self._process.has_ended()

    def send(self, command: Mapping[str, Any] | None) -> None:
        """One command; to a child that has died it goes nowhere, and the wait for its answer finds
        that out."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(command).encode() + b"\n")

    def event(self, deadline: float) -> dict[str, Any] | None:
        """The next event; None when the child has ended, says what is no event, `deadline`
        (monotonic) passed, or the wait was called off."""
        while b"\n" not in self._buffer:
            readable = self._wait(deadline)
            self.timed_out = not readable
            piece = os.read(self._replies, 65536) if self._replies in readable else b""
            if not piece:
                return None
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            said = json.loads(line)
        except ValueError:
            return None
        return said if isinstance(said, dict) and "event" in said else None

    def _wait(self, deadline: float) -> set[int]:
        """The descriptors that can be read; none once it is too late or called off."""
        while True:
            # a wait without a glance is deaf to a signal that comes just before it
            until = min(deadline, time.monotonic() + GLANCE_S)
            readable = _readable((self._replies, self._process.ended), until)
            if readable or until == deadline or (self._stop and self._stop.is_set()):
                return readable

    def end(self, *, at_once: bool = False) -> int:
        """Give it a moment to finish unless it is past its time, then end its group; the exit code,
        -n for signal n."""
        if self._process.exit_code is None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self.was_ended = not self._process.has_ended(
                0.0 if at_once or self.timed_out else GRACE_S
            )
            self._process.kill()
            os.close(self._replies)
        return self._process.kill()


def _readable(descriptors: tuple[int, ...], deadline: float) -> set[int]:
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        return {int(key.fd) for key, _ in selector.select(max(0.0, deadline - time.monotonic()))}
