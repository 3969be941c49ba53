"""What another machine does with a job: find the model, and what becomes of its points when it is
lost."""

import hashlib
import pickle
import platform
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oomph.errors import ConfigError, ModelFileError
from oomph.gguf.header import read_gguf
from oomph.measure.executors import Completed, Job
from oomph.measure.point import Point
from oomph.measure.recording import Setting
from oomph.measure.remote import (
    MODEL_DIR,
    TRIES,
    LostError,
    RemoteJob,
    find_model,
    run_remote_job,
    try_elsewhere,
)
from oomph.measure.sweep import Sweep
from oomph.records.environment import machine_name, read_environment
from oomph.records.schema import ModelIdentity


@pytest.fixture
def job(make_sweep: Callable[[str], Sweep], tiny_moe: Path) -> Job:
    points = make_sweep(
        "axes.n_ctx = [256, 512, 1024]\nmeasure = {n_prompt = 8, n_gen = 1}"
    ).points(n_devices=0)
    header = hashlib.sha256(tiny_moe.read_bytes()[: read_gguf(tiny_moe).data_offset]).hexdigest()
    return Job(model_path=tiny_moe, arch="llama", points=points, n_threads=7, header_sha256=header)


def completed(point: Point) -> Completed:
    return Completed(
        point=point,
        started_at=datetime.now(UTC),
        wall_ns=1,
        exit_code=None,
        reply={"load_ns": 1},
        failure=None,
        timed_out=False,
        log=(),
        environment=read_environment(backend="cpu"),
        conditions={"context_index": 0},
    )


def test_jobs_and_what_they_complete_travel_as_they_are(job: Job) -> None:
    assert pickle.loads(pickle.dumps(RemoteJob(job=job, models={"a": "/b"}))).job == job
    sent = completed(job.points[0])
    assert pickle.loads(pickle.dumps(sent)) == sent


def test_a_model_lies_where_the_mapping_or_the_machine_says(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "there.gguf"
    moved.write_bytes(job.model_path.read_bytes())
    elsewhere = replace(job, model_path=Path("/no/such/place/there.gguf"))
    assert find_model(RemoteJob(job=job)) == job.model_path
    with pytest.raises(
        ModelFileError, match=rf"there\.gguf is not there on {platform.node()}; .*--model-path-on"
    ):
        find_model(RemoteJob(job=elsewhere))
    assert find_model(RemoteJob(job=elsewhere, models={platform.node(): str(moved)})) == moved
    with pytest.raises(ModelFileError, match="is not there"):
        find_model(RemoteJob(job=elsewhere, models={"another node": str(moved)}))
    monkeypatch.setenv(MODEL_DIR, str(tmp_path))
    assert find_model(RemoteJob(job=elsewhere)) == moved


def test_another_model_at_the_same_place_is_refused(job: Job, tiny_mamba: Path) -> None:
    with pytest.raises(ModelFileError, match="another model than the one that was asked for"):
        find_model(RemoteJob(job=job, models={platform.node(): str(tiny_mamba)}))


def test_a_machine_without_the_cards_says_so(job: Job) -> None:
    (point, *_) = job.points
    on_cards = replace(job, points=(replace(point, config=point.config.with_(n_devices=2)),))
    with pytest.raises((ConfigError, Exception), match=f"{platform.node()} has no cards to give"):
        next(run_remote_job(RemoteJob(job=on_cards)))


@pytest.mark.llama
def test_an_errand_measures_and_brings_its_machine_with_it(job: Job, tmp_path: Path) -> None:
    secret = tmp_path / "secret.gguf"
    secret.write_bytes(job.model_path.read_bytes())
    done = list(run_remote_job(RemoteJob(job=job, models={platform.node(): str(secret)})))
    assert [each.point for each in done] == list(job.points)
    for each in done:
        assert each.exit_code is None
        assert each.environment is not None
        assert each.environment.machine == machine_name()
        assert not any("secret" in line for line in each.log), (
            "a record does not tell where a node keeps its files"
        )


class TestTryElsewhere:
    def test_what_was_not_completed_is_tried_again_and_says_so(self, job: Job) -> None:
        asked: list[int] = []

        def losing_the_second(left: Job) -> Iterator[Completed]:
            asked.append(len(left.points))
            yield completed(left.points[0])
            if len(asked) == 1:
                raise LostError("the node died")
            yield from map(completed, left.points[1:])

        done = list(try_elsewhere(job, losing_the_second))
        assert [each.point for each in done] == list(job.points), "none twice, none missing"
        assert asked == [3, 2]
        assert [each.conditions.get("n_lost") for each in done] == [None, 1, None]

    def test_a_point_that_loses_every_machine_is_given_up_as_lost(self, job: Job) -> None:
        asked: list[Job] = []

        def losing(left: Job) -> Iterator[Completed]:
            asked.append(left)
            raise LostError("node 10.0.0.7 died")
            yield

        (given_up,) = try_elsewhere(job, losing)
        assert len(asked) == TRIES
        assert given_up.point == job.points[0]
        identity = ModelIdentity(name="m", path="m", arch="llama", file_bytes=1, header_sha256="ab")
        setting = Setting(sweep="s", environment=read_environment(), model_path="m", model=identity)
        outcome = setting.record_of(given_up).outcome
        assert outcome.label == "lost"
        assert (
            outcome.message
            == "given up after 3 machines were lost with it; last: node 10.0.0.7 died"
        )
