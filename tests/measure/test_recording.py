"""From how a point went to what its record says of it."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from oomph.config import RunConfig
from oomph.measure.executors import Completed
from oomph.measure.limits import Limits
from oomph.measure.point import Point
from oomph.measure.recording import LOG_TAIL, Setting, outliers
from oomph.measure.workload import Text, Workload
from oomph.records.environment import read_environment
from oomph.records.schema import ModelIdentity, OtherProcess

SETTING = Setting(
    sweep="s",
    environment=read_environment(backend="cpu"),
    model_path="/home/somebody/secret/m.gguf",
    model=ModelIdentity(name="m", path="m.gguf", arch="llama", file_bytes=1, header_sha256="ab"),
)
POINT = Point(
    group="g",
    label="l",
    config=RunConfig(),
    workload=Workload(),
    limits=Limits(),
    load_mode="mmap",
    fresh_process=False,
)


def _completed(point: Point = POINT, **changes: Any) -> Completed:
    fields: dict[str, Any] = {
        "point": point,
        "started_at": datetime(2026, 1, 2, tzinfo=UTC),
        "wall_ns": 5,
        "exit_code": None,
        "reply": {"load_ns": 1},
        "failure": None,
        "timed_out": False,
        "log": (),
    }
    return Completed(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "label", "message"),
    [
        ({}, "ok", ""),
        ({"exit_code": 0}, "crash", "the worker ended without an answer"),
        ({"exit_code": -6}, "crash", ""),
        ({"exit_code": -9}, "killed", "somebody outside ended it"),
        ({"exit_code": -9, "oom_kills": 0}, "killed", ""),
        ({"exit_code": -15, "oom_kills": 1}, "killed", ""),
        (
            {"exit_code": -9, "oom_kills": 1, "oom_kills_by": "/proc/vmstat"},
            "host_oom",
            "host's memory",
        ),
        (
            {"exit_code": -9, "was_ended": True, "oom_kills": 1},
            "crash",
            "the worker said what is no answer",
        ),
        (
            {"exit_code": -9, "timed_out": True},
            "timeout",
            "the point took longer than its limit of 3,600 s, as noth",
        ),
        (
            {"exit_code": -9, "timed_out": True, "reply": {}},
            "timeout",
            "the load took longer than its limit of 1,800",
        ),
        (
            {"exit_code": 1, "failure": ("config", "override_tensor names 'X'")},
            "bad_config",
            "override_tensor names",
        ),
        (
            {"exit_code": 1, "failure": ("decode", "llama_decode returned -3")},
            "crash",
            "llama_decode returned -3",
        ),
        ({"exit_code": -6, "conditions": {"lost_devices": ["CUDA0"]}}, "device_lost", ""),
        (
            {
                "exit_code": -6,
                "log": (
                    "CUDA error: out of memory",
                    "  in function alloc at ggml-cuda.cu:1",
                    "  cuMemCreate(&handle, reserve_size, &prop, 0)",
                ),
            },
            "oom_runtime",
            "",
        ),
    ],
)
def test_the_outcome_follows_from_the_end_and_the_log(
    changes: dict[str, Any], label: str, message: str
) -> None:
    outcome = SETTING.record_of(_completed(**changes)).outcome
    assert outcome.label == label
    assert message in outcome.message
    assert outcome.exit_code == changes.get("exit_code")


def test_running_out_under_a_limit_of_ours_says_so() -> None:
    limited = replace(POINT, limits=Limits(memory_bytes=300 * 2**20))
    log = ("ggml_aligned_malloc: insufficient memory (attempted to allocate 180.00 MB)",)
    outcome = SETTING.record_of(_completed(limited, exit_code=1, log=log)).outcome
    assert outcome.label == "host_oom"
    assert "limits.memory_bytes = 300 MiB" in outcome.message


def test_the_log_of_a_failure_is_kept_in_part_and_without_places_of_this_machine() -> None:
    log = (
        "first",
        *["middle"] * LOG_TAIL,
        "error loading model /home/somebody/secret/m.gguf: tensor data is bad",
    )
    record = SETTING.record_of(_completed(exit_code=1, log=log))
    assert len(record.outcome.log_tail) == LOG_TAIL
    assert record.outcome.log_tail[-1] == "error loading model m.gguf: tensor data is bad"
    assert "somebody" not in record.model_dump_json()


def _card(watts: float | None) -> dict[str, Any]:
    """What the probe says of a card that runs at a constant power from second 0 to 10."""
    readings = (
        [] if watts is None else [(tenth * 10**8, watts * tenth / 10) for tenth in range(101)]
    )
    return {
        "throttle": [],
        "other_processes": [],
        "energy_readings": readings,
        "energy_method": "counter",
    }


@pytest.mark.parametrize(
    ("watts", "joules"), [((100.0, 50.0), 300.0), ((100.0, None), None), ((), None)]
)
def test_a_tests_energy_is_that_of_all_cards_over_its_samples(
    watts: tuple[float | None, ...], joules: float | None
) -> None:
    timing = {
        "test": "tg8",
        "n_tokens": 8,
        "samples_ns": [10**9] * 2,
        "ended_ns": [2 * 10**9, 4 * 10**9],
    }
    record = SETTING.record_of(
        _completed(
            reply={"load_ns": 1, "timings": [timing]},
            conditions={"cards": {f"CUDA{index}": _card(each) for index, each in enumerate(watts)}},
        )
    )
    (kept,) = record.timings
    assert kept.energy_j == (None if joules is None else pytest.approx(joules))
    assert "readings" not in record.model_dump_json()
    assert "ended_ns" not in record.model_dump_json()


def test_what_disturbed_any_card_is_gathered() -> None:
    cards = {
        "CUDA0": {"throttle": ["power_cap"], "other_processes": [{"pid": 1}]},
        "CUDA1": {"throttle": ["hw_thermal", "power_cap"], "other_processes": []},
    }
    conditions = SETTING.record_of(_completed(conditions={"cards": cards})).conditions
    assert conditions.throttle_reasons == ["hw_thermal", "power_cap"]
    assert conditions.other_processes == [OtherProcess(pid=1)]


def test_samples_stay_raw_with_outliers_named() -> None:
    timing = {
        "test": "pp8",
        "n_tokens": 8,
        "n_depth": 0,
        "n_parallel": 1,
        "samples_ns": [100, 101, 99, 100, 300],
    }
    record = SETTING.record_of(_completed(reply={"load_ns": 1, "timings": [timing]}))
    assert record.timings[0].samples_ns == [100, 101, 99, 100, 300]
    assert record.timings[0].outliers == [4]
    assert outliers([5]) == outliers([5, 5, 5, 9]) == [], "without any spread nothing can be told"


def test_a_texts_score_names_the_text_as_the_sweep_does() -> None:
    point = replace(POINT, workload=Workload(text=Text(file="mine.txt")))
    reply = {"load_ns": 1, "quality": {"n_pass": 3, "nll_nats": [1.0, 2.0]}}
    quality = SETTING.record_of(_completed(point, reply=reply)).quality
    assert quality is not None
    assert (quality.text, quality.n_tokens, quality.n_pass) == ("mine.txt", 2, 3)
    assert SETTING.record_of(_completed(point)).quality is None


def test_ids_tell_the_point_and_the_measurement_apart() -> None:
    first, second = SETTING.record_of(_completed()), SETTING.record_of(_completed())
    assert first.point_id == second.point_id
    assert first.record_id != second.record_id
    assert first.started_at == "2026-01-02T00:00:00.000+00:00"
