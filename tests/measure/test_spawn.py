"""Children that would outlive their parent: killed, hung up on, or at a closed terminal, nothing of
them stays."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from oomph.measure.spawn import Process

MARK = "OOMPH_TEST_SPAWN"
STUBBORN = (
    "#!/bin/sh\ntrap '' INT HUP TERM\nsleep 1000 &\nsetsid true\necho $$ > \"$0.pid\"\nwhile :; "
    "do sleep 1000; done\n"
)
PARENT = """
import sys, time
from oomph.measure.spawn import Process
child = Process([sys.argv[1]], environment={}, log=open(sys.argv[1] + ".log", "wb"))
print(child.pid, flush=True)
time.sleep(1000)
"""


def living(mark: str) -> list[psutil.Process]:
    """The processes that carry the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def none_left(mark: str) -> bool:
    until = time.monotonic() + 10
    while living(mark) and time.monotonic() < until:
        time.sleep(0.02)
    return not living(mark)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path)
    for process in living(str(tmp_path)):  # of a test that has failed
        process.kill()


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "child.sh"
        path.write_text(text)
        path.chmod(0o755)
        return path

    return write


def started(path: Path) -> None:
    """Wait until the child has begun its work."""
    until = time.monotonic() + 20
    while not path.with_name(path.name + ".pid").exists():
        assert time.monotonic() < until, "the child did not start"
        time.sleep(0.02)


def _hang_up(parent: int, terminal: int) -> None:
    os.close(terminal)


ENDS: dict[str, Callable[[int, int], None]] = {
    "kill -9": lambda parent, terminal: os.kill(parent, signal.SIGKILL),
    "SIGHUP": lambda parent, terminal: os.kill(parent, signal.SIGHUP),
    "SIGTERM": lambda parent, terminal: os.kill(parent, signal.SIGTERM),
    "closed terminal": _hang_up,
}


def run_at_terminal(command: list[str], mark: str) -> tuple[int, int]:
    """Start a command as the foreground job of a terminal of its own; its pid and the terminal's
    other end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, os.environ | {MARK: mark})
    return pid, terminal


def reaped(pid: int) -> int:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the parent has not ended")


@pytest.mark.parametrize("how", ENDS)
def test_however_the_parent_ends_its_childs_group_ends(
    how: str, mark: str, script: Callable[[str], Path]
) -> None:
    path = script(STUBBORN)
    parent, terminal = run_at_terminal([sys.executable, "-c", PARENT, str(path)], mark)
    started(path)
    assert len(living(mark)) >= 3, "the parent, the child and what that has started"
    ENDS[how](parent, terminal)
    assert reaped(parent) < 0, "the signal's own way: nothing was cleaned up"
    assert none_left(mark)


@pytest.mark.parametrize("delay_s", [0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08])
def test_killed_at_any_moment_of_the_start_nothing_stays(
    delay_s: float, mark: str, script: Callable[[str], Path]
) -> None:
    """Also between the child's start and the watch's knowing of it."""
    path = script(STUBBORN)
    ready = PARENT.replace("child =", "print('ready', flush=True)\nchild =")
    parent = subprocess.Popen(
        [sys.executable, "-c", ready, str(path)],
        env=os.environ | {MARK: mark},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    time.sleep(delay_s)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert none_left(mark)


def test_the_exit_code_is_the_commands_own_and_the_watch_is_gone(
    script: Callable[[str], Path],
) -> None:
    before = set(psutil.Process().children())
    for text, code in (
        ("exit 7", 7),
        ("kill -SEGV $$", -signal.SIGSEGV),
        ("exec no-such-program", 127),
    ):
        with tempfile.TemporaryFile() as log:
            child = Process([script(f"#!/bin/sh\n{text}\n")], environment={}, log=log)
            assert child.has_ended(20)
            assert child.kill() == child.kill() == code
    assert set(psutil.Process().children()) == before


def test_a_command_that_cannot_be_run_is_told_in_its_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        child = Process([tmp_path / "nothing"], environment={}, log=log)
        assert child.has_ended(20)
        assert child.kill() == 127
    assert "nothing" in (tmp_path / "log").read_text()


def test_input_reaches_the_command_whole(tmp_path: Path) -> None:
    """The word that it waited for is not part of it."""
    with (tmp_path / "log").open("wb") as log:
        child = Process(["cat"], environment={}, log=log, takes_input=True)
        child.stdin.write(b"first\nsecond\n" * 1000)
        child.stdin.close()
        assert child.has_ended(20)
        child.kill()
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n" * 1000


@pytest.mark.parametrize("how", ENDS)
def test_the_server_that_a_launch_is_checked_with_ends_with_it(
    how: str, mark: str, tmp_path: Path, script: Callable[[str], Path]
) -> None:
    server = script(STUBBORN)
    command = [
        sys.executable,
        "-c",
        "from oomph.cli import main; main()",
        "launch",
        "llama-3.2-1b:Q8_0",
        "--gpu",
        "RTX 3060",
        "--n-ctx",
        "4096",
        "--model-path",
        "x.gguf",
        "--out",
        str(tmp_path / "out"),
        "--check",
        "--server",
        str(server),
    ]
    parent, terminal = run_at_terminal(command, mark)
    started(server)
    ENDS[how](parent, terminal)
    code = reaped(parent)
    assert none_left(mark)
    assert code == {"kill -9": -9, "SIGHUP": 129, "SIGTERM": 143, "closed terminal": 129}[how]
