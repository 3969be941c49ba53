"""Starts a launch script for real and reads what llama-server says of itself, until it is stopped.

Apart from the executors because the child is llama-server and not our worker: it is asked over HTTP, tells its sizes in
its log and a last breakdown when it ends, and must leave no process behind, whatever happens.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from oomph.cache import cache_folder
from oomph.errors import ToolchainError
from oomph.measure.executors import QUIET
from oomph.measure.logs import read_buffers, read_reported
from oomph.records.schema import Buffers, Reported

HOST: Final = "127.0.0.1"
TELLING: Final = ("--log-verbosity", "4")
"""llama-server's own level leaves out what llama.cpp reports of sizes and overrides."""
POLL_S: Final = 0.05
GRACE_S: Final = 30.0
"""How long llama-server may take to end once it is asked to."""
ANSWER_S: Final = 120.0
_SLOT: Final = re.compile(r"n_slots = (\d+), n_ctx_slot = (\d+)")
_BREAKDOWN: Final = re.compile(r"\|\s+- (\w+)(?: \([^|]*\))?\s*\|[^|]*?(\d+) =\s+(\d+) \+\s+(\d+) \+\s+(\d+)\)?\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What a started llama-server said. `log` is its output, `exit_code` as a shell has it, None where it was killed.

    `health_s` is when `/health` first answered, in seconds since the start, None where it never did. `slot_n_ctx` is
    what `/props` says of a slot, `answer` the text of a reply. `breakdown_mib` is (self, model, context, compute) of
    each device as printed at the end, whole MiB.
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
        """By device: what it takes, and of that model, context and compute."""
        found: dict[str, tuple[int, int, int, int]] = {}
        for line in self.log:
            if "memory_breakdown_print" in line and (match := _BREAKDOWN.search(line)):
                found[match[1]] = (int(match[2]), int(match[3]), int(match[4]), int(match[5]))
        return found


def find_server(given: Path | None = None) -> Path:
    """The llama-server to try with: the one given, $LLAMA_SERVER, of PATH, or that scripts/llama-tools built.

    ToolchainError, saying how to get one, where there is none.
    """
    named = given or os.environ.get("LLAMA_SERVER") or shutil.which("llama-server")
    found = Path(named) if named else built_server()
    if found is None or not os.access(found, os.X_OK) or not found.is_file():
        raise ToolchainError(
            f"{found or 'llama-server'} cannot be run; name one with --server, or build it: scripts/llama-tools"
        )
    return found.resolve()


def built_server() -> Path | None:
    """The llama-server that scripts/llama-tools built last; None where it built none."""
    built = cache_folder().glob("llama-tools/*/build/bin/llama-server")
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


@dataclass(slots=True, kw_only=True)
class Server:
    """A llama-server while it runs: `url` is where it listens."""

    process: "subprocess.Popen[bytes]"
    url: str
    log_path: Path
    started: float = field(default_factory=time.monotonic)

    def await_health(self, timeout_s: float) -> float | None:
        """Seconds until `/health` answered; None where it ended before, or did not in `timeout_s`."""
        while self.process.poll() is None and time.monotonic() - self.started < timeout_s:
            with contextlib.suppress(OSError):
                if self.get("/health", timeout_s=1.0).get("status") == "ok":
                    return time.monotonic() - self.started
            time.sleep(POLL_S)
        return None

    def get(self, path: str, *, timeout_s: float = 10.0) -> Any:
        """The JSON at `path`; OSError where there is none."""
        with urllib.request.urlopen(self.url + path, timeout=timeout_s) as reply:
            return json.load(reply)

    def ask(self, question: str, *, model: str = "", max_tokens: int = 8) -> str:
        """What the model answers, over the chat API; OSError where the server refuses."""
        body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": max_tokens, "temperature": 0}
        request = urllib.request.Request(
            self.url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:
            return str(json.load(reply)["choices"][0]["message"]["content"])

    def log(self) -> tuple[str, ...]:
        """Its output so far."""
        return tuple(self.log_path.read_text(encoding="utf-8", errors="replace").splitlines())

    def stop(self) -> int | None:
        """Ask it to end, and end its group if it does not; its exit code, None where it had to be killed."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def kill(self) -> None:
        """Leave nothing of its group behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def serving(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`command`, which becomes a llama-server, on a free port until the block ends; then no process of it is left."""
    port = _free_port()
    with tempfile.NamedTemporaryFile(prefix="oomph-server-", suffix=".log") as log:
        words = [*map(str, command), "--host", HOST, "--port", str(port), *TELLING]
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **QUIET, **(environment or {})},
        )  # fmt: skip
        server = Server(process=process, url=f"http://{HOST}:{port}", log_path=Path(log.name))
        try:
            yield server
        finally:
            server.kill()


def boot(
    script: Path, *, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None,
    question: str | None = None, timeout_s: float = 300.0,
) -> Boot:  # fmt: skip
    """Start `script`, wait until it is healthy, ask it `question` if there is one, and stop it.

    `arguments` are appended for llama-server. What goes wrong is in what is returned, never an exception.
    """
    with serving([script, *arguments], environment=environment) as server:
        health_s = server.await_health(timeout_s)
        timed_out = health_s is None and server.process.poll() is None
        slot_n_ctx, answer = None, None
        with contextlib.suppress(OSError):
            if health_s is not None:
                slot_n_ctx = int(server.get("/props")["default_generation_settings"]["n_ctx"])
                answer = server.ask(question) if question is not None else None
        exit_code = server.stop()
        return Boot(
            health_s=health_s, slot_n_ctx=slot_n_ctx, answer=answer, exit_code=exit_code, log=server.log(),
            timed_out=timed_out,
        )  # fmt: skip


def phantom_arguments(n_cards: int) -> list[str]:
    """What llama-server needs besides to start on phantom cards.

    It loads a backend that is a plug-in only when it has to list devices. A sparse file is read as such by direct I/O,
    where mmap would touch each page of it.
    """
    return ["--device", ",".join(f"CUDA{index}" for index in range(n_cards)), "--load-mode", "dio"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
