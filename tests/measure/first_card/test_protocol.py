"""The protocols that come with oomph, and what a protocol must be."""

import pytest

from oomph.errors import ConfigError
from oomph.measure.first_card.protocol import SWEEP, Protocol, Size, provoked_sweep

ONE_STEP = '[models]\na = "demo"\n[[step]]\nname = "s"\nasks = "?"\nmodel = "a"\n'


@pytest.mark.parametrize("size", ["full", "small"])
def test_it_has_sweeps_and_ballasts_over_models_that_it_names(size: Size) -> None:
    protocol = Protocol.read(size)
    names = [step.name for step in protocol.step]
    assert len(set(names)) == len(names)
    assert {step.leave is None for step in protocol.step} == {True, False}
    for step in protocol.step:
        assert bool(step.points(n_devices=1)) == (step.leave is None)
        assert bool(step.provoke) == (step.leave is not None)
        assert step.leave is None or step.needs == ("card",)


def test_the_full_one_asks_the_question_at_every_context_and_number_of_experts() -> None:
    points = [point for step in Protocol.read("full").step for point in step.points(n_devices=1)]
    asked = {(point.config.n_expert_used, point.config.n_ctx) for point in points}
    assert {
        (experts, n_ctx) for experts in (4, 8, 10, 16) for n_ctx in (4096, 32768, 90000, 131072)
    } <= asked
    ladders = [p for p in points if p.config.n_ctx == 90_000 and "full" in p.workload.depths]
    assert {point.config.n_expert_used for point in ladders} == {8, 10}


def test_another_model_may_be_asked_about() -> None:
    protocol = Protocol.read("full").asking("mine.gguf")
    assert protocol.models["question"] == "mine.gguf"
    assert protocol.models["dense"] == Protocol.read("full").models["dense"]


def test_what_is_meant_to_run_out_says_so_in_its_record() -> None:
    config = Protocol.read("full").step[3].configs("provoke")[0]
    sweep = provoked_sweep(config, "demo", stage="oom_kv")
    (point,) = sweep.points()
    assert (sweep.name, point.group) == (SWEEP, "to run out in: oom_kv")
    assert (point.config, point.workload.timing, point.workload.depths) == (
        config,
        False,
        ("full",),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[models", "cannot be read"),
        (ONE_STEP + "mood = 1", "cannot be read"),
        (ONE_STEP.replace('model = "a"', 'model = "b"'), "no model 'b'"),
        (ONE_STEP + 'group = [{ name = "g", axes = { n_ctxx = 1 } }]', "unknown knob 'n_ctxx'"),
    ],
)
def test_what_is_no_protocol_is_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Protocol.parse(text)
