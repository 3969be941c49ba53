"""Slurm through submitit: the batch script against a golden file, and the way of the data through
real processes."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oomph.errors import ModelFileError, ToolchainError
from oomph.measure import slurm_executor
from oomph.measure.executors import Job
from oomph.measure.plan import Place
from oomph.measure.runner import Runner
from oomph.measure.slurm_executor import SlurmExecutor, slurm_place
from oomph.measure.sweep import Sweep
from oomph.records.environment import machine_name, read_environment
from oomph.records.store import Store

pytest.importorskip("submitit", reason="submitit is an extra; pip install 'oomph[slurm]'")

# It runs its copy, as Slurm does: submitit moves the script once sbatch has returned.
SBATCH = """#!/bin/sh
cp "$1" "$SAVED_SCRIPT"
export SLURM_JOB_ID=7 SLURM_NTASKS=1 SLURM_PROCID=0
export SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_JOB_NUM_NODES=1
sh "$SAVED_SCRIPT" >/dev/null 2>&1 &
echo "Submitted batch job 7"
"""
SRUN = """#!/bin/sh
while true; do
    case "$1" in --unbuffered) shift;; --output|--error) shift 2;; *) exec "$@";; esac
done
"""
SACCT = """#!/bin/sh
printf 'JobID|State|NodeList\\n7|RUNNING|here\\n'
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that submits: Slurm's commands as shell scripts that run the batch script here;
    where it is kept."""
    programs = {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": "#!/bin/sh\n"}
    for name, text in programs.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SAVED_SCRIPT", str(tmp_path / "script.sh"))
    monkeypatch.setattr("oomph.measure.slurm_executor.POLL_S", 0.1)
    return tmp_path / "script.sh"


SWEEP = (
    "axes.n_ctx = [256, 512]\nmeasure = {n_prompt = 8, n_gen = 1}\nlimits = {load_timeout_s = 600}"
)


@pytest.mark.llama
def test_the_batch_script_is_the_golden_one_and_its_run_brings_the_records(
    slurm: Path,
    tmp_path: Path,
    repository: Path,
    make_sweep: Callable[[str], Sweep],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slurm_executor, "chosen_backend", lambda: "cpu")
    place = slurm_place(tmp_path / "jobs", partition="gpu-short")
    records = list(Runner(Store(tmp_path / "out"), [place]).run(make_sweep(SWEEP)))
    assert [record.outcome.label for record in records] == ["ok", "ok"]
    assert {record.environment.machine for record in records} == {machine_name()}
    script = slurm.read_text().replace(str(tmp_path), "FOLDER").replace(sys.executable, "PYTHON")
    assert script == (repository / "tests" / "golden" / "slurm.sh").read_text()
    assert not list((tmp_path / "jobs").glob("points-*")), "what travelled is cleared away"


@pytest.mark.parametrize(
    ("n_devices", "gres", "asked"),
    [
        (1, None, {"slurm_gres": "gpu:1"}),
        (2, None, {"slurm_gres": "gpu:2"}),
        (0, None, {"slurm_exclusive": True}),
        (1, "gpu:h100:1", {"slurm_gres": "gpu:h100:1"}),
    ],
)
def test_a_job_asks_for_its_cards_or_a_node_and_for_the_time_of_its_timeouts(
    tmp_path: Path,
    make_sweep: Callable[[str], Sweep],
    n_devices: int,
    gres: str | None,
    asked: dict[str, object],
) -> None:
    points = make_sweep(SWEEP).points(n_devices=n_devices)
    job = Job(model_path=Path("m.gguf"), arch="llama", points=points, n_threads=1)
    parameters = SlurmExecutor(tmp_path, gres=gres).parameters(job)
    assert parameters == {"name": "oomph", "timeout_min": 10 + 2 * 60 + 5} | asked


@pytest.mark.llama
def test_a_failure_ends_its_batch_job_and_the_next_goes_on(
    tmp_path: Path, make_sweep: Callable[[str], Sweep]
) -> None:
    """On submitit's executor of this machine, whose jobs are processes."""
    sweep = make_sweep(
        "axes.n_ctx = [256, 4194304, 8388608]\nmeasure = {n_prompt = 8, n_gen = "
        "1}\nlimits.memory_bytes = '400 MiB'"
    )
    executor = SlurmExecutor(tmp_path / "jobs", cluster="local")
    place = Place(
        executor=executor, environment=read_environment(backend="cpu"), n_devices=0, anywhere=True
    )
    records = list(Runner(Store(tmp_path / "out"), [place]).run(sweep))
    assert [record.outcome.label for record in records] == ["ok", "host_oom", "skipped"]


@pytest.mark.llama
def test_what_an_ended_batch_job_had_not_completed_is_measured_in_another(
    tmp_path: Path, make_sweep: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch job is killed once its first point has come back."""
    monkeypatch.setattr("oomph.measure.slurm_executor.POLL_S", 0.05)
    sweep = make_sweep(
        "config.n_threads = 1\naxes.n_ctx = [256, 512, 1024]\n"
        "measure = {n_prompt = 8, n_gen = 8, repetitions = {least = 200, most = 200}}"
    )
    executor = SlurmExecutor(tmp_path / "jobs", cluster="local")
    place = Place(
        executor=executor, environment=read_environment(backend="cpu"), n_devices=0, anywhere=True
    )
    records = []
    for record in Runner(Store(tmp_path / "out"), [place]).run(sweep):
        if not records:
            for batch in psutil.Process().children():
                batch.kill()
        records.append(record)
    assert [record.outcome.label for record in records] == ["ok"] * 3
    assert len({record.point_id for record in records}) == 3
    assert [record.conditions.n_lost for record in records].count(1) == 1


def test_what_a_user_can_mend_comes_back_as_one_sentence(
    tmp_path: Path, make_sweep: Callable[[str], Sweep]
) -> None:
    executor = SlurmExecutor(
        tmp_path / "jobs", cluster="local", models={os.uname().nodename: "/no/such.gguf"}
    )
    place = Place(
        executor=executor, environment=read_environment(backend="cpu"), n_devices=0, anywhere=True
    )
    with pytest.raises(ModelFileError, match=r"^/no/such\.gguf is not there on"):
        list(Runner(Store(tmp_path / "out"), [place]).run(make_sweep("")))


def test_a_machine_without_slurm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="sbatch is not there"):
        slurm_place(tmp_path)
