"""Many records of few questions cost what the questions do, and tell what they told before."""

import random
from dataclasses import replace

import numpy as np
import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate.left_out import LeftOut, interval_scale, nested_coverage
from oomph.calibrate.observations import SpeedObservation
from oomph.calibrate.parameters import Parameters
from oomph.config import RunConfig
from oomph.estimate.coefficients import default_coefficients
from oomph.estimate.estimator import Estimator

OLMOE = catalogue_model("olmoe-1b-7b", "Q4_K_M")


def observations(n: int) -> list[SpeedObservation]:
    """So many, of two questions."""
    estimator = Estimator(OLMOE)
    one = SpeedObservation(
        question=estimator.question(RunConfig(n_devices=0)),
        test="decode",
        n_prompt=1,
        n_depth=16,
        tokens_per_s=10,
    )
    other = replace(one, test="prefill", n_prompt=512, n_depth=0)
    return [replace((one, other)[i % 2], tokens_per_s=10.0 + i, source=str(i)) for i in range(n)]


def test_what_is_asked_many_times_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = Parameters(
        default_coefficients().values, ["host.bandwidth_bytes_per_s", "host.flops_per_s"]
    )
    many = observations(40)
    apart = [parameters.evaluate([each], parameters.start()) for each in many]
    calls = []
    honest = SpeedObservation.seconds
    monkeypatch.setattr(
        SpeedObservation,
        "seconds",
        lambda self, values: calls.append(self.test) or honest(self, values),
    )
    residuals, jacobian = parameters.evaluate(many, parameters.start())
    assert sorted(calls) == ["decode", "prefill"]
    assert np.array_equal(residuals, np.concatenate([each for each, _ in apart]))
    assert np.array_equal(jacobian, np.concatenate([each for _, each in apart]))


def test_equal_knobs_are_one_question_and_a_changed_estimator_shares_the_work() -> None:
    estimator = Estimator(OLMOE)
    first = estimator.question(RunConfig(n_ctx=4096, n_devices=0))
    assert estimator.question(RunConfig(n_ctx=4096, n_devices=0)) is first
    other = estimator.changed(coefficients=default_coefficients())
    assert other.question(RunConfig(n_ctx=4096, n_devices=0)).on_host is first.on_host


def test_coverage_is_what_leaving_each_part_out_gives() -> None:
    drawn = random.Random(3)
    left_out = [
        LeftOut(
            quantity="decode",
            group=drawn.choice(("decode dense", "prefill dense")),
            part=drawn.randrange(4),
            error=0.0,
            score=drawn.gauss(0, 2),
        )
        for _ in range(120)
    ]
    inside = [
        abs(each.score)
        <= interval_scale(
            [e.score for e in left_out if e.group == each.group and e.part != each.part]
        )
        for each in left_out
    ]
    assert nested_coverage(left_out) == sum(inside) / len(inside)
