"""What a death says of a configuration: accidents are tried again, three times in all, and prove
nothing."""

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oomph.measure.accidents import TRIES, is_accident, is_presumed, ran_out, standing
from oomph.measure.executors import LocalExecutor
from oomph.measure.runner import Runner
from oomph.measure.sweep import Sweep
from oomph.records.environment import read_environment
from oomph.records.schema import Environment, ModelIdentity, Outcome, Record
from oomph.records.store import Store

HERE = read_environment(backend="cpu")


def record(label: str, point: str = "p", *, number: int = 0, **outcome: object) -> Record:
    return Record(
        record_id=f"{point}-{number}",
        point_id=point,
        sweep="s",
        label="l",
        started_at="",
        wall_ns=1,
        config={},
        model=ModelIdentity(name="m", path="m", arch="llama", file_bytes=1, header_sha256="0"),
        environment=Environment(
            machine="m", os="", python="", cpu="", cpu_count=1, memory_bytes=1, backend="cpu"
        ),
        outcome=Outcome.model_validate({"label": label, **outcome}),
    )


PRESUMED = {
    "label": "host_oom",
    "exit_code": -9,
    "evidence": ["warning: failed to mlock 9-byte buffer"],
}
COUNTED = {
    "label": "host_oom",
    "exit_code": -9,
    "evidence": ["oom_kill rose by 1 in /proc/vmstat while the worker l"],
}
TOLD = {"label": "host_oom", "exit_code": 137, "evidence": ["what(): std::bad_alloc"]}


@pytest.mark.parametrize(
    ("outcome", "accident", "memory"),
    [
        ({"label": "killed", "exit_code": -9}, True, False),
        ({"label": "crash", "exit_code": -6}, True, False),
        ({"label": "timeout"}, True, False),
        ({"label": "device_lost"}, True, False),
        (PRESUMED, True, False),
        (PRESUMED | {"evidence": [], "exit_code": 137}, True, False),
        (COUNTED, False, True),
        (TOLD, False, True),
        ({"label": "host_oom", "exit_code": 1, "evidence": []}, False, True),
        ({"label": "oom_kv", "exit_code": 1}, False, True),
        (
            {
                "label": "bad_model",
                "evidence": ["gguf_init_from_file: failed to open GGUF file 'm.gguf'"],
            },
            True,
            False,
        ),
        ({"label": "bad_model", "evidence": ["unknown model architecture: 'x'"]}, False, False),
        ({"label": "ok"}, False, False),
        ({"label": "refused"}, False, False),
    ],
)
def test_accidents_are_told_from_what_ran_out(
    outcome: dict[str, object], accident: bool, memory: bool
) -> None:
    found = record(**outcome)  # type: ignore[arg-type]
    assert is_accident(found) is accident
    assert ran_out(found) is memory
    assert is_presumed(found) is (outcome["label"] == "host_oom" and accident)


def test_a_point_is_tried_three_times_and_then_its_last_accident_stands() -> None:
    tries = [
        record(label, number=number) for number, label in enumerate(("killed", "crash", "timeout"))
    ]
    for n_tries in range(1, TRIES):
        found = standing(tries[:n_tries])
        assert found.finished == {}
        assert found.again == {tries[n_tries - 1].outcome.label: 1}
    assert standing(tries).finished == {"p": tries[-1]}


def test_what_was_measured_stands_whatever_happened_before_or_after() -> None:
    well = record("ok", number=1)
    for tries in ([record("killed"), well], [well, record("killed", number=2)]):
        assert standing(tries).finished == {"p": well}
        assert not standing(tries).again


def skipped(proof: Record, because: str) -> Record:
    said = f"n_ctx=512 ended with {because}, and this asks for at least as much"
    return record("skipped", "larger", message=said, evidence=[f"record {proof.record_id}"])


@pytest.mark.parametrize(
    ("proof", "holds"),
    [
        (PRESUMED, False),
        ({"label": "crash"}, False),
        ({"label": "bad_model"}, False),
        (COUNTED, True),
        (TOLD, True),
        ({"label": "oom_kv"}, True),
    ],
)
def test_a_point_that_was_skipped_for_an_accident_is_offered_again(
    proof: dict[str, object], holds: bool
) -> None:
    shown = record(**proof, point="smaller")  # type: ignore[arg-type]
    found = standing([shown, skipped(shown, str(proof["label"]))])
    assert ("larger" in found.finished) is holds
    assert holds or "skipped without a proof" in found.again


def test_without_the_proof_at_hand_the_skipped_points_own_words_count() -> None:
    gone = record("oom_kv", "gone")
    assert "larger" in standing([skipped(gone, "host_oom")]).finished
    assert "larger" not in standing([skipped(gone, "timeout")]).finished


def _runner(out: Path, worker: Path) -> Runner:
    return Runner(
        Store(out), LocalExecutor(worker=[str(worker)], interval_s=0.05), environment=HERE
    )


WELL = "load()\nfor point in points(): measured(point)\n"


def test_a_real_worker_that_somebody_kills_is_killed_and_the_next_start_measures_what_it_left(
    tmp_path: Path, make_sweep: Callable[[str], Sweep], speaker: Callable[[str], Path]
) -> None:
    """Killed from outside while it loads, as a user or a job's end does; nothing is skipped for
    it."""
    sweep, before = make_sweep("axes.n_ctx = [256, 512, 1024]"), set(psutil.Process().children())
    kills = (
        "subprocess.Popen(['kill', '-9', str(os.getpid())], "
        "start_new_session=True)\ntime.sleep(60)\n"
    )
    records = _runner(tmp_path / "out", speaker(kills + WELL)).run(sweep)
    found = [(each.outcome.label, each.outcome.exit_code) for each in records]
    assert found == [("killed", -signal.SIGKILL)] * 3
    runner = _runner(tmp_path / "out", speaker(WELL))
    assert runner.again(sweep) == {"killed": 3}
    assert [each.outcome.label for each in runner.run(sweep)] == ["ok"] * 3
    assert runner.pending(sweep) == ()
    assert not runner.again(sweep)
    assert set(psutil.Process().children()) == before


@pytest.mark.parametrize(("end", "label"), [("os.abort()", "crash"), ("time.sleep(60)", "timeout")])
def test_an_accident_while_loading_skips_nothing_and_is_tried_three_times(
    tmp_path: Path,
    make_sweep: Callable[[str], Sweep],
    speaker: Callable[[str], Path],
    end: str,
    label: str,
) -> None:
    sweep, worker = (
        make_sweep("axes.n_ctx = [256, 512]\nlimits.load_timeout_s = 0.3"),
        speaker(f"say('ready')\n{end}"),
    )
    for n_left in (2, 2, 2, 0):
        runner = _runner(tmp_path / "out", worker)
        assert len(runner.pending(sweep)) == n_left
        assert [each.outcome.label for each in runner.run(sweep)] == [label] * n_left


def test_records_of_earlier_versions_are_offered_for_a_new_try(
    tmp_path: Path, make_sweep: Callable[[str], Sweep], speaker: Callable[[str], Path]
) -> None:
    """A kill from outside was recorded as host_oom, and larger points as skipped for it."""
    sweep = make_sweep("axes.n_ctx = [256, 512, 1024]")
    list(_runner(tmp_path / "new", speaker(WELL)).run(sweep))
    first, second, third = Store(tmp_path / "new").records()
    presumed = second.model_copy(update={"outcome": Outcome.model_validate(PRESUMED)})
    void = third.model_copy(update={"outcome": skipped(presumed, "host_oom").outcome})
    with Store(tmp_path / "old") as store:
        for each in (first, presumed, void):
            store.append(each)
    runner = _runner(tmp_path / "old", speaker(WELL))
    assert runner.again(sweep) == {
        "host_oom on the word of a signal alone": 1,
        "skipped without a proof": 1,
    }
    assert [each.label for each in runner.run(sweep)] == ["n_ctx=512", "n_ctx=1024"]
    assert runner.pending(sweep) == ()
    kept = list(Store(tmp_path / "old").records())
    assert [each.outcome.label for each in kept] == ["ok", "host_oom", "skipped", "ok", "ok"], (
        "nothing is rewritten"
    )
