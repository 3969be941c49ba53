"""`oomph sweep` and its neighbours as a user runs them, on a real tiny model: what measures in a
process of its own, what is refused before in this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest

from oomph.architectures.spec import ModelSpec
from oomph.cli.sweep import follow
from oomph.gguf.ggml_types import QUANTS
from oomph.gguf.header import TensorInfo
from oomph.models.synth import write_synthetic
from oomph.records.schema import Record
from oomph.records.store import Store

pytestmark = pytest.mark.llama
Oomph = Callable[..., tuple[int, str, str]]
OOMPH = (sys.executable, "-c", "from oomph.cli import main; main()")


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense model of one layer."""
    n = 64
    shapes = {
        "token_embd": (n, 300),
        "output_norm": (n,),
        "blk.0.attn_norm": (n,),
        "blk.0.ffn_norm": (n,),
    }
    shapes |= {
        f"blk.0.{part}": (n, n)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    }
    tensors = [
        TensorInfo(name=f"{k}.weight", ne=ne, quant=QUANTS["F32"], offset=0)
        for k, ne in shapes.items()
    ]
    spec = ModelSpec(
        name="dense",
        arch="llama",
        source="test",
        tensors={tensor.name: tensor for tensor in tensors},
        metadata={
            "general.architecture": "llama",
            "general.name": "dense",
            "llama.block_count": 1,
            "llama.embedding_length": n,
            "llama.feed_forward_length": n,
            "llama.context_length": 4096,
            "llama.attention.head_count": 2,
            "llama.attention.head_count_kv": 2,
            "llama.attention.layer_norm_rms_epsilon": 1e-5,
            "llama.rope.dimension_count": n // 2,
        },
    )
    return write_synthetic(spec, tmp_path_factory.mktemp("model") / "dense.gguf", weights="random")


@pytest.fixture
def sweep_file(tmp_path: Path, dense: Path) -> Callable[[str], Path]:
    """Writes a sweep of the dense model that stands in its own folder."""

    def write(text: str) -> Path:
        (tmp_path / "model.gguf").symlink_to(dense)
        path = tmp_path / "my.toml"
        path.write_text(f'name = "mine"\nmodel = "model.gguf"\n{text}')
        return path

    return write


def _oomph(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OOMPH, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_sweep_prints_plain_lines_resumes_merges_exports_and_reruns(
    tmp_path: Path, sweep_file: Callable[[str], Path]
) -> None:
    spec, out = (
        sweep_file("axes.n_ctx = [256, 512]\nmeasure = {n_prompt = 8, n_gen = 2}"),
        tmp_path / "out",
    )
    first = _oomph("sweep", spec, "--out", out)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert lines[0] == f"mine: 2 of 2 points to measure into {out}"
    assert lines[1].startswith("[1/2] n_ctx=256: ok, rss host ")
    assert "pp8" in lines[2]
    assert "\x1b" not in first.stdout
    assert (
        _oomph("sweep", spec, "--out", out).stdout == f"mine: 0 of 2 points to measure into {out}\n"
    )
    record = next(Store(out).records())
    again = _oomph(
        "rerun",
        out,
        record.record_id,
        "--out",
        tmp_path / "again",
        "--model",
        tmp_path / "model.gguf",
    )
    assert again.returncode == 0, again.stderr
    assert _oomph("merge", out, tmp_path / "again", "--out", tmp_path / "all").stdout.endswith(
        "3 new records\n"
    )
    assert _oomph("records", "export", tmp_path / "all", tmp_path / "t.csv").returncode == 0
    assert (tmp_path / "t.csv").read_text().count("\n") > 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("axes.n_ctxx = 5", "unknown knob 'n_ctxx'"),
        (
            "axes.n_expert_used = [2, 4]",
            "n_expert_used is set, but model.gguf is a dense model without experts",
        ),
        ("measure.text.file = 'none.txt'", "none.txt cannot be read"),
        ("config.n_devices = 7", "n_devices is 7 and this machine shows"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    oomph: Oomph, tmp_path: Path, sweep_file: Callable[[str], Path], text: str, sentence: str
) -> None:
    code, _, said = oomph("sweep", sweep_file(text), "--out", tmp_path / "out")
    assert code == 2
    assert said.startswith("oomph: ")
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--workers", "2"], "--workers is 2, and workers on one CPU disturb each other's timing"),
        (["--gres", "gpu:1"], "--gres says nothing to --executor local"),
        (["--executor", "ray", "--partition", "p"], "--partition says nothing to --executor ray"),
        (["--executor", "ray", "--phantom", "RTX 5090"], "phantom cards are of this machine only"),
        (
            ["--executor", "ray", "--ray-address", "127.0.0.1:1"],
            "no Ray cluster answers at 127.0.0.1:1",
        ),
        (
            ["--executor", "slurm", "--model-path-on", "node7"],
            "--model-path-on node7 names no path",
        ),
        (["--executor", "slurm"], "sbatch is not there"),
    ],
)
def test_an_executor_that_cannot_be_had_is_one_sentence(
    oomph: Oomph,
    sweep_file: Callable[[str], Path],
    tmp_path: Path,
    options: list[str],
    sentence: str,
) -> None:
    code, _, said = oomph(
        "sweep", sweep_file("axes.n_ctx = 256"), "--out", tmp_path / "out", *options
    )
    assert (code, said.count("\n")) == (2, 1), said
    assert sentence in said


def test_a_folder_that_cannot_be_written_is_one_sentence(
    oomph: Oomph, sweep_file: Callable[[str], Path]
) -> None:
    code, _, said = oomph("sweep", sweep_file("axes.n_ctx = 256"), "--out", "/proc/oomph")
    assert (code, said.count("\n")) == (2, 1)
    assert "/proc/oomph cannot be written" in said


def test_an_interrupt_while_a_line_is_printed_ends_the_workers(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What handles the interrupt holds its traceback, and that the loop which was left."""
    ended = list[str]()

    def measure() -> Generator[Record, None, None]:
        try:
            yield from Store(repository / "results/xeon-2-cores/tasks").records()
        finally:
            ended.append("the workers")

    def interrupted(_: object, line: str) -> None:
        raise KeyboardInterrupt(line)

    monkeypatch.setattr("oomph.cli.output.ProgressLines.say", interrupted)
    with pytest.raises(KeyboardInterrupt) as held:
        follow(measure(), Store(tmp_path), 2)
    assert str(held.value).startswith("[1/2]")
    assert ended == ["the workers"]


def test_an_interrupt_ends_the_worker_keeps_the_records_and_says_how_to_go_on(
    tmp_path: Path, sweep_file: Callable[[str], Path]
) -> None:
    """The second point repeats its test a billion times."""
    spec = sweep_file(
        "measure = {n_prompt = 8, n_gen = 1}\n"
        "[[group]]\nname = 'quick'\naxes.n_ctx = 256\n"
        "[[group]]\nname = 'endless'\naxes.n_ctx = 512\n"
        "measure.repetitions = {least = 1000000000, most = 1000000000}"
    )
    out = tmp_path / "out"
    sweep = subprocess.Popen(
        [*OOMPH, "sweep", str(spec), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert sweep.stdout is not None
        assert "2 of 2" in sweep.stdout.readline()
        assert sweep.stdout.readline().startswith("[1/2]")
        processes = psutil.Process(sweep.pid).children()
        sweep.send_signal(signal.SIGINT)
        _, said = sweep.communicate(timeout=60)
    finally:
        sweep.kill()  # an endless sweep must not outlive a test that fails
        sweep.wait()
    assert sweep.returncode == 130
    assert "The same command goes on from there." in said
    assert len(processes) == 2, "the worker and its watch"
    assert not any(process.is_running() for process in processes)
    assert [record.label for record in Store(out).records()] == ["n_ctx=256"]
