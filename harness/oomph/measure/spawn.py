"""From a command to a process in its own session that ends with its parent, however it ends.

PR_SET_PDEATHSIG alone would not do: a fork does not inherit it, so what a script starts would live
on. Here a watch, two lines of shell, holds one end of a pipe; the kernel closes the other when the
parent is gone, and the watch kills the child's group. The child waits for a word before it becomes
the command: until the watch knows the group there is nothing that could be left behind.
"""

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_WATCH: Final = 'trap "" HUP INT TERM; read -r group || exit; read -r _; kill -s KILL -- "-$group"'
_BEGIN: Final = 'read -r go && exec "$@"'
_BEGIN_WITHOUT_INPUT: Final = 'read -r go && exec "$@" </dev/null'
SHELL: Final = "/bin/sh"


class Process:
    """`command` in a session and group of its own; both outputs go to `log`. Its group dies with
    this process.

    With `takes_input` its standard input is `stdin`; otherwise it has none. A command that cannot
    be run ends at once with 126 or 127, and the log says why. Whether it lives is asked of a
    descriptor, and its group is killed before it is reaped: until then its number cannot belong to
    anybody else.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        log: IO[bytes],
        takes_input: bool = False,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        begin = _BEGIN if takes_input else _BEGIN_WITHOUT_INPUT
        self._watch = subprocess.Popen(
            [SHELL, "-c", _WATCH],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={},
            bufsize=0,
        )
        self._process = subprocess.Popen(
            [SHELL, "-c", begin, "oomph", *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=pass_fds,
            start_new_session=True,
            env={**os.environ, **environment},
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._watch.stdin is not None
        self.ended = os.pidfd_open(self._process.pid)
        with contextlib.suppress(BrokenPipeError):
            self._watch.stdin.write(b"%d\n" % self.pid)
            self._process.stdin.write(b"go\n")
        self.stdin = self._process.stdin
        if not takes_input:
            self.stdin.close()

    @property
    def pid(self) -> int:
        """The process, its group and its session."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """-n for signal n; None until `kill` has reaped it."""
        return self._process.returncode

    def has_ended(self, wait_s: float = 0.0) -> bool:
        """Whether it has ended, or does so within `wait_s`."""
        return self.exit_code is not None or bool(select.select([self.ended], [], [], wait_s)[0])

    def kill(self) -> int:
        """Kill what is left of its group, and reap it; the exit code of a process that had ended
        before is its own."""
        if self.exit_code is None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._watch.kill()  # before the child is reaped: its number is free from then on
            self._watch.communicate()
            self._process.wait()
            os.close(self.ended)
        assert self.exit_code is not None
        return self.exit_code
