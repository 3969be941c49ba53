"""Points that run through llama-server: a stand-in that answers, refuses, dies and hangs, and the
real one where it is built."""

import os
import re
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oomph.errors import ConfigError
from oomph.measure.executors import Completed, Job
from oomph.measure.recording import Setting
from oomph.measure.runner import Runner
from oomph.measure.server_executor import ByProgram, ServerExecutor, server_command
from oomph.measure.sweep import Sweep
from oomph.models.demo import demo_model
from oomph.records.environment import read_environment
from oomph.records.schema import ModelIdentity, Record
from oomph.records.store import Store

STAND_IN = """#!{python}
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
log = lambda text: print(text, file=sys.stderr, flush=True)
held, asked = [], []
def complete(said):
    global held
    prompt, n = said["prompt"], said["n_predict"]
    asked.append(len(prompt))
    same = 0
    while same < min(len(held), len(prompt) - 1) and held[same] == prompt[same]:
        same += 1
    held = prompt
    {completing}
    timings = {{"prompt_n": len(prompt) - same, "prompt_ms": 2.0 * (len(prompt) - same),
               "predicted_n": n, "predicted_ms": 5.0 * max(n - 1, 0)}}
    if n > 1 and "--spec-type" in sys.argv:
        timings |= {{"draft_n": 3 * n, "draft_n_accepted": n}}
    return {{"timings": timings}}
class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def say(self, code, what):
        body = json.dumps(what).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        n_ctx = int(sys.argv[sys.argv.index("--ctx-size") + 1])
        self.say(200, {{"/health": {{"status": "ok"}},
                       "/props": {{"default_generation_settings": {{"n_ctx": n_ctx}}}}}}[self.path])
    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            return self.say(200, {{"tokens": list(range(len(said["content"]) // 4))}})
        try:
            self.say(200, complete(said))
        except ValueError as error:
            self.say(400, {{"error": {{"message": str(error)}}}})
log("build: 11330 (0c1e570) with GNU")
log("llama_context: n_ctx                 = 512")
log("load_tensors:   CPU_Mapped model buffer size =    10.00 MiB")
{starting}
HTTPServer(("127.0.0.1", 0), Handler).serve_forever()
"""

SWEEP = """
axes.spec_type = ["none", "draft-mtp"]
config.n_ctx = 512
[measure]
through = "llama-server"
n_prompt = 16
n_gen = 8
depths = [0, 64, "full"]
repetitions = {{ least = 2, most = 2 }}
{measure}
[limits]
{limits}
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[..., Path]:
    def write(*, completing: str = "pass", starting: str = "") -> Path:
        path = tmp_path / "llama-server"
        path.write_text(
            STAND_IN.format(python=sys.executable, completing=completing, starting=starting)
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


@pytest.fixture
def run(
    stand_in: Callable[..., Path], make_sweep: Callable[[str], Sweep]
) -> Callable[..., list[Completed]]:
    def run(
        *, limits: str = "", stop: threading.Event | None = None, **how: str
    ) -> list[Completed]:
        points = make_sweep(SWEEP.format(measure="", limits=limits)).points(n_devices=0)
        program = stand_in(**how)
        executor = ServerExecutor(read_environment(backend="cpu"), server=lambda: program)
        found = []
        for point in points:
            job = Job(model_path=Path("model.gguf"), arch="llama", points=(point,), n_threads=1)
            found += executor.run(job, stop)
        return found

    return run


def test_each_point_is_timed_by_the_servers_clock(run: Callable[..., list[Completed]]) -> None:
    plain, drafting = run()
    assert (plain.exit_code, drafting.exit_code) == (None, None)
    timings = {(each["test"], each["n_depth"]): each for each in plain.reply["timings"]}
    assert list(timings) == [(test, depth) for depth in (0, 64, 495) for test in ("pp16", "tg8")]
    assert timings["pp16", 64]["samples_ns"] == [32_000_000] * 2, "16 tokens of 2 ms each"
    assert timings["tg8", 495]["samples_ns"] == [40_000_000] * 2, "8 tokens after the first"
    assert "drafted" not in timings["tg8", 0]
    assert plain.reply["n_filled"] == 511, "a prompt is shorter than its slot"
    assert plain.environment is not None
    assert plain.environment.llama_cpp_commit == "0c1e570"
    assert any(series.quantity == "rss" for series in plain.memory)
    drafted = [each for each in drafting.reply["timings"] if "drafted" in each]
    assert [(each["test"], each["drafted"], each["accepted"]) for each in drafted] == [
        ("tg8", [27, 27], [9, 9])
    ] * 3


def test_a_server_that_reads_more_than_was_asked_gives_no_sample(
    run: Callable[..., list[Completed]],
) -> None:
    """One that keeps a state reads the whole prompt again where it cannot go back."""
    plain, _ = run(completing="same = 0")
    assert {each["test"] for each in plain.reply["timings"] if each["n_depth"]} == {"tg8"}


@pytest.mark.parametrize(
    ("how", "label", "said"),
    [
        ({"starting": "os.abort()"}, "crash", ""),
        ({"starting": "sys.exit(1)"}, "crash", ""),
        ({"completing": "os.kill(os.getpid(), signal.SIGKILL)"}, "killed", ""),
        (
            {"completing": "raise ValueError('the slot is too short')"},
            "crash",
            "llama-server refused a request: the slot is too short",
        ),
        ({"completing": "return {}"}, "crash", "llama-server refused a request: 'timings'"),
        ({"starting": "time.sleep(600)", "limits": "load_timeout_s = 1"}, "timeout", "the load"),
        (
            {"completing": "time.sleep(600)", "limits": "point_timeout_s = 1"},
            "timeout",
            "the point",
        ),
        (
            {
                "starting": "log('llama_init_from_model: failed to allocate buffer for kv cache');"
                "log('ggml_backend_cuda_buffer_type_alloc_buffer: allocating 512.00 MiB on device "
                "0: cudaMalloc failed: out of memory'); sys.exit(1)"
            },
            "oom_kv",
            "",
        ),
    ],
)
def test_whatever_a_server_does_is_an_outcome(
    run: Callable[..., list[Completed]], how: dict[str, str], label: str, said: str
) -> None:
    found, _ = run(**how)
    record = record_of(found)
    assert record.outcome.label == label
    assert said in record.outcome.message
    assert not record.timings


def test_a_point_that_is_called_off_leaves_no_server(run: Callable[..., list[Completed]]) -> None:
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    started = time.monotonic()
    assert run(completing="time.sleep(600)", stop=stop) == []
    assert time.monotonic() - started < 60
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(os.getpid()) in (process.info["cmdline"] or []) and "llama-server" in str(process)
    ]


def record_of(completed: Completed) -> Record:
    """The record of a point, of a model that nobody has."""
    setting = Setting(
        sweep="s",
        model=ModelIdentity(
            name="m", path="m.gguf", arch="llama", file_bytes=1, header_sha256="0" * 64
        ),
        environment=read_environment(backend="cpu"),
        model_path="model.gguf",
    )
    return setting.record_of(completed)


def test_a_command_says_the_point_and_nothing_else(make_sweep: Callable[[str], Sweep]) -> None:
    text = 'config = { n_ctx = 4096, n_expert_used = 3, n_cpu_moe = 1, spec_type = "draft-mtp" }\n'
    text += 'measure.through = "llama-server"\nload_mode = "dio"'
    (point,) = make_sweep(text).points(n_devices=0)
    job = Job(model_path=Path("m.gguf"), arch="qwen35moe", points=(point,), n_threads=2)
    command = server_command(Path("llama-server"), job, point)
    assert command[:3] == ["llama-server", "--model", "m.gguf"]
    said = dict(zip(command[1::2], command[2::2], strict=True))
    assert said == {
        "--model": "m.gguf",
        "--ctx-size": "4096",
        "--parallel": "1",
        "--batch-size": "2048",
        "--ubatch-size": "512",
        "--flash-attn": "auto",
        "--cache-type-k": "f16",
        "--cache-type-v": "f16",
        "--n-gpu-layers": "all",
        "--n-cpu-moe": "1",
        "--spec-type": "draft-mtp",
        "--fit": "off",
        "--load-mode": "dio",
        "--threads": "2",
        "--device": "none",
        "--override-kv": "qwen35moe.expert_used_count=int:3",
    }
    assert (point.config.n_seq_max, point.config.n_outputs_max) == (1, 1)
    assert point.config.ctx_checkpoints == 32, "what is left out is llama-server's own"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('config.spec_type = "ngram-mod"', "llama-server alone drafts"),
        ('config.spec_type = "draft-simple"\nmeasure.through = "llama-server"', "measure.draft"),
        ('measure = { through = "llama-server", draft = "d.gguf" }', "give both or neither"),
        ('measure.draft = "d.gguf"', 'add through = "llama-server"'),
        ('measure = { through = "llama-server", text = {} }', "leave through out"),
        (
            'measure.through = "llama-server"\nlimits.memory_bytes = "1 GiB"',
            "limits.memory_bytes is the library's",
        ),
        (
            'measure.through = "llama-server"\nconfig.embeddings = true',
            "embeddings are the library's",
        ),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    make_sweep: Callable[[str], Sweep], text: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        make_sweep(text)


def test_a_library_that_was_to_draft_teaches_nothing(run: Callable[..., list[Completed]]) -> None:
    """Records of before llama-server was asked: the library decoded token by token."""
    record = record_of(run()[1])
    assert record.why_not_calibrating is None
    old = record.model_copy(update={"workload": {}})
    assert old.why_not_calibrating == "it was to draft, which its program does not"


@pytest.mark.llama
def test_the_real_server_drafts_as_it_is_asked(llama_server: Path, tmp_path: Path) -> None:
    text = f"""
    name = "ngram"
    model = "{demo_model()}"
    config = {{ n_ctx = 512, n_expert_used = 4, n_threads = 1 }}
    axes.spec_type = ["none", "ngram-simple"]
    [measure]
    through = "llama-server"
    n_prompt = 32
    n_gen = 16
    depths = [0, 64]
    repetitions = {{ least = 1, most = 1 }}
    """
    machine = read_environment(backend="cpu")
    server = ServerExecutor(machine, server=lambda: llama_server)
    executor = ByProgram(library=server, server=server)
    store = Store(tmp_path / "out")
    records = list(Runner(store, executor).run(Sweep.parse(text)))
    assert [record.outcome.label for record in records] == ["ok", "ok"]
    for record in records:
        assert record.reported.n_expert_used == 4
        assert [(each.test, each.n_depth) for each in record.timings] == [
            (test, depth) for depth in (0, 64) for test in ("pp32", "tg16")
        ]
        assert record.buffer_mib("kv_cache_mib")
        assert record.environment.llama_cpp_commit
