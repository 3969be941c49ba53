"""How a sweep ends when the machine, the disk or somebody else is in its way: docs/endings.md, row
by row."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.soak.kills import N_POINTS, FastSweep

from oomph.records.store import Store

ALL = [f"n_ctx={256 * (number + 1)} ok" for number in range(N_POINTS)]
Ending = Callable[[FastSweep, Path], int]


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[FastSweep]:
    """A sweep whose processes are gone afterwards, whatever a test has found."""
    made = FastSweep(tmp_path / "sweep")
    yield made
    made.signal(signal.SIGKILL)


def after_the_first(sweep: FastSweep, act: Callable[[int], object]) -> tuple[int, str, str]:
    """Start the sweep, `act` on its process when one point is told, and see it end."""
    with sweep.start() as process:
        assert process.stdout is not None
        head = []
        for line in process.stdout:
            head.append(line)
            if line.startswith("[1/"):
                break
        act(process.pid)
        said, told = process.communicate(timeout=120)
    return process.returncode, "".join(head) + said, told


def slow(sweep: FastSweep, point: str = "time.sleep(0.3)", more: str = "") -> FastSweep:
    """The same sweep, whose worker takes its time at each point."""
    return FastSweep(sweep.folder, point=point, more=more)


def signalled(number: int) -> Ending:
    def end(sweep: FastSweep, _: Path) -> int:
        sweep = slow(sweep)
        code, said, told = after_the_first(sweep, lambda pid: os.kill(pid, number))
        assert "Traceback" not in said + told
        if number == signal.SIGINT:
            assert "every finished point is in" in told
        assert sweep.is_quiet()
        before = sweep.labels()
        assert 1 <= len(before) < N_POINTS
        assert before == ALL[: len(before)]
        assert slow(sweep).run()[0] == 0
        assert sweep.labels() == ALL
        return code

    return end


def worker_is(act: str, outcome: str, more: str = "") -> Ending:
    """The worker does `act` to itself at the second point, once."""

    def end(sweep: FastSweep, place: Path) -> int:
        once = f"flag = {str(place / 'done')!r}\nif point['config']['n_ctx'] == 512 and not "
        once += f"os.path.exists(flag): open(flag, 'w'); {act}"
        code, said, _ = slow(sweep, "import signal\n" + once, more).run()
        assert outcome in said
        assert sweep.is_quiet()
        assert [each for each in sweep.labels() if not each.endswith(" ok")] == [
            f"n_ctx=512 {outcome}"
        ]
        assert slow(sweep, more=more).run()[0] == 0
        assert sorted(each for each in sweep.labels() if each.endswith(" ok")) == sorted(ALL)
        return code

    return end


def suspended(sweep: FastSweep, _: Path) -> int:
    def suspend(pid: int) -> None:
        assert pid in [each.pid for each in sweep.living()]
        sweep.signal(signal.SIGSTOP, signal.SIGCONT, apart_s=1.5)

    sweep = slow(sweep)
    code, _, _ = after_the_first(sweep, suspend)
    assert sweep.labels() == ALL
    return code


def clock_jumps(sweep: FastSweep, _: Path) -> int:
    jump = (
        "import datetime, itertools, time\n"
        "leaps = itertools.cycle((0, 86_400, -86_400))\n"
        "real = datetime.datetime\n"
        "class Leaping(real):\n"
        "    @classmethod\n"
        "    def now(cls, tz=None): return real.now(tz) + datetime.timedelta(seconds=next(leaps))\n"
        "datetime.datetime = Leaping\n"
        "wall = time.time\n"
        "time.time = lambda: wall() + next(leaps)\n"
    )
    code, _, _ = FastSweep(sweep.folder, before=jump).run()
    assert sweep.labels() == ALL
    found = list(Store(sweep.out).records())
    assert all(0 < record.wall_ns < 60e9 for record in found)
    days = {record.started_at[:10] for record in found}
    assert len(days) > 1, "the clock did jump"
    assert FastSweep(sweep.folder).run()[1].startswith("kills: 0 of 4 points to measure")
    return code


def disk_is_full(sweep: FastSweep, place: Path) -> int:
    with mounted(place / "disk", "size=1m") as disk:
        (disk / "filler").write_bytes(bytes((1 << 20) - 8192))
        sweep.out.symlink_to(disk / "out")
        sweep.command[-1] = str(disk / "out")
        code, said, told = sweep.run()
        assert f"{disk}/out cannot be written (No space left on device)" in told
        told_ok = [line for line in said.splitlines() if line.startswith("[")]
        assert len(sweep.labels()) == len(told_ok) < N_POINTS
    return code


def tmpdir_is_full(sweep: FastSweep, place: Path) -> int:
    """It fills after the first point's log has begun."""
    with mounted(place / "disk", "size=256k") as disk:
        sweep.environment["TMPDIR"] = str(disk)
        sweep = FastSweep(sweep.folder, point="log('y' * 400_000)")
        sweep.environment["TMPDIR"] = str(disk)
        code, _, told = sweep.run()
        assert "Traceback" not in told
    labels = sweep.labels()
    assert len(labels) == N_POINTS
    assert not [each for each in labels if each.endswith(" ok")], "what is not reported back"
    return code


def no_temporary_folder(sweep: FastSweep, _: Path) -> int:
    before = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc/oomph']"
    code, _, told = FastSweep(sweep.folder, before=before).run()
    assert "o usable temporary directory" in told
    assert "set TMPDIR" in told
    return one_sentence(code, told)


def few_descriptors(sweep: FastSweep, _: Path) -> int:
    before = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))"
    code, _, told = FastSweep(sweep.folder, before=before).run()
    assert "too many files are open" in told
    assert "ulimit -n" in told
    assert sweep.is_quiet()
    return one_sentence(code, told)


def no_proc(sweep: FastSweep, _: Path) -> int:
    shell = 'mount -t tmpfs none /proc && exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", *sweep.command],
        env=sweep.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr.split("oomph:")[0]:
        pytest.skip("only root can take /proc away")
    assert "needs Linux's /proc" in done.stderr
    return one_sentence(done.returncode, done.stderr)


def no_home(sweep: FastSweep, _: Path) -> int:
    before = (
        "import os, pathlib\n"
        "for name in ('HOME', 'XDG_CACHE_HOME', 'OOMPH_CACHE'): os.environ.pop(name, None)\n"
        "def gone(cls): raise RuntimeError('Could not determine home directory.')\n"
        "pathlib.Path.home = classmethod(gone)\n"
    )
    command = list(sweep.command)
    command[4] = before
    command[5:] = ["calibrate", str(sweep.out), "--model", str(sweep.model)]
    asked = [*command[:5], "estimate", str(sweep.model), "--gpu", "RTX 4090"]
    done = subprocess.run(asked, env=sweep.environment, capture_output=True, text=True, check=False)
    assert "this user has no home folder; set OOMPH_CACHE" in done.stderr
    return one_sentence(done.returncode, done.stderr)


def cache_is_read_only(sweep: FastSweep, _: Path) -> int:
    sweep.environment["OOMPH_CACHE"] = "/proc/oomph"
    code, _, told = sweep.run()
    assert told == ""
    assert sweep.labels() == ALL
    return code


def model_is_replaced(sweep: FastSweep, place: Path) -> int:
    other = FastSweep(place / "other").model

    def replace(_: int) -> None:
        os.replace(other, sweep.model)

    code, _, told = after_the_first(slow(sweep), replace)
    assert "is another file" in told
    assert "start the sweep again" in told
    assert sweep.labels() == ALL[: len(sweep.labels())] != ALL
    return one_sentence(code, told)


def folder_is_moved(sweep: FastSweep, place: Path) -> int:
    moved = place / "moved"
    code, _, told = after_the_first(slow(sweep), lambda _: sweep.out.rename(moved))
    assert "was removed while a sweep was writing it" in told
    found = [f"{each.label} {each.outcome.label}" for each in Store(moved).records()]
    assert found == ALL[: len(found)] != ALL
    return one_sentence(code, told)


def file_is_edited(sweep: FastSweep, _: Path) -> int:
    def edit(_: int) -> None:
        with (sweep.out / "records.jsonl").open("a") as file:
            file.write("{}\n")

    code, _, told = after_the_first(slow(sweep), edit)
    assert "was changed by another program" in told
    rescued = sweep.out / "records.rescued-1.jsonl"
    assert str(rescued) in told
    assert len(rescued.read_text().splitlines()) >= 2
    return one_sentence(code, told)


def one_sentence(code: int, told: str) -> int:
    assert told.startswith("oomph: ")
    assert len(told.splitlines()) == 1
    return code


class mounted:  # noqa: N801  # used as a function
    """A small disk at `place` until the block ends."""

    def __init__(self, place: Path, options: str) -> None:
        self.place, self.options = place, options

    def __enter__(self) -> Path:
        self.place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", self.options, "none", str(self.place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk can only be mounted by root")
        return self.place

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=True)


ENDINGS: dict[str, Ending] = {
    "Ctrl-C": signalled(signal.SIGINT),
    "SIGTERM": signalled(signal.SIGTERM),
    "SIGHUP, or the terminal closes": signalled(signal.SIGHUP),
    "kill -9": signalled(signal.SIGKILL),
    "the worker is killed": worker_is("os.kill(os.getpid(), signal.SIGKILL)", "killed"),
    "the worker is stopped (SIGSTOP)": worker_is(
        "os.kill(os.getpid(), signal.SIGSTOP)", "timeout", "limits.point_timeout_s = 1"
    ),
    "suspended and resumed": suspended,
    "the clock jumps": clock_jumps,
    "the disk of the results is full": disk_is_full,
    "TMPDIR is full": tmpdir_is_full,
    "no folder for temporary files": no_temporary_folder,
    "few file descriptors": few_descriptors,
    "no /proc": no_proc,
    "no home folder": no_home,
    "the cache cannot be written": cache_is_read_only,
    "the model is replaced": model_is_replaced,
    "the results folder is moved": folder_is_moved,
    "the results file is edited": file_is_edited,
}


def documented(repository: Path) -> dict[str, int]:
    """The rows of docs/endings.md and the exit code that each promises."""
    page = (repository / "docs" / "endings.md").read_text(encoding="utf-8")
    table = page.partition("<!-- endings -->")[2].partition("<!-- /endings -->")[0]
    rows = re.findall(r"^\| (.+?) \| (-?\d+) \|", table, re.MULTILINE)
    return {what: int(code) for what, code in rows}


def test_every_ending_of_the_page_is_tried(repository: Path) -> None:
    assert list(documented(repository)) == list(ENDINGS)


@pytest.mark.slow
@pytest.mark.parametrize("what", ENDINGS)
def test_it_ends_as_the_page_says(
    what: str, repository: Path, sweep: FastSweep, tmp_path: Path
) -> None:
    assert ENDINGS[what](sweep, tmp_path) == documented(repository)[what]
