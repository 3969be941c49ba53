"""Kills at any moment: of a sweep, of its worker, of who writes records, files or a conversation.

`kill_case` gives a case as bytes and `attempt_kill` what was wrong after it, so that a soak may
keep and repeat one: nothing that was acknowledged is lost, nothing is there twice or torn, nothing
is left running or lying about. A case that names a sweep takes some four seconds of two busy cores,
another a tenth.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psutil

from oomph.architectures.spec import ModelSpec
from oomph.chat.history import History
from oomph.files import write_file
from oomph.gguf.ggml_types import QUANTS
from oomph.gguf.header import TensorInfo
from oomph.models.synth import write_synthetic
from oomph.records.schema import Record
from oomph.records.store import Store

MARK = "OOMPH_TEST_KILLS"
SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP}
WORKER = """
import json, os, sys, time
replies = os.fdopen(int(sys.argv[1]), "w")
job = json.loads(sys.stdin.readline())
def say(event, **values):
    replies.write(json.dumps({"event": event, **values}) + "\\n")
    replies.flush()
def log(text):
    sys.stderr.write(text + "\\n")
    sys.stderr.flush()
say("ready")
log("print_info: n_expert_used         = 0")
say("loaded", load_ns=1)
for line in sys.stdin:
    point = json.loads(line)
    exec(os.environ.get("OOMPH_TEST_POINT", "time.sleep(0.05)"))
    log(f"llama_context: n_ctx                 = {point['config']['n_ctx']}")
    say("context", context_ns=1)
    timing = {"test": "pp1", "n_tokens": 1, "samples_ns": [point["config"]["n_ctx"]]}
    say("measured", timings=[timing])
    sys.stdin.readline()
    say("done", quality=None)
"""
COMMAND = """
import sys
worker = sys.argv.pop(1)
exec(sys.argv.pop(1))
from oomph.measure import executors
executors.LocalExecutor.__init__.__kwdefaults__["worker"] = (worker,)
from oomph.cli import main
main()
"""
N_POINTS = 4


class FastSweep:
    """A real `oomph sweep` in `folder`, with a worker that only speaks its protocol: N_POINTS
    points, each in a worker of its own. `point` is what the worker does at each, `before` what the
    command's process does first, `more` lines of the sweep file."""

    def __init__(self, folder: Path, *, more: str = "", before: str = "", point: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.out, self.model = folder, folder / "out", folder / "model.gguf"
        if not self.model.exists():
            write_synthetic(_small_model(), self.model)
        (folder / "worker.py").write_text(WORKER)
        n_ctx = [256 * (number + 1) for number in range(N_POINTS)]
        (folder / "sweep.toml").write_text(
            f'name = "kills"\nmodel = "{self.model}"\nfresh_process = true\n{more}\n'
            f"axes.n_ctx = {n_ctx}\n[measure]\nn_prompt = 8\nn_gen = 1\n"
        )
        self.environment = os.environ | {MARK: str(folder), "CUDA_VISIBLE_DEVICES": ""}
        self.environment |= {"OOMPH_TEST_POINT": point} if point else {}
        self.command = [
            sys.executable,
            "-c",
            COMMAND,
            str(folder / "worker.py"),
            before,
            "sweep",
            str(folder / "sweep.toml"),
            "--out",
            str(self.out),
        ]

    def start(self) -> subprocess.Popen[str]:
        """The command, on pipes, in a group of its own."""
        return subprocess.Popen(
            self.command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self) -> tuple[int, str, str]:
        """The command to its end: exit code and both outputs."""
        with self.start() as process:
            said, told = process.communicate(timeout=120)
        return process.returncode, said, told

    def labels(self) -> list[str]:
        """Of the records on disk that stand: label and outcome."""
        return [f"{each.label} {each.outcome.label}" for each in Store(self.out).records()]

    def living(self) -> list[psutil.Process]:
        """What the command has started and what it is, as long as it lives."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mark = process.environ().get(MARK)
                if process.status() != psutil.STATUS_ZOMBIE and mark == str(self.folder):
                    found.append(process)
        return found

    def signal(self, *numbers: int, apart_s: float = 0.0) -> None:
        """Send each of these signals to all that lives now, but what has ended meanwhile, as a
        short child of the command may."""
        processes = self.living()
        for number in numbers:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            time.sleep(apart_s)

    def is_quiet(self, wait_s: float = 10.0) -> bool:
        """Whether nothing of it lives any more, or soon does not."""
        until = time.monotonic() + wait_s
        while self.living() and time.monotonic() < until:
            time.sleep(0.02)
        return not self.living()


def _small_model() -> ModelSpec:
    """A dense model of 80 KB: a sweep hashes the file that it measures, and no worker loads it."""
    words = TensorInfo(name="token_embd.weight", ne=(64, 300), quant=QUANTS["F32"], offset=0)
    sizes = {"block_count": 2, "embedding_length": 64, "feed_forward_length": 128}
    heads = {"attention.head_count": 2, "attention.head_count_kv": 1, "context_length": 4096}
    return ModelSpec(
        name="small",
        arch="llama",
        source="test",
        tensors={words.name: words},
        metadata={f"llama.{key}": value for key, value in (sizes | heads).items()},
    )


def kill_case(source: Random) -> bytes:
    """A case: what is ended, how, and after how many milliseconds."""
    what = source.choice(("sweep", "worker", "store", "file", "chat"))
    how = source.choice(("KILL", "KILL", "TERM", "HUP")) if what == "sweep" else "KILL"
    longest = 2500 if what in ("sweep", "worker") else 60
    case = {"what": what, "how": how, "after_ms": source.randrange(longest)}
    return json.dumps(case).encode()


def attempt_kill(data: bytes, folder: Path) -> str | None:
    """What was wrong after the case, None where nothing was."""
    case = json.loads(data)
    how, after_s = SIGNALS[case["how"]], case["after_ms"] / 1000
    if case["what"] in ("sweep", "worker"):
        return _end_sweep(folder, how, after_s, is_worker=case["what"] == "worker")
    return {"store": _end_store, "file": _end_file, "chat": _end_chat}[case["what"]](
        folder, after_s
    )


def _end_sweep(folder: Path, how: int, after_s: float, *, is_worker: bool) -> str | None:
    sweep = FastSweep(folder)
    with sweep.start() as process:
        time.sleep(after_s)
        victims = [process.pid]
        if is_worker:
            victims = [each.pid for each in sweep.living() if "worker.py" in str(_command(each))]
            victims = [pid for pid in victims if pid != process.pid]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        said, told = process.communicate(timeout=120)
    if "Traceback" in said + told and how != signal.SIGKILL:
        return f"a traceback: {told.splitlines()[-1]}"
    if not sweep.is_quiet():
        return f"left running: {[_command(each) for each in sweep.living()]}"
    before = sweep.labels()
    shown = [line for line in said.splitlines() if line.startswith("[")]
    if len(shown) > len(before):
        return f"{len(shown)} points were told and {len(before)} are on disk"
    code, _, told = sweep.run()
    after = sweep.labels()
    well = [label for label in after if label.endswith(" ok")]
    if code or len(well) != N_POINTS or len(set(well)) != N_POINTS:
        return f"started again it ended with {code} and has {after} ({told[-200:]})"
    if after[: len(before)] != before:
        return f"{before} became {after}"
    return None


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _killed(work: Callable[[Callable[[str], None]], None], after_s: float) -> list[str]:
    """Let a child do `work` until it is killed; what it had acknowledged."""
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            work(lambda text: os.write(write, f"{text}\n".encode()) and None)
        os._exit(0)
    os.close(write)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(read) as pipe:
        return pipe.read().split()


def _end_store(folder: Path, after_s: float) -> str | None:
    source = Path(__file__).parent.parent / "data" / "record_v1.jsonl"
    record = Record.model_validate_json(source.read_text(encoding="utf-8").splitlines()[0])

    def work(tell: Callable[[str], None]) -> None:
        with Store(folder) as store:
            for number in range(100_000):
                store.append(record.model_copy(update={"record_id": f"r{number}"}))
                tell(f"r{number}")

    told = _killed(work, after_s)
    with Store(folder) as store:
        found = [each.record_id for each in store.records()]
    if found[: len(told)] != told or len(found) > len(told) + 1:
        return f"{len(told)} were acknowledged and {len(found)} are there"
    return None


def _end_file(folder: Path, after_s: float) -> str | None:
    path, texts = folder / "report.md", [f"{number}\n" * 40_000 for number in range(2)]
    write_file(path, texts[0])

    def work(_: Callable[[str], None]) -> None:
        while True:
            for text in texts:
                write_file(path, text)

    _killed(work, after_s)
    if path.read_text() not in texts:
        return "the file is torn"
    write_file(path, "end")
    left = [each.name for each in folder.iterdir() if each != path]
    return f"left lying: {left}" if left else None


def _end_chat(folder: Path, after_s: float) -> str | None:
    path = folder / "chat.sqlite"

    def work(tell: Callable[[str], None]) -> None:
        with History(path) as history:
            for number in range(100_000):
                history.answer(history.ask(f"q{number}"), f"a{number}", n_tokens=2)
                tell(f"q{number}")

    told = _killed(work, after_s)
    with History(path) as history:
        found = [each.question for each in history.finished()]
    if found[: len(told)] != told or len(found) > len(told) + 1:
        return f"{len(told)} were acknowledged and {len(found)} are there"
    return None
