"""How long a point is expected to take: more work takes longer, and nothing is said of what nobody
knows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate.expected_time import LOAD_BYTES_PER_S, ExpectedTime
from oomph.config import RunConfig
from oomph.gpus import gpu
from oomph.measure.limits import (
    GENEROSITY,
    LEAST_S,
    LOAD_S,
    POINT_S,
    ExpectedSeconds,
    Limits,
    Timeouts,
)
from oomph.measure.workload import Repetitions, TaskTest, Text, Workload

MODEL = catalogue_model("qwen3-30b-a3b", "Q4_K_M")
ON_CARD = ExpectedTime(MODEL, gpu("RTX 5090"))
WORK = Workload(n_prompt=512, n_gen=32, depths=(0, "full"))


def seconds(expected: ExpectedTime = ON_CARD, work: Workload = WORK, **knobs: Any) -> float | None:
    return expected(RunConfig(flash_attn="on").with_(**knobs), work).point_s


def test_deeper_contexts_more_samples_and_texts_take_longer() -> None:
    base = seconds(n_ctx=8192)
    assert base is not None
    longer = [
        seconds(n_ctx=65_536),
        seconds(n_ctx=4 * 8192, n_parallel=4, n_seq_max=4),
        seconds(work=WORK.model_copy(update={"repetitions": Repetitions(most=9)}), n_ctx=8192),
        seconds(work=WORK.model_copy(update={"text": Text(n_tokens=100_000)}), n_ctx=8192),
    ]
    assert all(each is not None and each > base for each in longer)


def test_a_budget_bounds_the_repetitions() -> None:
    endless = Repetitions(most=10**9, budget_s=5.0)
    expected = seconds(work=WORK.model_copy(update={"repetitions": endless}), n_ctx=8192)
    assert expected is not None
    assert expected < 120


def test_tasks_take_the_time_of_their_prompts_and_answers_up_to_their_budget() -> None:
    def asked(**changes: Any) -> float:
        test = TaskTest(**{"lengths": (4096, 8192), "n_items": 10, **changes})
        found = seconds(work=WORK.model_copy(update={"tasks": test}), n_ctx=8192)
        base = seconds(n_ctx=8192)
        assert found is not None
        assert base is not None
        return found - base

    speed = ON_CARD._estimator.speed(RunConfig(flash_attn="on", n_ctx=8192, n_depth=7680))
    assert speed is not None
    prompts_s = 6 * 10 * (4096 + 8192) / speed.prefill_tokens_per_s
    answers_s = 2 * 10 * (4 * 32 + 2 * 64) / speed.decode_tokens_per_s
    assert asked() == pytest.approx(prompts_s + answers_s, rel=0.05)
    assert asked(n_items=20) == pytest.approx(2 * asked())
    assert asked(lengths=(4096, 8192, 65_536)) == asked(), "what the context does not hold"
    assert asked(n_answer=1000) > 2 * asked()
    assert asked(budget_s=7.0) == pytest.approx(7.0)


def test_nothing_is_said_of_a_host_that_was_not_calibrated() -> None:
    assert seconds(ExpectedTime(MODEL, None), n_devices=0) is None
    assert seconds(n_cpu_moe=8) is None
    assert seconds(n_gpu_layers=20) is None
    assert (
        MODEL.file_bytes is None
        or ON_CARD(RunConfig(), WORK).load_s == MODEL.file_bytes / LOAD_BYTES_PER_S
    )


def test_a_context_too_small_for_any_stop_is_still_answered() -> None:
    assert seconds(n_ctx=256) == 0


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_timeouts_grow_with_what_is_expected_and_never_below_the_least(
    less: float, more: float
) -> None:
    less, more = sorted((less, more))
    small, large = (
        Timeouts.of(Limits(), ExpectedSeconds(load_s=s, point_s=s)) for s in (less, more)
    )
    assert LEAST_S <= small.point.seconds <= large.point.seconds == max(LEAST_S, GENEROSITY * more)
    assert (small.load.seconds, large.load.seconds) == (small.point.seconds, large.point.seconds)


def test_the_sweep_files_own_limit_wins_and_each_says_where_it_comes_from() -> None:
    asked = Timeouts.of(Limits(point_timeout_s=5), ExpectedSeconds(load_s=100, point_s=100))
    assert str(asked.point) == "5 s, set by limits.point_timeout_s"
    assert (
        str(asked.load)
        == "2,000 s, 20 times the 100 s expected but 600 s at least (limits.load_timeout_s sets "
        "another)"
    )
    unknown = Timeouts.of(Limits())
    assert (unknown.load.seconds, unknown.point.seconds) == (LOAD_S, POINT_S)
    assert "nothing is known of how long it takes" in str(unknown.point)


@pytest.mark.parametrize("n_seq_max", [1, 4])
def test_sequences_that_share_a_context_are_filled_to_their_share(n_seq_max: int) -> None:
    filled = seconds(n_ctx=32_768, n_seq_max=n_seq_max)
    assert filled is not None
    assert (filled < (seconds(n_ctx=32_768) or 0)) == (n_seq_max > 1)
