"""Which points another has shown not to fit: only what asks for at least as much of everything that
grows."""

import pytest

from oomph.config import RunConfig
from oomph.measure.limits import Limits
from oomph.measure.point import Point
from oomph.measure.pruning import dominates
from oomph.measure.workload import Workload


def _point(
    workload: Workload | None = None, limits: Limits | None = None, **knobs: object
) -> Point:
    return Point(
        group="g",
        label="l",
        config=RunConfig.from_mapping({"n_ctx": 8192, "n_expert_used": 8} | knobs),
        workload=workload or Workload(),
        limits=limits or Limits(),
        load_mode="mmap",
        fresh_process=False,
    )


FAILED = _point(n_ubatch=512)


@pytest.mark.parametrize(
    ("knobs", "dominated"),
    [
        ({"n_ctx": 8192}, True),
        ({"n_ctx": 16384}, True),
        ({"n_ctx": 16384, "n_ubatch": 1024, "type_k": "f32"}, True),
        ({"n_threads": 3}, True),
        ({"n_ctx": 8191}, False),
        ({"n_ctx": 16384, "n_ubatch": 256}, False),
        ({"n_ctx": 16384, "type_k": "q8_0"}, False),
        ({"n_outputs_max": 1}, False),
        ({"n_expert_used": 16}, False),  # above 15 the fusion stops and the buffer shrinks
        ({"flash_attn": "on"}, False),
        ({"n_gpu_layers": 10}, False),
    ],
)
@pytest.mark.parametrize("outcome", ["oom_kv", "oom_compute", "oom_runtime", "host_oom"])
def test_a_context_that_ran_out_rules_out_larger_ones(
    knobs: dict[str, object], dominated: bool, outcome: str
) -> None:
    assert dominates(FAILED, outcome, at_load=False, point=_point(**knobs)) is dominated


@pytest.mark.parametrize("outcome", ["crash", "timeout", "device_lost", "bad_config"])
def test_what_is_not_about_memory_rules_out_nothing_once_loaded(outcome: str) -> None:
    assert not dominates(FAILED, outcome, at_load=False, point=_point(n_ctx=16384))


def test_other_work_or_limits_are_another_question() -> None:
    assert not dominates(
        FAILED, "oom_kv", at_load=False, point=_point(limits=Limits(memory_bytes=9))
    )
    assert not dominates(
        FAILED, "oom_runtime", at_load=False, point=_point(workload=Workload(n_prompt=1))
    )


@pytest.mark.parametrize(
    ("outcome", "knobs", "dominated"),
    [
        ("oom_weights", {"n_ctx": 256, "n_expert_used": 2}, True),
        ("host_oom", {"n_ctx": 256}, True),
        ("host_oom", {"n_expert_used": 2}, False),
        *(
            (label, {"n_ctx": 16384}, False)
            for label in ("bad_model", "bad_config", "crash", "timeout", "killed")
        ),
        ("oom_weights", {"n_gpu_layers": 10}, False),
    ],
)
def test_a_load_that_ran_out_does_so_for_every_context_and_one_that_failed_otherwise_may_not(
    outcome: str, knobs: dict[str, object], dominated: bool
) -> None:
    assert dominates(FAILED, outcome, at_load=True, point=_point(**knobs)) is dominated
