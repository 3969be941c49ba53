"""Starts a launch script for real and reads what llama-server says of itself.

Apart from the executors because the child is llama-server and not our worker: it is asked over
HTTP, tells its sizes in its log and a last breakdown when it ends, and must leave no process
behind, whatever happens.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final

import psutil

from oomph.errors import ToolchainError
from oomph.foreign import parse_json
from oomph.frozen import frozen
from oomph.measure.executors import QUIET
from oomph.measure.logs.lines import read_lines
from oomph.measure.logs.reported import read_buffers, read_reported
from oomph.measure.spawn import Process
from oomph.paths import cache_folder
from oomph.records.schema import Buffers, Reported

HOST: Final = "127.0.0.1"
TELLING: Final = ("--log-verbosity", "4")
"""llama-server's own level leaves out what llama.cpp reports of sizes and overrides."""
POLL_S: Final = 0.05
GRACE_S: Final = 30.0
"""How long llama-server may take to end once it is asked to."""
ANSWER_S: Final = 120.0
MAX_REPLY_BYTES: Final = 16 << 20
NO_REPLY: Final = (OSError, HTTPException, ValueError, LookupError, TypeError)
"""What a server that does not answer, or not as llama-server does, ends a request with."""
_SLOT: Final = re.compile(r"n_slots = (\d+), n_ctx_slot = (\d+)")
_BREAKDOWN: Final = re.compile(
    r"\|\s+- (\w+(?:\(\S*\))?)(?: \([^|]*\))?\s*\|[^|]*?(\d+) =\s+(\d+) \+\s+(\d+) \+\s+(\d+)\)?\s"
)


@frozen
class ServerRun:
    """What a started llama-server said. `log` is its output, `exit_code` -n for signal n, None
    where it would not end.

    `health_s` is when `/health` first answered, in seconds since the start, None where it never
    did. `slot_n_ctx` is what `/props` says of a slot, `answer` the text of a reply.
    """

    health_s: float | None
    slot_n_ctx: int | None
    answer: str | None
    exit_code: int | None
    log: tuple[str, ...]
    timed_out: bool = False

    @property
    def reported(self) -> Reported:
        """The knobs as llama.cpp reported them back."""
        return read_reported(self.log)

    @property
    def buffers(self) -> Buffers:
        """llama.cpp's buffer lines."""
        return read_buffers(self.log)

    @property
    def slots(self) -> tuple[int, int] | None:
        """Number of slots, and tokens that each holds."""
        found = [match for line in self.log if (match := _SLOT.search(line))]
        return (int(found[-1][1]), int(found[-1][2])) if found else None

    @property
    def breakdown_mib(self) -> dict[str, tuple[int, int, int, int]]:
        """By device, as printed at the end: what it takes, and of that model, context and compute,
        in whole MiB."""
        found: dict[str, tuple[int, int, int, int]] = {}
        for line in self.log:
            if "memory_breakdown_print" in line and (match := _BREAKDOWN.search(line)):
                found[match[1]] = (int(match[2]), int(match[3]), int(match[4]), int(match[5]))
        return found


def find_server(given: Path | None = None) -> Path:
    """The llama-server to try with: the one given, $LLAMA_SERVER, of PATH, or that
    scripts/llama-tools built.

    ToolchainError, saying how to get one, where there is none.
    """
    named = given or os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    found = Path(named) if named else built_server()
    if found is None or not os.access(found, os.X_OK) or not found.is_file():
        raise ToolchainError(
            f"{found or 'llama-server'} cannot be run; name one with --server, or "
            "install llama.cpp (in a checkout: scripts/llama-tools builds it)"
        )
    return found.resolve()


def built_server() -> Path | None:
    """The llama-server that scripts/llama-tools built last; None where it built none."""
    built = cache_folder().glob("llama-tools/*/build/bin/llama-server")
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


class Server:
    """A command that becomes a llama-server on a port of this machine alone, which the kernel
    chooses as it binds; `url` is where it listens, empty until it does. It ends with this
    process."""

    def __init__(
        self, command: Sequence[str | Path], *, environment: Mapping[str, str], log: IO[bytes]
    ) -> None:
        self.url = ""
        self._log_path, self._started = Path(log.name), time.monotonic()
        self._process = Process(
            [*command, "--host", HOST, "--port", "0", *TELLING],
            environment=QUIET | dict(environment),
            log=log,
        )

    @property
    def pid(self) -> int:
        """The process, its group and its session."""
        return self._process.pid

    def has_ended(self, wait_s: float = 0.0) -> bool:
        """Whether it has ended, or does so within `wait_s`."""
        return self._process.has_ended(wait_s)

    def await_health(self, timeout_s: float) -> float | None:
        """Seconds until `/health` answered; None where it ended before, or did not in
        `timeout_s`.

        llama-server is healthy a moment before it takes up its work, and forgets a signal that
        comes between: what it says of its slots comes after.
        """
        while time.monotonic() - self._started < timeout_s and not self.has_ended(POLL_S):
            with contextlib.suppress(*NO_REPLY):
                self.url = self.url or self._address()
                if self.url and self.get("/health", timeout_s=1.0)["status"] == "ok":
                    health_s = time.monotonic() - self._started
                    with contextlib.suppress(*NO_REPLY):
                        self.get("/slots", timeout_s=GRACE_S)
                    return health_s
        return None

    def _address(self) -> str:
        """Where the process listens, or the first of what it has started that does: by the sockets
        that they hold, so that no other server on this machine is taken for it."""
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(self.pid)
            for process in (first, *first.children(recursive=True)):
                for held in process.net_connections("tcp4"):
                    if held.status == psutil.CONN_LISTEN and held.laddr.ip == HOST:
                        return f"http://{HOST}:{held.laddr.port}"
        return ""

    def get(self, path: str, *, timeout_s: float = 10.0) -> Any:
        """The JSON at `path`; OSError and its like where there is none."""
        return _reply(urllib.request.Request(self.url + path), timeout_s)

    def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float = ANSWER_S) -> Any:
        """The JSON that answers `body` at `path`; OSError and its like where the server refuses."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        return _reply(request, timeout_s)

    def ask(self, question: str, *, model: str = "", max_tokens: int = 8) -> str:
        """What the model answers, over the chat API; OSError and its like where the server
        refuses."""
        message = {"role": "user", "content": question}
        body = {"model": model, "messages": [message], "max_tokens": max_tokens, "temperature": 0}
        reply = self.post("/v1/chat/completions", body)
        return str(reply["choices"][0]["message"]["content"])

    def log(self) -> tuple[str, ...]:
        """Its output so far."""
        return tuple(read_lines(self._log_path))

    def kill(self) -> None:
        """Kill its group at once; `stop` says afterwards how it ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def stop(self, grace_s: float = GRACE_S) -> int | None:
        """Ask it to end as Ctrl-C does, and kill what is left of its group then; its exit code, -n
        for signal n, None where it would not end."""
        if self._process.exit_code is not None:
            return self._process.exit_code
        os.kill(self.pid, signal.SIGINT)
        has_ended = self.has_ended(grace_s)
        code = self._process.kill()
        return code if has_ended else None


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """`command`, which becomes a llama-server, until the block ends; then no process of it is
    left."""
    with tempfile.NamedTemporaryFile(prefix="oomph-server-", suffix=".log") as log:
        server = Server(command, environment=environment or {}, log=log)
        try:
            yield server
        finally:
            server.stop(0.0)


def _reply(request: urllib.request.Request, timeout_s: float) -> Any:
    """The JSON that answers, ValueError for one that is cut short; past any proxy, as the server is
    on this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=timeout_s) as reply:
        return parse_json(reply.read(MAX_REPLY_BYTES))


def run_server(
    script: Path,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    question: str | None = None,
    timeout_s: float = 300.0,
) -> ServerRun:
    """Start `script`, wait until it is healthy, ask it `question` if there is one, and stop it.

    `arguments` are appended for llama-server. What goes wrong is in what is returned, never an
    exception.
    """
    with serving([script, *arguments], environment=environment) as server:
        health_s = server.await_health(timeout_s)
        timed_out = health_s is None and not server.has_ended()
        slot_n_ctx, answer = None, None
        with contextlib.suppress(*NO_REPLY):
            if health_s is not None:
                slot_n_ctx = int(server.get("/props")["default_generation_settings"]["n_ctx"])
                answer = server.ask(question) if question is not None else None
        exit_code = server.stop()
        return ServerRun(
            health_s=health_s,
            slot_n_ctx=slot_n_ctx,
            answer=answer,
            exit_code=exit_code,
            log=server.log(),
            timed_out=timed_out,
        )


def phantom_arguments(n_cards: int, devices: Sequence[str] = ()) -> list[str]:
    """What llama-server needs besides to start on phantom cards: all of them, or `devices`.

    It loads a backend that is a plug-in only when it has to list devices. A sparse file is read as
    such by direct I/O, where mmap would touch each page of it.
    """
    names = devices or [f"CUDA{index}" for index in range(n_cards)]
    return ["--device", ",".join(names), "--load-mode", "dio"]
