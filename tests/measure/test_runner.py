"""The runner with an executor that answers at once: resuming, pruning, refusing, and being killed
at any moment."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomph.errors import ConfigError, ModelFileError
from oomph.measure.executors import Completed, Job, LocalExecutor
from oomph.measure.point import Point
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.store import Store

MakeSweep = Callable[[str], Sweep]
HERE = read_environment(backend="cpu")


class Answering:
    """An executor that runs nothing: `answer` says how a point goes."""

    def __init__(self, answer: Callable[[Point], dict[str, object]] = lambda point: {}) -> None:
        self.answer, self.jobs = answer, list[Job]()

    def run(self, job: Job, stop: threading.Event | None = None) -> Iterator[Completed]:
        self.jobs.append(job)
        for point in job.points:
            completed = Completed(
                point=point,
                started_at=datetime.now(UTC),
                wall_ns=1,
                exit_code=None,
                failure=None,
                timed_out=False,
                reply={"load_ns": 1, "timings": []},
                log=(f"llama_context: n_ctx = {point.config.n_ctx}",),
            )
            completed = replace(completed, **self.answer(point))  # type: ignore[arg-type]
            yield completed
            if completed.exit_code is not None:
                return


KV_REFUSED = {
    "exit_code": 1,
    "failure": ("context", "llama_init_from_model returned NULL"),
    "log": (
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 9",
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for "
        "kv cache",
    ),
}


def _runner(folder: Path, executor: Answering, *, prune: bool = True) -> Runner:
    return Runner(Store(folder), executor, environment=HERE, prune=prune)


def test_every_point_becomes_a_record_on_disk_before_it_is_yielded(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep("axes = {n_ctx = [512, 256]}")
    for record in _runner(tmp_path, Answering()).run(sweep):
        assert list(Store(tmp_path).records())[-1] == record
    records = list(Store(tmp_path).records())
    assert [(record.label, record.outcome.label) for record in records] == [
        ("n_ctx=256", "ok"),
        ("n_ctx=512", "ok"),
    ]
    assert {record.model.arch for record in records} == {"llama"}
    assert all(record.model.sha256 and record.point_id in record.record_id for record in records)


def test_points_share_a_load_unless_a_fresh_process_is_asked_for(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    shared, fresh = Answering(), Answering()
    axes = "axes = {n_ctx = [256, 512], n_expert_used = [1, 2]}"
    list(_runner(tmp_path / "shared", shared).run(make_sweep(axes)))
    list(_runner(tmp_path / "fresh", fresh).run(make_sweep(f"fresh_process = true\n{axes}")))
    assert [len(job.points) for job in shared.jobs] == [2, 2]
    assert [len(job.points) for job in fresh.jobs] == [1, 1, 1, 1]


def test_started_again_it_measures_only_what_is_left(tmp_path: Path, make_sweep: MakeSweep) -> None:
    sweep = make_sweep("axes.n_ctx = [256, 512, 1024]")
    runner = _runner(tmp_path, Answering())
    records = runner.run(sweep)
    next(records)
    records.close()  # type: ignore[attr-defined]
    assert len(runner.pending(sweep)) == 2
    assert [record.label for record in runner.run(sweep)] == ["n_ctx=512", "n_ctx=1024"]
    assert runner.pending(sweep) == ()
    assert [record.label for record in runner.run(make_sweep("axes.n_ctx = [512, 2048]"))] == [
        "n_ctx=2048"
    ]
    elsewhere = HERE.model_copy(update={"machine": "another"})
    assert len(Runner(Store(tmp_path), Answering(), environment=elsewhere).pending(sweep)) == 3


def test_what_another_point_has_shown_not_to_fit_is_skipped_with_its_proof(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep("axes = {n_ctx = [256, 512, 1024], type_k = ['q8_0', 'f16']}")
    executor = Answering(lambda point: KV_REFUSED if point.config.n_ctx >= 512 else {})
    records = list(_runner(tmp_path, executor).run(sweep))
    outcome = {record.label: record.outcome for record in records}
    tried = [label for label, found in outcome.items() if found.label != "skipped"]
    assert tried == ["n_ctx=256 type_k=q8_0", "n_ctx=256 type_k=f16", "n_ctx=512 type_k=q8_0"]
    proof = next(record for record in records if record.label == "n_ctx=512 type_k=q8_0")
    assert proof.outcome.label == "oom_kv"
    skipped = outcome["n_ctx=1024 type_k=f16"]
    assert skipped.evidence == [f"record {proof.record_id}"]
    assert "n_ctx=512 type_k=q8_0 ended with oom_kv" in skipped.message
    again = _runner(tmp_path, executor, prune=False)
    assert len(again.pending(sweep)) == 3
    assert {record.outcome.label for record in again.run(sweep)} == {"oom_kv"}


def test_without_pruning_everything_is_tried(tmp_path: Path, make_sweep: MakeSweep) -> None:
    executor = Answering(lambda point: KV_REFUSED)
    records = list(
        _runner(tmp_path, executor, prune=False).run(make_sweep("axes.n_ctx = [256, 512, 1024]"))
    )
    assert [record.outcome.label for record in records] == ["oom_kv"] * 3


def test_a_load_that_fails_for_another_reason_than_memory_is_tried_for_every_context(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    failed = {
        "exit_code": 1,
        "failure": ("load", "llama_model_load_from_file returned NULL"),
        "reply": {},
        "log": ("llama_model_load: error loading model: unknown model architecture: 'x'",),
    }
    executor = Answering(lambda point: failed if point.config.n_gpu_layers == 0 else {})
    sweep = make_sweep("axes = {n_ctx = [256, 512], n_gpu_layers = [0, 1]}")
    labels = [record.outcome.label for record in _runner(tmp_path, executor).run(sweep)]
    assert labels == ["bad_model", "bad_model", "ok", "ok"]


def test_an_override_that_is_not_reported_back_makes_the_record_refused(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    said = {"log": ("print_info: n_expert_used         = 2",)}
    sweep = make_sweep("axes.n_expert_used = [2, 3]")
    records = list(_runner(tmp_path, Answering(lambda point: said)).run(sweep))
    assert [record.outcome.label for record in records] == ["ok", "refused"]
    assert "n_expert_used was set to 3 and llama.cpp reports 2" in records[1].outcome.message


def test_the_sweeps_time_limit_leaves_the_rest_for_the_next_start(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep("sweep_timeout_s = 0.2\nfresh_process = true\naxes.n_ctx = '256-2560+256'")

    def slowly(point: Point) -> dict[str, object]:
        time.sleep(0.15)
        return {}

    runner = _runner(tmp_path, Answering(slowly))
    assert 1 <= len(list(runner.run(sweep))) < 10
    assert len(runner.pending(sweep)) > 0


def test_bad_input_is_one_sentence_before_any_worker_starts(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    executor = Answering()
    with pytest.raises(ModelFileError, match=r"nowhere\.gguf does not exist"):
        list(Runner(Store(tmp_path), executor, model="nowhere.gguf").run(make_sweep("")))
    with pytest.raises(ConfigError, match=r"missing\.txt cannot be read .*measure\.text\.file"):
        list(_runner(tmp_path, executor).run(make_sweep("measure.text.file = 'missing.txt'")))
    assert executor.jobs == []


def test_killed_at_any_of_200_moments_nothing_is_lost_or_measured_twice(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep("fresh_process = true\naxes.n_ctx = '256-5120+256'")
    moments, folders = random.Random(5), 0
    for _ in range(200):
        folder = tmp_path / str(folders)
        heard, told = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                for _record in _runner(folder, Answering()).run(sweep):
                    os.write(told, b".")
            finally:
                os._exit(0)
        os.close(told)
        with os.fdopen(heard, "rb", buffering=0) as pipe:
            for _point in range(moments.randrange(10)):
                pipe.read(1)
            time.sleep(moments.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        labels = [record.label for record in Store(folder).records()]
        assert len(labels) == len(set(labels)), "a point was measured twice"
        folders += len(labels) == 20
    assert folders > 0, "no sweep was completed between the kills"
    list(_runner(tmp_path / str(folders), Answering()).run(sweep))
    assert len(list(Store(tmp_path / str(folders)).records())) == 20


WELL = (
    "load()\nfor point in points():\n    if point['config']['n_ctx'] == 512: fail()\n    "
    "measured(point)\n"
)


@pytest.mark.parametrize(
    ("fail", "label", "said"),
    [
        ("log('GGML_ASSERT(x) failed'); os.abort()", "crash", ""),
        ("log('last words'); sys.exit(0)", "crash", "the worker ended without an answer"),
        (
            "time.sleep(60)",
            "timeout",
            "the point took longer than its limit of 1 s, set by limits.point_timeout_s",
        ),
        ("log('y' * 5_000_000); os.abort()", "crash", ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed", "somebody outside ended it"),
        ("subprocess.Popen(['sleep', '300'], close_fds=False); os.abort()", "crash", ""),
    ],
    ids=["aborts", "exits 0 without an answer", "hangs", "floods", "killed", "leaves a grandchild"],
)
def test_whatever_ends_the_worker_the_next_load_goes_on_from_the_next_point(
    tmp_path: Path,
    make_sweep: MakeSweep,
    speaker: Callable[[str], Path],
    fail: str,
    label: str,
    said: str,
) -> None:
    worker = speaker(f"def fail():\n    {fail}\n{WELL}")
    sweep = make_sweep("axes.n_ctx = [256, 512, 1024]\nlimits.point_timeout_s = 1")
    executor = LocalExecutor(worker=[str(worker)], interval_s=0.01)
    records = list(Runner(Store(tmp_path), executor, environment=HERE, prune=False).run(sweep))
    assert [record.outcome.label for record in records] == ["ok", label, "ok"]
    outcome = records[1].outcome
    assert said in outcome.message
    assert (
        any("n_expert_used" in line for line in outcome.log_tail) or "yyy" in outcome.log_tail[-1]
    )


@pytest.mark.llama
def test_a_sweep_of_a_real_model_goes_on_after_a_real_failure(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    sweep = make_sweep(
        "[measure]\nn_prompt = 16\nn_gen = 2\n"
        "[[group]]\nname = 'limit'\naxes.n_ctx = [256, 4194304, 8388608]\nlimits.memory_bytes = "
        "'400 MiB'\n"
        "[[group]]\nname = 'experts'\naxes.n_expert_used = [1, 4, 5]\nmeasure.text = {n_tokens = "
        "64}\n"
    )
    records = {
        record.label: record
        for record in Runner(Store(tmp_path), LocalExecutor(), environment=HERE).run(sweep)
    }
    assert {label: record.outcome.label for label, record in records.items()} == {
        "n_ctx=256": "ok",
        "n_ctx=4194304": "host_oom",
        "n_ctx=8388608": "skipped",
        "n_expert_used=1": "ok",
        "n_expert_used=4": "ok",
        "n_expert_used=5": "bad_config",
    }
    assert records["n_ctx=4194304"].outcome.stage == "kv_cache"
    four = records["n_expert_used=4"]
    assert four.quality is not None
    assert four.quality.n_tokens == 63
    assert four.reported.n_expert_used == 4
    assert {timing.test for timing in four.timings} == {"cold_pp16", "cold_tg1", "pp16", "tg2"}
    rss = next(series for series in four.memory if series.quantity == "rss")
    assert rss.baseline_bytes is not None
    assert rss.peak_bytes > rss.baseline_bytes


def test_an_anchor_is_measured_again_and_says_how_far_the_machine_has_drifted(
    tmp_path: Path, make_sweep: MakeSweep
) -> None:
    clock = iter(range(100, 200, 10))

    def slower_each_time(point: Point) -> dict[str, object]:
        timing = {
            "test": "pp8",
            "n_tokens": 8,
            "n_depth": 0,
            "n_parallel": 1,
            "samples_ns": [next(clock)] * 3,
        }
        return {"reply": {"load_ns": 1, "timings": [timing]}}

    sweep = make_sweep("anchor_every_s = 1e-6\nfresh_process = true\naxes.n_ctx = [256, 512]")
    runner = _runner(tmp_path, Answering(slower_each_time))
    first, again, _, last = runner.run(sweep)
    assert [first.label, again.label, last.label] == [
        "n_ctx=256",
        "n_ctx=256 (again)",
        "n_ctx=256 (again)",
    ]
    assert again.conditions.anchor_of == last.conditions.anchor_of == first.record_id
    assert again.conditions.drift == pytest.approx(0.1)
    assert last.conditions.drift == pytest.approx(0.3)
    assert runner.pending(sweep) == ()


def test_a_model_on_hugging_face_is_downloaded_and_recorded_as_it_was_named(
    tmp_path: Path, make_sweep: MakeSweep, tiny_moe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "oomph.measure.plan.download_model", {"hf:o/r/m.gguf": tiny_moe}.__getitem__
    )
    executor = Answering()
    runner = Runner(Store(tmp_path), executor, model="hf:o/r/m.gguf", environment=HERE)
    (record,) = runner.run(make_sweep(""))
    assert executor.jobs[0].model_path == tiny_moe
    assert record.model.path == "hf:o/r/m.gguf"


def test_a_model_whose_path_is_no_utf8_is_measured_and_named(
    tmp_path: Path, tiny_moe: Path, make_sweep: Callable[[str], Sweep]
) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.gguf"))
    path.symlink_to(tiny_moe)
    text = "config.n_ctx = 64\nmeasure = { n_prompt = 8, n_gen = 0 }"
    store = Store(tmp_path / "out")
    (record,) = Runner(store, LocalExecutor(), model=path).run(make_sweep(text))
    assert record.outcome.label == "ok"
    assert record.model.path.endswith(r"/m\xff.gguf")
    assert [each.record_id for each in store.records()] == [record.record_id]
